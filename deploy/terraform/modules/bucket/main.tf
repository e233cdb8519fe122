# A bucket for backups: versioned, locked, encrypted, over TLS only. Nothing in it is overwritten, and lifecycle rules alone
# remove what is old. Its policy is the one of deploy/bucket-policy.json, with what the caller adds.

locals {
  is_locked = var.lock_mode != "NONE"

  # The manifest goes first: without one there is no backup, and what it names must be there as long as it is.
  class_rules = flatten([for class, days in var.retention_days : [
    { id = "${class}-manifests", tags = tomap({ retention = class, role = "manifest" }), days = days },
    { id = "${class}-objects", tags = tomap({ retention = class }), days = days + 2 },
  ]])

  # A rule without a tag hits what has one, too, and S3 takes the earliest: so it waits for the last class. That does not go by
  # the backups that there are now: what was written with a class stays when they no longer have one.
  last_class    = max(values(var.retention_days)...)
  untagged_days = coalesce(var.expiration_days, local.last_class + 3)
  takes_classes = local.untagged_days > local.last_class + 2
  longest_lock  = local.takes_classes ? max(local.last_class, coalesce(var.expiration_days, 0)) : local.untagged_days

  policy = concat([
    {
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      # Of every writer, not of this program alone: a name that is taken stays as it is. The parts of an upload have no such
      # header; its end has.
      Sid       = "NothingIsOverwritten"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "${aws_s3_bucket.this.arn}/*"
      Condition = {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      }
    },
    {
      # Governance mode has exceptions for who may make them; here it is nobody, until somebody changes this policy.
      Sid       = "NoLockIsLifted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:BypassGovernanceRetention"
      Resource  = "${aws_s3_bucket.this.arn}/*"
    },
    {
      # A writer cannot make this account keep, and pay for, anything for a century.
      Sid       = "NoLockIsLongerThanTheLongest"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectRetention"]
      Resource  = "${aws_s3_bucket.this.arn}/*"
      Condition = { NumericGreaterThan = { "s3:object-lock-remaining-retention-days" = tostring(local.longest_lock) } }
    },
    {
      # A writer can neither lock less than lock_mode promises, nor bind this account by the stricter mode. With NONE, any mode is
      # another one: the bucket has Object Lock all the same.
      Sid       = "LocksHaveTheModeOfTheBucket"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectRetention"]
      Resource  = "${aws_s3_bucket.this.arn}/*"
      Condition = merge(
        { Null = { "s3:object-lock-mode" = "false" } },
        local.is_locked ? { StringNotEquals = { "s3:object-lock-mode" = var.lock_mode } } : {},
      )
    },
    ], [for statement in [
      {
        # Whoever shares this bucket and means years would have days: that is told at once, and not when it is gone.
        Sid       = "NoClassThatWouldNotLast"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:PutObject", "s3:PutObjectTagging"]
        Resource  = "${aws_s3_bucket.this.arn}/*"
        Condition = { "ForAnyValue:StringEquals" = { "s3:RequestObjectTagKeys" = ["retention"] } }
      },
  ] : statement if !local.takes_classes], [for statement in jsondecode(replace(var.policy_statements, "BUCKET_ARN", aws_s3_bucket.this.arn)) : statement])
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:a log bucket is the account's to choose; CloudTrail's data events see the same
  #checkov:skip=CKV_AWS_144:a copy in another region is the account's to choose
  #checkov:skip=CKV2_AWS_62:nobody waits for an object: the program tells that a backup is complete
  bucket        = var.name
  bucket_prefix = var.name == null ? var.name_prefix : null
  # Also without a lock of the bucket's own: it costs nothing, and another value here would replace the bucket.
  object_lock_enabled = true
  tags                = var.tags

  lifecycle {
    # One that was made without it stays: S3 takes the configuration below all the same.
    ignore_changes = [object_lock_enabled]
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count  = local.is_locked ? 1 : 0
  bucket = aws_s3_bucket.this.id

  # For what comes without a lock of its own.
  rule {
    default_retention {
      mode = var.lock_mode
      days = var.lock_days
    }
  }

  # S3 wants versioning first.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_arn == null ? null : true

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.policy })

  # A policy may look public until this is on.
  depends_on = [aws_s3_bucket_public_access_block.this]

  lifecycle {
    precondition {
      condition     = length(jsonencode({ Version = "2012-10-17", Statement = local.policy })) <= 20480
      error_message = "The policy of the bucket is longer than the 20,480 bytes that S3 takes: name fewer accounts, or an organization."
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  dynamic "rule" {
    for_each = local.class_rules

    content {
      id     = rule.value.id
      status = "Enabled"

      filter {
        # S3 wants several conditions in `and`, and one outside it.
        dynamic "and" {
          for_each = length(rule.value.tags) > 1 ? [rule.value.tags] : []

          content {
            tags = and.value
          }
        }

        dynamic "tag" {
          for_each = length(rule.value.tags) > 1 ? {} : rule.value.tags

          content {
            key   = tag.key
            value = tag.value
          }
        }
      }

      expiration {
        days = rule.value.days
      }
    }
  }

  rule {
    id     = "untagged"
    status = "Enabled"
    filter {}

    expiration {
      days = local.untagged_days
    }
  }

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    # What was deleted or overwritten can be had back for so long.
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }

  rule {
    id     = "left-uploads"
    status = "Enabled"
    filter {}

    # What a killed run left open is no backup and costs money; but a large dump may be on its way for days.
    abort_incomplete_multipart_upload {
      days_after_initiation = 14
    }
  }

  # Rules about old versions need versioning.
  depends_on = [aws_s3_bucket_versioning.this]
}
