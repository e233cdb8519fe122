# Scheduled backups and drills on an ECS cluster: a task definition, its roles and a schedule for each.

data "aws_caller_identity" "current" {
  count = var.create ? 1 : 0
}

data "aws_partition" "current" {
  count = var.create ? 1 : 0
}

data "aws_region" "current" {
  count = var.create ? 1 : 0
}

locals {
  account    = try(data.aws_caller_identity.current[0].account_id, "")
  partition  = try(data.aws_partition.current[0].partition, "")
  dns_suffix = try(data.aws_partition.current[0].dns_suffix, "")
  region     = try(data.aws_region.current[0].region, "")

  backups = var.create ? var.backups : {}
  drills  = var.create ? var.drills : {}

  # Fargate's table: GB of memory for each number of CPUs.
  memories = {
    "0.25" = ["0.5", "1", "2"]
    "0.5"  = range(1, 5)
    "1"    = range(2, 9)
    "2"    = range(4, 17)
    "4"    = range(8, 31)
    "8"    = range(16, 61, 4)
    "16"   = range(32, 121, 8)
  }
  sizes = merge([for cpus, memories in local.memories : {
    for memory in memories : "${cpus}vCPU-${memory}GB" => { cpu = tonumber(cpus) * 1024, memory = tonumber(memory) * 1024 }
  }]...)

  # What has a schedule. An underscore is in no name that is given, so the names of two calls or of two tasks never meet.
  tasks = merge(
    { for key, backup in local.backups : key => {
      name       = "${var.name}_${key}"
      schedule   = backup.schedule
      timezone   = backup.timezone
      is_enabled = backup.enabled
      image      = var.image
      secrets    = backup.secrets
      secret_key = backup.secret_kms_key_arns
    } },
    { for key, drill in local.drills : "${key}_drill" => {
      name       = "${var.name}_${key}_drill"
      schedule   = drill.schedule
      timezone   = drill.timezone
      is_enabled = drill.enabled
      image      = var.drill_image
      secrets    = {}
      secret_key = []
    } },
  )
  definitions = merge(
    { for key, definition in aws_ecs_task_definition.this : key => definition.arn },
    { for key, definition in aws_ecs_task_definition.drill : "${key}_drill" => definition.arn },
  )

  cluster_arn = var.create_cluster ? one(aws_ecs_cluster.this[*].arn) : var.cluster_arn
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:the key is the caller's choice; the logs hold neither secrets nor data
  #checkov:skip=CKV_AWS_338:the time is the caller's choice; its default is a year
  count = var.create ? 1 : 0

  name              = "/pgseal/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_cluster" "this" {
  #checkov:skip=CKV_AWS_65:what it costs is the caller's choice; the alarms here go by the program's own metrics
  count = var.create && var.create_cluster ? 1 : 0

  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.backups

  family                   = local.tasks[each.key].name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes[coalesce(each.value.size, var.size)].cpu
  memory                   = local.sizes[coalesce(each.value.size, var.size)].memory
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  tags                     = var.tags

  runtime_platform {
    cpu_architecture        = var.architecture
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
    environment = [for name, value in local.environment[each.key] : { name = name, value = value }]
    secrets     = [for name, arn in each.value.secrets : { name = name, valueFrom = arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this[0].name
        awslogs-region        = local.region
        awslogs-stream-prefix = each.key
      }
    }
  }])

  lifecycle {
    # A run in between would find no active revision of the family.
    create_before_destroy = true
  }
}

# --- a drill: it restores into a PostgreSQL server of its own, in the task ---

resource "aws_ecs_task_definition" "drill" {
  #checkov:skip=CKV_AWS_336:a drill's server has its data and its locales on the task's own disk, which goes with the task
  for_each = local.drills

  family                   = local.tasks["${each.key}_drill"].name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes[coalesce(each.value.size, var.drill_size)].cpu
  memory                   = local.sizes[coalesce(each.value.size, var.drill_size)].memory
  task_role_arn            = aws_iam_role.task["${each.key}_drill"].arn
  execution_role_arn       = aws_iam_role.execution["${each.key}_drill"].arn
  tags                     = var.tags

  runtime_platform {
    cpu_architecture        = var.architecture
    operating_system_family = "LINUX"
  }

  ephemeral_storage {
    size_in_gib = each.value.storage_gib
  }

  container_definitions = jsonencode([{
    name      = "pgseal"
    image     = var.drill_image
    essential = true
    command = [
      "drill", local.drill_locations[each.key].backup,
      "--key", each.value.key_secret_arn,
      "--report", local.drill_locations[each.key].report,
    ]
    # It begins as root and drops to two users of its own: for that it needs CHOWN, DAC_OVERRIDE, KILL, SETGID and SETUID,
    # which stay of what ECS gives.
    linuxParameters = { capabilities = { drop = [
      "AUDIT_WRITE", "FOWNER", "FSETID", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT",
    ] } }
    stopTimeout = 120
    environment = concat(
      [{ name = "REGION", value = local.region }, { name = "S3_BUCKET_OWNER", value = local.bucket_owner }],
      [for region in compact([var.bucket_region]) : { name = "S3_REGION", value = region }],
    )
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this[0].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "${each.key}-drill"
      }
    }
  }])

  lifecycle {
    # A run in between would find no active revision of the family.
    create_before_destroy = true
  }
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:the key is the caller's choice; a schedule holds names and times
  for_each = local.tasks

  name                         = each.value.name
  description                  = endswith(each.key, "_drill") ? "A drill of pgseal" : "A backup of pgseal"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.timezone
  state                        = each.value.is_enabled ? "ENABLED" : "DISABLED"
  kms_key_arn                  = var.schedule_kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.cluster_arn
    role_arn = aws_iam_role.scheduler[each.key].arn

    # The time that was meant names the backup, so that a second delivery finds it done. Plain quotes and angle
    # brackets are wanted here: jsonencode would escape the brackets, and the scheduler would not know its own word.
    input = (endswith(each.key, "_drill") ? null :
      "{\"containerOverrides\":[{\"name\":\"pgseal\",\"environment\":[{\"name\":\"BACKUP_EVENT\",\"value\":\"{\\\"scheduled_time\\\":\\\"<aws.scheduler.scheduled-time>\\\"}\"}]}]}"
    )

    ecs_parameters {
      task_definition_arn = local.definitions[each.key]
      launch_type         = "FARGATE"

      network_configuration {
        subnets          = var.subnet_ids
        security_groups  = endswith(each.key, "_drill") ? local.drill_security_group_ids : local.security_group_ids
        assign_public_ip = var.assign_public_ip
      }
    }

    dead_letter_config {
      arn = aws_sqs_queue.failed[0].arn
    }

    retry_policy {
      maximum_retry_attempts       = 1
      maximum_event_age_in_seconds = 3600
    }
  }

  # A run that starts before its roles may do everything would fail.
  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_iam_role_policy.scheduler]
}
