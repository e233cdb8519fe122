# Scheduled backups on an ECS cluster: one task definition, role and schedule for each entry of `backups`.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  bucket    = "arn:${local.partition}:s3:::${var.bucket}"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:the key is the caller's choice; the logs hold neither secrets nor data
  #checkov:skip=CKV_AWS_338:the time is the caller's choice; its default is a year
  name              = "/pgseal/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  for_each = var.backups

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name                   = "pgseal"
    image                  = var.image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    # The most that ECS waits between SIGTERM and SIGKILL: time to abort the upload.
    stopTimeout = 120
    environment = [for name, value in merge(
      {
        REGION    = local.region
        S3_BUCKET = var.bucket
        # A name that someone else has registered again gets no backup.
        S3_BUCKET_OWNER = coalesce(var.bucket_owner, local.account)
        # Entries share one bucket: the server's name keeps their backups apart.
        S3_PREFIX           = "${var.prefix}/{host}"
        OPENSSL_PUBLIC_KEY  = var.public_key
        POSTGRES_USER       = each.value.database_user
        PGSEAL_EVENT_FIELDS = "action,scheduled_time"
      },
      each.value.environment,
    ) : { name = name, value = value }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = local.region
        awslogs-stream-prefix = each.key
      }
    }
  }])
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:the key is the caller's choice; a schedule holds names and times
  for_each = var.backups

  name                         = "${var.name}-${each.key}"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.timezone
  kms_key_arn                  = var.schedule_kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.cluster_arn
    role_arn = aws_iam_role.scheduler.arn

    # The time that was meant names the backup, so that a second delivery finds it done. Plain quotes and angle
    # brackets are wanted here: jsonencode would escape the brackets, and the scheduler would not know its own word.
    input = "{\"containerOverrides\":[{\"name\":\"pgseal\",\"environment\":[{\"name\":\"BACKUP_EVENT\",\"value\":\"{\\\"scheduled_time\\\":\\\"<aws.scheduler.scheduled-time>\\\"}\"}]}]}"

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.this[each.key].arn
      launch_type         = "FARGATE"

      network_configuration {
        subnets          = var.subnet_ids
        security_groups  = var.security_group_ids
        assign_public_ip = false
      }
    }

    retry_policy {
      maximum_retry_attempts       = 1
      maximum_event_age_in_seconds = 3600
    }
  }
}
