# The plans, for the maps of the state machine: these read from a bucket of their own account alone.

resource "aws_s3_bucket" "plans" {
  #checkov:skip=CKV_AWS_18:it holds names of servers and databases for some days
  #checkov:skip=CKV_AWS_21:nothing in it is changed, and what is lost is planned anew
  #checkov:skip=CKV_AWS_144:what is lost is planned anew
  #checkov:skip=CKV_AWS_145:S3's own key is enough for names
  #checkov:skip=CKV2_AWS_62:nobody waits for an object: the state machine knows when a plan is there
  count = var.create ? 1 : 0

  bucket_prefix = "${var.name}-plans-"
  # Nothing in it is needed once its run has ended.
  force_destroy = true
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "plans" {
  count = var.create ? 1 : 0

  bucket                  = aws_s3_bucket.plans[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "plans" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.plans[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "plans" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.plans[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "plans" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.plans[0].id

  rule {
    id     = "old-plans"
    status = "Enabled"
    filter {}

    expiration {
      days = 30
    }
  }

  rule {
    id     = "left-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 14
    }
  }
}

resource "aws_s3_bucket_policy" "plans" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.plans[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.plans[0].arn, "${aws_s3_bucket.plans[0].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # A policy may look public until this is on.
  depends_on = [aws_s3_bucket_public_access_block.plans]
}
