# Where backups go: a bucket that is there, of this account or of a vault's, or one of our own.

locals {
  bucket = var.create_bucket ? one(module.bucket[*].id) : coalesce(var.bucket, "-")

  # An access point names its objects in another way than a bucket.
  bucket_arn  = startswith(local.bucket_name, "arn:") ? local.bucket_name : "arn:${local.partition}:s3:::${local.bucket_name}"
  objects     = startswith(local.bucket_name, "arn:") ? "${local.bucket_arn}/object" : local.bucket_arn
  bucket_name = local.bucket == null ? "-" : local.bucket
}

module "bucket" {
  source = "./modules/bucket"
  count  = var.create && var.create_bucket ? 1 : 0

  name              = var.bucket
  name_prefix       = "${var.name}-"
  lock_mode         = local.lock_mode
  lock_days         = var.lock_days
  retention_days    = var.retention_days
  expiration_days   = var.expiration_days
  kms_key_arn       = var.kms_key_arn
  policy_statements = var.bucket_policy_statements
  tags              = var.tags
}
