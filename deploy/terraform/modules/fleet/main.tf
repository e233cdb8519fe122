# All servers of an account and region: a state machine that plans their backups, makes them by a function or, if they are large,
# by tasks, and tells what came of it. It is deploy/fleet.yaml in Terraform; the bucket for the backups is made elsewhere.

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
  partition  = try(data.aws_partition.current[0].partition, "aws")
  dns_suffix = try(data.aws_partition.current[0].dns_suffix, "")
  region     = try(data.aws_region.current[0].region, "")

  locks_by_class = var.retention != "none" && var.lock_mode != "NONE"

  # What both are told, so that a backup is the same wherever it runs.
  environment = merge(
    {
      REGION = local.region
      # A token goes to no other host.
      PGSEAL_ALLOWED_HOSTS = coalesce(join(",", var.allowed_hosts), "*.${local.region}.rds.${local.dns_suffix},*.rds.${local.region}.${local.dns_suffix}")
      PGSEAL_EVENT_FIELDS  = "action,scheduled_time,database,instance,host,port,discover,exclude_databases"
      POSTGRES_USER        = var.database_user
      S3_BUCKET            = coalesce(var.bucket, "-")
      # A name that someone else has registered again gets no backup.
      S3_BUCKET_OWNER = coalesce(var.bucket_owner, local.account, "-")
      # Backups share one bucket: the server's name keeps them apart.
      S3_PREFIX                   = "${var.prefix}/{host}"
      OPENSSL_PUBLIC_KEY          = "ssm:${var.recipients_path}"
      PGSEAL_ALLOWED_FINGERPRINTS = join(",", var.allowed_fingerprints)
      RATE_LIMIT                  = var.rate_limit
      COMPRESSION                 = var.compression
    },
    { for arn in compact([var.signing_key_arn]) : "PGSEAL_SIGNING_KEY" => arn },
    var.retention == "none" ? {} : { RETENTION = var.retention, RETENTION_TIMEZONE = var.retention_timezone },
    # The lock of its class, and not the bucket's own, which is that of a daily backup.
    local.locks_by_class ? { PGSEAL_EVENT_DEFAULTS = jsonencode({ object_lock = { mode = var.lock_mode } }) } : {},
    { RETENTION_DAYS = join(",", [for class in ["daily", "weekly", "monthly", "yearly"] : "${class}=${var.retention_days[class]}"]) },
  )

  # As JSON that was read and written again: its angle brackets are escaped, so that neither the scheduler nor EventBridge takes
  # them for a word of its own. Those that are meant stand in the texts below.
  discover = try(jsonencode(jsondecode(var.discover)), "{}")
  chosen   = "\"database\":${length(var.databases) == 1 ? jsonencode(var.databases[0]) : jsonencode(var.databases)},\"exclude_databases\":${jsonencode(var.exclude_databases)}"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:the key is the caller's choice; the logs hold neither secrets nor data
  #checkov:skip=CKV_AWS_338:the time is the caller's choice
  for_each = toset(var.create ? ["function", "task"] : [])

  name              = "/pgseal/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

# --- the function: plans, small backups, the summary ---

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:the log tells how long each part takes
  #checkov:skip=CKV_AWS_115:servers_at_once limits how many run; a reserve would starve small accounts
  #checkov:skip=CKV_AWS_116:the state machine calls it, and hears of each failure
  #checkov:skip=CKV_AWS_173:Lambda encrypts variables with its own key; these hold no secret
  #checkov:skip=CKV_AWS_272:Lambda signs no images
  count = var.create ? 1 : 0

  function_name = var.name
  description   = "Plans the backups of many servers, and makes the small ones"
  package_type  = "Image"
  image_uri     = var.function_image
  architectures = [lower(var.architecture)]
  memory_size   = var.memory_size
  # The most that Lambda gives.
  timeout = 900
  role    = aws_iam_role.function[0].arn
  tags    = var.tags

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = aws_security_group.this[*].id
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this["function"].name
  }

  environment {
    variables = merge(local.environment, {
      PGSEAL_PLAN_LOCATION      = "s3://${aws_s3_bucket.plans[0].id}/plans"
      PGSEAL_TOLERATED_FAILURES = tostring(var.tolerated_failures)
    })
  }

  # Lambda tries the network with the role's rights while it makes the function.
  depends_on = [aws_iam_role_policy.function]
}

# --- the task: large backups ---

resource "aws_ecs_cluster" "this" {
  #checkov:skip=CKV_AWS_65:Container Insights cost more than the tasks
  count = var.create ? 1 : 0

  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  count = var.create ? 1 : 0

  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  # Each run has the size of its own item.
  cpu                = 1024
  memory             = 2048
  task_role_arn      = aws_iam_role.task[0].arn
  execution_role_arn = aws_iam_role.execution[0].arn
  tags               = var.tags

  runtime_platform {
    cpu_architecture        = var.architecture
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name                   = "pgseal"
    image                  = var.task_image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    # The most that ECS waits between SIGTERM and SIGKILL: time to abort the upload.
    stopTimeout = 120
    environment = [for name, value in local.environment : { name = name, value = value }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["task"].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "pgseal"
      }
    }
  }])

  lifecycle {
    # A run in between would find no active revision of the family.
    create_before_destroy = true
  }
}

# --- the state machine ---

resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_284:each execution keeps its own history for 90 days
  #checkov:skip=CKV_AWS_285:each execution keeps its own history for 90 days
  count = var.create ? 1 : 0

  name     = var.name
  role_arn = aws_iam_role.state_machine[0].arn
  tags     = var.tags

  # The file stands outside of this folder, since deploy/fleet.yaml has the same definition. Terraform copies whole repositories,
  # so a `source` with `//deploy/terraform/modules/fleet` in it finds it, too.
  definition = templatefile("${path.module}/../../../fleet.asl.json", {
    FunctionArn     = aws_lambda_function.this[0].arn
    ClusterArn      = aws_ecs_cluster.this[0].arn
    TaskFamily      = aws_ecs_task_definition.this[0].family
    Subnets         = join(",", var.subnet_ids)
    SecurityGroups  = aws_security_group.this[0].id
    AssignPublicIp  = var.assign_public_ip ? "ENABLED" : "DISABLED"
    ServersAtOnce   = var.servers_at_once
    DatabasesAtOnce = var.databases_at_once
    EventBus        = "default"
    Partition       = local.partition
  })

  # Step Functions looks whether the role may do what the definition asks for. A run that starts before would fail.
  depends_on = [aws_iam_role_policy.state_machine, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

# --- when it runs ---

# Where it could not even be started.
resource "aws_sqs_queue" "not_started" {
  #checkov:skip=CKV_AWS_27:it is encrypted with SQS's own key; the check knows KMS alone
  count = var.create ? 1 : 0

  name                      = "${var.name}_not_started"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

# The schedule sends by its role. A rule has no role for what it could not start: the queue itself must let it in.
resource "aws_sqs_queue_policy" "not_started" {
  count = var.create ? 1 : 0

  queue_url = aws_sqs_queue.not_started[0].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.not_started[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      [for rule in aws_cloudwatch_event_rule.rds : {
        Sid       = "KeepEventsOfRds"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.not_started[0].arn
        Condition = { ArnEquals = { "aws:SourceArn" = rule.arn } }
      }],
    )
  })
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:a schedule holds nothing but a time and what is meant
  count = var.create ? 1 : 0

  name                         = var.name
  description                  = "Backups of many servers by pgseal"
  schedule_expression          = var.schedule
  schedule_expression_timezone = var.schedule_timezone
  state                        = var.schedule_enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.this[0].arn
    role_arn = aws_iam_role.scheduler[0].arn
    # The time that was meant names the backups, so that a second delivery finds them done.
    input = "{\"scheduled\":{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\",\"discover\":${local.discover},${local.chosen}}}"

    dead_letter_config {
      arn = aws_sqs_queue.not_started[0].arn
    }

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}

resource "aws_cloudwatch_event_rule" "rds" {
  count = var.create && length(var.rds_event_ids) > 0 ? 1 : 0

  name        = "${var.name}_rds"
  description = "Events of RDS that start a backup of their own server"
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.rds"]
    detail-type = ["RDS DB Instance Event", "RDS DB Cluster Event"]
    detail      = { EventID = var.rds_event_ids }
  })
}

resource "aws_cloudwatch_event_target" "rds" {
  count = length(aws_cloudwatch_event_rule.rds)

  rule      = aws_cloudwatch_event_rule.rds[0].name
  target_id = "fleet"
  arn       = aws_sfn_state_machine.this[0].arn
  role_arn  = aws_iam_role.scheduler[0].arn

  input_transformer {
    input_paths = { time = "$.time", server = "$.detail.SourceIdentifier" }
    # Of the servers that are meant, this one: events come of all that the account has, of MySQL too.
    input_template = "{\"scheduled_time\":\"<time>\",\"discover\":{\"only\":[\"<server>\"]${local.discover == "{}" ? "}" : ",${substr(local.discover, 1, -1)}"},${local.chosen}}"
  }

  dead_letter_config {
    arn = aws_sqs_queue.not_started[0].arn
  }

  depends_on = [aws_iam_role_policy.scheduler]
}
