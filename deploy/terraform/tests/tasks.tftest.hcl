# What runs, when, and what it is told.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  name               = "tools"
  image              = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs"
  cluster_arn        = "arn:aws:ecs:eu-west-1:111122223333:cluster/tools"
  subnet_ids         = ["subnet-1"]
  security_group_ids = ["sg-1"]
  bucket             = "acme-backups"
  public_keys        = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  alarm_emails       = ["platform@example.com"]
  backups = {
    orders = {
      schedule             = "cron(0 2 * * ? *)"
      host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      database_resource_id = "db-ABCDEFGHIJKL01234"
    }
  }
}

run "a_schedule_overrides_the_event_with_the_scheduled_time" {
  assert {
    condition = jsondecode(jsondecode(aws_scheduler_schedule.this["orders"].target[0].input).containerOverrides[0].environment[0].value) == {
      scheduled_time = "<aws.scheduler.scheduled-time>"
    }
    error_message = "The event of a schedule must have the scheduled time."
  }

  assert {
    condition = jsondecode(aws_scheduler_schedule.this["orders"].target[0].input) == {
      containerOverrides = [{
        name = jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].name
        environment = [{
          name  = "BACKUP_EVENT"
          value = "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"
        }]
      }]
    }
    error_message = "The input must be a TaskOverride for the container that there is."
  }

  # The scheduler looks for its word in the text, not in the JSON.
  assert {
    condition     = strcontains(aws_scheduler_schedule.this["orders"].target[0].input, "<aws.scheduler.scheduled-time>")
    error_message = "The angle brackets are escaped: the scheduler would not know its word."
  }

  assert {
    condition     = length(aws_scheduler_schedule.this["orders"].target[0].dead_letter_config) == 1
    error_message = "What cannot be started must end in the queue."
  }

  assert {
    condition     = aws_scheduler_schedule.this["orders"].target[0].dead_letter_config[0].arn == aws_sqs_queue.failed[0].arn
    error_message = "Dead letters must go to the queue that has an alarm."
  }
}

run "the_task_is_told_what_stands_here" {
  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].environment : pair.name => pair.value } == {
      OPENSSL_PUBLIC_KEY   = "[\"-----BEGIN PUBLIC KEY-----\\nMIIB\\n-----END PUBLIC KEY-----\\n\"]"
      PGSEAL_ALLOWED_HOSTS = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      PGSEAL_EVENT_FIELDS  = "action,scheduled_time"
      POSTGRES_AUTH        = "iam"
      POSTGRES_DATABASE    = "*"
      POSTGRES_HOST        = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      POSTGRES_USER        = "backup"
      REGION               = "eu-west-1"
      S3_BUCKET            = "acme-backups"
      S3_BUCKET_OWNER      = "111122223333"
      S3_PREFIX            = "backups/{host}"
    }
    error_message = "The variables of a plain backup are not these."
  }

  assert {
    condition = (aws_ecs_task_definition.this["orders"].cpu == "1024" && aws_ecs_task_definition.this["orders"].memory == "2048" &&
    aws_ecs_task_definition.this["orders"].runtime_platform[0].cpu_architecture == "X86_64")
    error_message = "1vCPU-2GB is 1024 and 2048."
  }
}

run "different_databases_with_different_settings" {
  variables {
    architecture       = "ARM64"
    retention          = "gfs"
    retention_timezone = "Europe/Berlin"
    retention_days     = { daily = 7 }
    signing_key_arn    = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
    bucket_owner       = "444455556666"
    bucket_region      = "eu-central-1"

    backups = {
      orders = {
        schedule             = "cron(0 2 * * ? *)"
        host                 = "Orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
        database_resource_id = "db-ABC"
        databases            = ["app", "billing"]
        event_defaults       = jsonencode({ rate_limit = "20M", globals = true })
        size                 = "16vCPU-32GB"
      }
      ledger = {
        schedule            = "rate(6 hours)"
        enabled             = false
        instance            = "Ledger"
        port                = 5433
        databases           = ["ledger"]
        password_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ledger-AbCdEf"
        event_defaults      = jsonencode({ tags = { team = "finance" }, tables = ["a", "b"] })
        environment         = { COMPRESSION = "zstd:3" }
        public_keys         = ["-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----\n"]
        retention           = "none"
      }
    }
  }

  assert {
    condition = jsondecode({ for pair in jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].environment : pair.name => pair.value }["PGSEAL_EVENT_DEFAULTS"]) == {
      database   = ["app", "billing"]
      globals    = true
      rate_limit = "20M"
    }
    error_message = "Several databases and the settings are the event's defaults."
  }

  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].environment : pair.name => pair.value if contains([
      "RETENTION", "RETENTION_TIMEZONE", "RETENTION_DAYS", "PGSEAL_SIGNING_KEY", "S3_BUCKET_OWNER", "POSTGRES_DATABASE", "POSTGRES_PORT", "S3_REGION"
      ], pair.name) } == {
      PGSEAL_SIGNING_KEY = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
      RETENTION          = "gfs"
      RETENTION_DAYS     = "daily=7,weekly=60,monthly=400,yearly=2600"
      RETENTION_TIMEZONE = "Europe/Berlin"
      S3_BUCKET_OWNER    = "444455556666"
      S3_REGION          = "eu-central-1"
    }
    error_message = "Retention, signing key or owner are not told."
  }

  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this["ledger"].container_definitions)[0].environment : pair.name => pair.value } == {
      COMPRESSION           = "zstd:3"
      OPENSSL_PUBLIC_KEY    = "[\"-----BEGIN PUBLIC KEY-----\\nMIIC\\n-----END PUBLIC KEY-----\\n\"]"
      PGSEAL_ALLOWED_HOSTS  = "*.eu-west-1.rds.amazonaws.com,*.rds.eu-west-1.amazonaws.com"
      PGSEAL_EVENT_DEFAULTS = "{\"password_secret\":\"arn:aws:secretsmanager:eu-west-1:111122223333:secret:ledger-AbCdEf\",\"tables\":[\"a\",\"b\"],\"tags\":{\"team\":\"finance\"}}"
      PGSEAL_EVENT_FIELDS   = "action,scheduled_time"
      PGSEAL_SIGNING_KEY    = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
      POSTGRES_AUTH         = "password"
      POSTGRES_DATABASE     = "ledger"
      POSTGRES_INSTANCE     = "Ledger"
      POSTGRES_PORT         = "5433"
      POSTGRES_USER         = "backup"
      REGION                = "eu-west-1"
      RETENTION_DAYS        = "daily=7,weekly=60,monthly=400,yearly=2600"
      S3_BUCKET             = "acme-backups"
      S3_BUCKET_OWNER       = "444455556666"
      S3_PREFIX             = "backups/{host}"
      S3_REGION             = "eu-central-1"
    }
    error_message = "The other backup has its own settings."
  }

  assert {
    condition = (aws_ecs_task_definition.this["orders"].cpu == "16384" && aws_ecs_task_definition.this["orders"].memory == "32768" &&
    aws_ecs_task_definition.this["ledger"].cpu == "1024" && aws_ecs_task_definition.this["ledger"].runtime_platform[0].cpu_architecture == "ARM64")
    error_message = "Each backup may have its own size."
  }

  assert {
    condition     = aws_scheduler_schedule.this["ledger"].state == "DISABLED" && aws_scheduler_schedule.this["orders"].state == "ENABLED"
    error_message = "A backup that is not enabled has a disabled schedule."
  }
}

run "recipients_from_parameter_store" {
  variables {
    public_keys          = []
    recipients_path      = "/pgseal/recipients"
    allowed_fingerprints = ["45d2ebf9", "0a1b2c3d"]
  }

  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].environment : pair.name => pair.value
      if contains(["OPENSSL_PUBLIC_KEY", "PGSEAL_ALLOWED_FINGERPRINTS"], pair.name) } == {
      OPENSSL_PUBLIC_KEY          = "ssm:/pgseal/recipients"
      PGSEAL_ALLOWED_FINGERPRINTS = "45d2ebf9,0a1b2c3d"
    }
    error_message = "The path and the fingerprints are not told."
  }
}

run "a_drill_restores_the_newest_backup" {
  variables {
    drill_image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:drill"
    drills = {
      orders = {
        backup         = "orders"
        database       = "app"
        key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf"
      }
    }
  }

  assert {
    condition = jsondecode(aws_ecs_task_definition.drill["orders"].container_definitions)[0].command == [
      "drill", "s3://acme-backups/backups/orders/latest:app", "--key", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf",
      "--report", "s3://acme-backups/drills/orders"
    ]
    error_message = "The command of the drill is another."
  }

  assert {
    condition     = aws_scheduler_schedule.this["orders_drill"].target[0].input == null
    error_message = "A drill takes no event."
  }

  assert {
    condition     = aws_scheduler_schedule.this["orders_drill"].target[0].ecs_parameters[0].task_definition_arn == aws_ecs_task_definition.drill["orders"].arn
    error_message = "The schedule must run the drill."
  }
}

run "nothing_is_made" {
  variables {
    create                   = false
    drill_image              = "pgseal:drill"
    drills                   = { orders = { backup = "orders", database = "app", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" } }
    create_security_group    = true
    vpc_id                   = "vpc-1"
    create_bucket            = true
    database_security_groups = { orders = { id = "sg-2" } }
  }

  assert {
    condition = length(concat(
      values(aws_ecs_task_definition.this), values(aws_ecs_task_definition.drill), values(aws_scheduler_schedule.this), aws_cloudwatch_log_group.this,
      aws_ecs_cluster.this, values(aws_iam_role.task), values(aws_iam_role.execution), values(aws_iam_role.scheduler), values(aws_iam_role_policy.task),
      values(aws_iam_role_policy.execution), values(aws_iam_role_policy.scheduler), module.bucket, aws_security_group.task, aws_security_group.drill,
      values(aws_vpc_security_group_egress_rule.https), values(aws_vpc_security_group_egress_rule.database), values(aws_vpc_security_group_egress_rule.database_cidr),
      values(aws_vpc_security_group_ingress_rule.database), aws_sqs_queue.failed, aws_sqs_queue_policy.failed, values(aws_cloudwatch_event_rule.failed),
      values(aws_cloudwatch_event_target.failed), aws_kms_key.topic, aws_sns_topic.this, aws_sns_topic_policy.this, values(aws_sns_topic_subscription.email),
      aws_cloudwatch_metric_alarm.failed, values(aws_cloudwatch_metric_alarm.missing), values(aws_cloudwatch_metric_alarm.size),
      values(aws_cloudwatch_metric_alarm.drill_failed), values(aws_cloudwatch_metric_alarm.drill_missing), aws_cloudwatch_dashboard.this,
    )) == 0
    error_message = "create = false must make nothing."
  }
}

run "two_calls_do_not_meet" {
  module {
    source = "./tests/two"
  }

  assert {
    condition     = length(setintersection(output.names.a, output.names.b)) == 0 && length(output.names.a) == 6 && length(output.names.b) == 6
    error_message = "Two calls have a name in common: ${join(", ", setintersection(output.names.a, output.names.b))}."
  }
}
