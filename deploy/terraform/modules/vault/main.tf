# The bucket of a vault account: what it holds survives the loss of the account that writes to it. A writer puts new backups
# under its own prefix and can neither read a dump nor remove or replace anything; who reads is a role of this account.

data "aws_partition" "current" {
  count = var.create ? 1 : 0
}

locals {
  partition = try(data.aws_partition.current[0].partition, "aws")
  accounts  = keys(var.writers)

  # A part of the policy for each writer: the account's own policies choose who of it.
  writers = concat(
    [for account, writer in var.writers : {
      name      = account
      prefix    = coalesce(writer.prefix, "${var.prefix}/${account}")
      principal = { AWS = "arn:${local.partition}:iam::${account}:root" }
      condition = {}
    }],
    [for organization in var.organization_id == null ? [] : [var.organization_id] : {
      name      = "Organization"
      prefix    = "${var.prefix}/$${aws:PrincipalAccount}"
      principal = "*"
      condition = { StringEquals = { "aws:PrincipalOrgID" = organization } }
    }],
  )

  allowed = flatten([for writer in local.writers : [
    {
      Sid       = "WriteBackups${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action    = ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:AbortMultipartUpload"]
      Resource  = "BUCKET_ARN/${writer.prefix}/*"
      Condition = writer.condition
    },
    {
      Sid       = "SeeWhetherItIsDone${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action    = "s3:GetObject"
      Resource  = "BUCKET_ARN/${writer.prefix}/*.manifest*.jsonl"
      Condition = writer.condition
    },
    {
      Sid       = "FindTheBucket${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action    = concat(["s3:ListBucket", "s3:ListBucketMultipartUploads"], local.look)
      Resource  = "BUCKET_ARN"
      Condition = writer.condition
    },
  ]])

  # What `pgseal check` looks at.
  look = [
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
  ]

  # This account's own administrators are no writers: without this their own policies would do.
  denied = [{
    Sid       = "NobodyElseWrites"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:PutObject"
    Resource  = "BUCKET_ARN/*"
    Condition = { StringNotEquals = merge(
      length(local.accounts) == 0 ? {} : { "aws:PrincipalAccount" = local.accounts },
      var.organization_id == null ? {} : { "aws:PrincipalOrgID" = [var.organization_id] },
    ) }
  }]
}

module "bucket" {
  source = "../bucket"
  count  = var.create ? 1 : 0

  name            = var.bucket
  name_prefix     = "${var.name}-"
  lock_mode       = var.lock_mode
  lock_days       = var.lock_days
  retention_days  = var.retention_days
  expiration_days = var.expiration_days
  kms_key_arn     = var.kms_key_arn
  tags            = var.tags

  # An empty condition is left out: S3 would keep it, and every plan would show a change.
  policy_statements = jsonencode([for statement in concat(local.denied, local.allowed) :
  { for name, value in statement : name => value if name != "Condition" || length(value) > 0 }])
}

# --- who reads ---

locals {
  has_reader = var.create && length(var.reader_principals) > 0
  bucket_arn = try(module.bucket[0].arn, "-")

  reader_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        # The bucket is versioned: what is read is pinned to its version.
        Sid      = "ReadBackups"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = [for writer in local.writers : "${local.bucket_arn}/${replace(writer.prefix, "$${aws:PrincipalAccount}", "*")}/*"]
      },
      {
        Sid      = "FindBackups"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.bucket_arn]
      },
      ], [for key in var.kms_key_arn == null ? [] : [var.kms_key_arn] : {
        Sid      = "OpenTheBucketsEncryption"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [key]
    }])
  })
}

resource "aws_iam_role" "reader" {
  count = local.has_reader ? 1 : 0

  name_prefix          = substr("${var.name}_reader_", 0, 38)
  description          = "Lists, verifies and restores backups; writes nothing"
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.reader_principals }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "reader" {
  count = local.has_reader ? 1 : 0

  name   = "read-backups"
  role   = aws_iam_role.reader[0].id
  policy = local.reader_policy
}
