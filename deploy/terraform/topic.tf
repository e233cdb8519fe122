# How a failure is reported: what fails goes to a queue or is missing from a metric; alarms watch both and notify one topic.

locals {
  makes_alarms = var.create && var.create_alarms
  makes_topic  = local.makes_alarms && var.create_topic
  topic_arn    = var.create_topic ? one(aws_sns_topic.this[*].arn) : var.topic_arn
  actions      = compact([local.topic_arn])
}

# What was not started, and every task that ended badly.
resource "aws_sqs_queue" "failed" {
  #checkov:skip=CKV_AWS_27:it is encrypted with SQS's own key; the check knows KMS alone
  count = var.create ? 1 : 0

  name                      = "${var.name}_failed"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

# Who sends by a role of its own, as the schedulers do, needs nothing here.
resource "aws_sqs_queue_policy" "failed" {
  count = var.create ? 1 : 0

  queue_url = aws_sqs_queue.failed[0].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "HearOfFailedTasks"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.failed[0].arn
        Condition = { ArnLike = { "aws:SourceArn" = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.name}_*" } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.failed[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# A task that fails is no error of anything else. Without an exit code it was never started (no image, no memory). Of whatever
# cluster and revision: a task that was run by hand is a backup, too.
resource "aws_cloudwatch_event_rule" "failed" {
  for_each = local.tasks

  name        = each.value.name
  description = "Tasks of ${each.value.name} that stopped without success"
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      taskDefinitionArn = [{ prefix = "arn:${local.partition}:ecs:${local.region}:${local.account}:task-definition/${each.value.name}:" }]
      lastStatus        = ["STOPPED"]
      # By name: what GuardDuty or another agent puts beside it may end as it likes.
      containers = {
        name     = ["pgseal"]
        exitCode = [{ anything-but = 0 }, { exists = false }]
      }
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  for_each = local.tasks

  rule      = aws_cloudwatch_event_rule.failed[each.key].name
  target_id = "failed"
  arn       = aws_sqs_queue.failed[0].arn
}

# --- the topic that is made ---

# CloudWatch may not use the key that AWS manages for SNS: an encrypted topic that alarms reach needs one of its own.
resource "aws_kms_key" "topic" {
  count = local.makes_topic ? 1 : 0

  description         = "Alarms of ${var.name}"
  enable_key_rotation = true
  tags                = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountsOwn"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "AlarmsTell"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_sns_topic" "this" {
  count = local.makes_topic ? 1 : 0

  name              = "${var.name}_alarms"
  kms_master_key_id = aws_kms_key.topic[0].arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "this" {
  count = local.makes_topic ? 1 : 0

  arn = aws_sns_topic.this[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsTell"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this[0].arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = local.makes_topic ? toset(var.alarm_emails) : []

  topic_arn = aws_sns_topic.this[0].arn
  protocol  = "email"
  endpoint  = each.key
}
