# Who may do what: the task backs up, ECS starts it, the scheduler asks for it.

data "aws_iam_policy_document" "trust" {
  for_each = toset(["ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"])

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.key]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "task" {
  for_each = var.backups

  statement {
    sid     = "LogIn"
    actions = ["rds-db:connect"]
    resources = [
      "arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:${each.value.database_resource_id}/${each.value.database_user}",
    ]
  }

  # The name is an instance's or a cluster's: which, is what the task looks up.
  dynamic "statement" {
    for_each = compact([lookup(each.value.environment, "POSTGRES_INSTANCE", "")])
    content {
      sid     = "FindTheDatabase"
      actions = ["rds:DescribeDBInstances", "rds:DescribeDBClusters"]
      resources = [
        for kind in ["db", "cluster"] : "arn:${local.partition}:rds:${local.region}:${local.account}:${kind}:${lower(statement.value)}"
      ]
    }
  }

  statement {
    sid       = "WriteBackups"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.bucket}/${var.prefix}/*"]
  }

  # The manifest of this event, if one stands: is it of this very order? No dump and no key can be read.
  statement {
    sid       = "SeeWhetherItIsDone"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket}/${var.prefix}/*.manifest.jsonl"]
  }

  statement {
    sid       = "FindTheBucket"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [local.bucket]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      sid       = "UseTheKmsKey"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "task" {
  for_each           = var.backups
  name               = "${var.name}-${each.key}-task"
  assume_role_policy = data.aws_iam_policy_document.trust["ecs-tasks.amazonaws.com"].json
}

resource "aws_iam_role_policy" "task" {
  for_each = var.backups
  name     = "backup"
  role     = aws_iam_role.task[each.key].id
  policy   = data.aws_iam_policy_document.task[each.key].json
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.trust["ecs-tasks.amazonaws.com"].json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions   = ["ecs:RunTask"]
    resources = [for definition in aws_ecs_task_definition.this : definition.arn]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster_arn]
    }
  }

  statement {
    actions   = ["iam:PassRole"]
    resources = concat([aws_iam_role.execution.arn], [for role in aws_iam_role.task : role.arn])
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name               = "${var.name}-scheduler"
  assume_role_policy = data.aws_iam_policy_document.trust["scheduler.amazonaws.com"].json
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "run-task"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

# For anyone who verifies, drills and restores: not attached to anything here.
data "aws_iam_policy_document" "reader" {
  # What is read of a versioned bucket is pinned to its version.
  statement {
    sid       = "ReadBackups"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${local.bucket}/${var.prefix}/*"]
  }

  statement {
    sid       = "FindBackups"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      sid       = "OpenTheBucketsEncryption"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}
