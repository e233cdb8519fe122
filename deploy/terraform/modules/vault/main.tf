# The bucket of a vault account: what it holds survives the loss of the account that writes to it. A writer puts new backups
# under its own prefix and can neither read a dump nor remove or replace anything; who reads is a role of this account, or an
# account that is named.

data "aws_partition" "current" {
  count = var.create ? 1 : 0
}

data "aws_caller_identity" "current" {
  count = var.create ? 1 : 0
}

data "aws_region" "current" {
  count = var.create ? 1 : 0
}

locals {
  account    = try(data.aws_caller_identity.current[0].account_id, "")
  partition  = try(data.aws_partition.current[0].partition, "aws")
  dns_suffix = try(data.aws_partition.current[0].dns_suffix, "")
  region     = try(data.aws_region.current[0].region, "")
  roots      = { for account in setunion(keys(var.writers), var.reader_accounts) : account => "arn:${local.partition}:iam::${account}:root" }

  # A prefix by its number is one statement for all accounts, as S3 takes 20,480 bytes of a policy; one of an account's own is
  # another. The account's own policies choose who of it.
  own_number = "${var.prefix}/$${aws:PrincipalAccount}"
  numbered   = [for account, writer in var.writers : account if writer.prefix == null]
  named      = { for account, writer in var.writers : account => writer.prefix if writer.prefix != null }
  writers = concat(
    [for name in [""] : {
      name      = name
      prefix    = local.own_number
      principal = { AWS = [for account in local.numbered : local.roots[account]] }
      condition = {}
    } if length(local.numbered) > 0],
    [for account, prefix in local.named : {
      name      = account
      prefix    = prefix
      principal = { AWS = [local.roots[account]] }
      condition = {}
    }],
    [for organization in var.organization_id == null ? [] : [var.organization_id] : {
      name      = "Organization"
      prefix    = local.own_number
      principal = "*"
      condition = { StringEquals = { "aws:PrincipalOrgID" = organization } }
    }],
  )
  read_prefixes = distinct(concat(
    var.organization_id == null && length(local.numbered) == 0 ? [] : [var.prefix], values(local.named),
  ))

  # What a drill leaves, and tries whether it could before it starts.
  reports      = ["BUCKET_ARN/${var.report_prefix}/*.drill-*"]
  report_roots = [for account in var.reader_accounts : local.roots[account]]

  allowed = concat(flatten([for writer in local.writers : [
    {
      Sid       = "WriteBackups${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action = concat(
        ["s3:PutObject", "s3:PutObjectTagging"],
        var.lock_mode == "NONE" ? [] : ["s3:PutObjectRetention"],
        ["s3:AbortMultipartUpload"],
      )
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
      Sid       = "ListOnesOwn${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action    = "s3:ListBucket"
      Resource  = "BUCKET_ARN"
      Condition = merge(writer.condition, { StringLike = { "s3:prefix" = "${writer.prefix}/*" } })
    },
    {
      # Neither call can be limited to a prefix. They tell of unfinished uploads, and of how the bucket is set up.
      Sid       = "LookAtTheBucket${writer.name}"
      Effect    = "Allow"
      Principal = writer.principal
      Action = [
        "s3:ListBucketMultipartUploads",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetLifecycleConfiguration",
      ]
      Resource  = "BUCKET_ARN"
      Condition = writer.condition
    },
    ]]), [for statement in [
    {
      Sid       = "ReadersRead"
      Effect    = "Allow"
      Principal = { AWS = local.report_roots }
      Action    = ["s3:GetObject", "s3:GetObjectVersion"]
      Resource  = concat([for prefix in local.read_prefixes : "BUCKET_ARN/${prefix}/*"], local.reports)
      Condition = {}
    },
    {
      Sid       = "ReadersFind"
      Effect    = "Allow"
      Principal = { AWS = local.report_roots }
      Action    = "s3:ListBucket"
      Resource  = "BUCKET_ARN"
      Condition = {}
    },
    {
      Sid       = "ReadersLeaveReports"
      Effect    = "Allow"
      Principal = { AWS = local.report_roots }
      Action    = "s3:PutObject"
      Resource  = local.reports
      Condition = {}
    },
  ] : statement if length(var.reader_accounts) > 0])

  denied = concat(
    [
      {
        # Of this account's own administrators, too, unless it writes itself: their own policies would do.
        Sid         = "NobodyElseWrites"
        Effect      = "Deny"
        Principal   = "*"
        Action      = "s3:PutObject"
        NotResource = local.reports
        Condition = { StringNotEquals = merge(
          length(var.writers) == 0 ? {} : { "aws:PrincipalAccount" = keys(var.writers) },
          var.organization_id == null ? {} : { "aws:PrincipalOrgID" = [var.organization_id] },
        ) }
      },
      {
        # Who reads leaves the reports of drills, and nothing else.
        Sid       = "NobodyElseReports"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = local.reports
        Condition = { StringNotEquals = { "aws:PrincipalAccount" = concat([local.account], var.reader_accounts) } }
      },
      {
        # A member of the organization may be this account, whose policies alone would do elsewhere in the bucket.
        Sid         = "EachBelowItsOwnNumber"
        Effect      = "Deny"
        Principal   = "*"
        Action      = "s3:PutObject"
        NotResource = concat(["BUCKET_ARN/${local.own_number}/*"], local.reports)
        Condition   = length(local.named) == 0 ? {} : { StringNotEquals = { "aws:PrincipalAccount" = keys(local.named) } }
      },
    ],
    [for account, prefix in local.named : {
      Sid         = "BelowItsPrefix${account}"
      Effect      = "Deny"
      Principal   = "*"
      Action      = "s3:PutObject"
      NotResource = concat(["BUCKET_ARN/${prefix}/*"], local.reports)
      Condition   = { StringEquals = { "aws:PrincipalAccount" = account } }
    }],
  )
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
        Sid    = "ReadBackups"
        Effect = "Allow"
        Action = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = concat(
          [for prefix in local.read_prefixes : "${local.bucket_arn}/${prefix}/*"],
          [for report in local.reports : replace(report, "BUCKET_ARN", local.bucket_arn)],
        )
      },
      {
        Sid      = "FindBackups"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.bucket_arn]
      },
      ], [for key in var.kms_key_arn == null ? [] : [var.kms_key_arn] : {
        Sid       = "OpenTheBucketsEncryption"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [key]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${local.dns_suffix}" } }
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
