# How a failure is reported.

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

run "a_plain_backup" {
  assert {
    condition = [for alarm in [aws_cloudwatch_metric_alarm.missing["orders/*"]] : [alarm.namespace, alarm.metric_name, alarm.statistic, alarm.period,
      alarm.evaluation_periods, alarm.comparison_operator, alarm.threshold, alarm.treat_missing_data]][0] == [
    "pgseal", "Complete", "Sum", 3600, 26, "LessThanThreshold", 1, "breaching"]
    error_message = "26 hours without a complete backup must alarm, and a metric that is missing is none."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.missing["orders/*"].dimensions == tomap({ Server = "orders" })
    error_message = "All databases are watched by their server."
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.failed[0].metric_name == "NumberOfMessagesSent" && aws_cloudwatch_metric_alarm.failed[0].namespace == "AWS/SQS" &&
    aws_cloudwatch_metric_alarm.failed[0].dimensions == tomap({ QueueName = aws_sqs_queue.failed[0].name }) && aws_cloudwatch_metric_alarm.failed[0].treat_missing_data == "notBreaching")
    error_message = "The second failure must alarm again: by messages sent, not by messages there."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.failed["orders"].event_pattern) == {
      source      = ["aws.ecs"]
      detail-type = ["ECS Task State Change"]
      detail = {
        taskDefinitionArn = [{ prefix = "arn:aws:ecs:eu-west-1:111122223333:task-definition/tools_orders:" }]
        lastStatus        = ["STOPPED"]
        containers        = { name = ["pgseal"], exitCode = [{ anything-but = 0 }, { exists = false }] }
      }
    }
    error_message = "A task that ended badly must be reported, of whatever revision, and no agent beside it."
  }

  assert {
    condition     = aws_cloudwatch_event_target.failed["orders"].arn == aws_sqs_queue.failed[0].arn && aws_cloudwatch_event_target.failed["orders"].rule == "tools_orders"
    error_message = "It must end in the queue."
  }

  assert {
    condition = (jsondecode(aws_sqs_queue_policy.failed[0].policy).Statement[0].Condition.ArnLike["aws:SourceArn"] == "arn:aws:events:eu-west-1:111122223333:rule/tools_*" &&
    jsondecode(aws_sqs_queue_policy.failed[0].policy).Statement[0].Principal.Service == "events.amazonaws.com")
    error_message = "The queue must take what the rules send."
  }

  assert {
    condition = alltrue([for alarm in concat(aws_cloudwatch_metric_alarm.failed, values(aws_cloudwatch_metric_alarm.missing)) :
    length(setunion(alarm.alarm_actions, alarm.ok_actions, [aws_sns_topic.this[0].arn])) == 1 && length(alarm.ok_actions) == 1])
    error_message = "Each alarm must tell the topic, and tell it when it is over."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.size) == 0
    error_message = "No band of sizes was asked for."
  }

  assert {
    condition     = length(aws_kms_key.topic) == 1 && jsondecode(aws_kms_key.topic[0].policy).Statement[1].Principal.Service == "cloudwatch.amazonaws.com"
    error_message = "CloudWatch must be able to use the topic's key."
  }
}

run "several_backups_of_one_server" {
  variables {
    create_topic    = false
    alarm_emails    = []
    topic_arn       = "arn:aws:sns:eu-west-1:111122223333:operations"
    size_band_width = 2
    max_age_hours   = 168
    drill_image     = "pgseal:drill"
    backups = {
      app = {
        schedule             = "rate(1 hour)"
        host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
        database_resource_id = "db-ABC"
        databases            = ["app"]
        max_age_hours        = 2
      }
      others = {
        schedule             = "rate(7 days)"
        host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
        database_resource_id = "db-ABC"
        databases            = ["billing", "ledger"]
      }
      paused = {
        schedule             = "rate(1 day)"
        enabled              = false
        host                 = "10.0.0.5"
        database_resource_id = "db-ABC"
      }
    }
    drills = {
      app   = { backup = "app", database = "app", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" }
      other = { server = "ledger", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", max_age_hours = 0 }
    }
  }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.missing : key => [alarm.dimensions, alarm.evaluation_periods] } == {
      "app/app"        = [tomap({ Server = "orders", Database = "app" }), 2]
      "others/billing" = [tomap({ Server = "orders", Database = "billing" }), 168]
      "others/ledger"  = [tomap({ Server = "orders", Database = "ledger" }), 168]
    }
    error_message = "Each database that is named is watched by itself, and none that is paused."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.missing : alarm.period * alarm.evaluation_periods <= 604800])
    error_message = "CloudWatch looks back 7 days."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.missing : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:operations"])])
    error_message = "The topic that is given must hear."
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.size : alarm.threshold_metric_id == "band" &&
    contains(alarm.metric_query[*].expression, "ANOMALY_DETECTION_BAND(stored, 2)")]) && length(aws_cloudwatch_metric_alarm.size) == 3
    error_message = "The band must be what the size is held against."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.drill_failed["app"].dimensions == tomap({ Server = "orders", Database = "app" }) && aws_cloudwatch_metric_alarm.drill_failed["other"].dimensions == tomap({ Server = "ledger" })
    error_message = "A drill is watched where its metric is."
  }

  # A drill that is run again and passes ends the alarm, in the same hour, too.
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.drill_failed : alarm.period == 300 && alarm.treat_missing_data == "ignore"])
    error_message = "The alarm of a drill would stay on after one that passed."
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.drill_missing) == ["app"] && aws_cloudwatch_metric_alarm.drill_missing["app"].evaluation_periods == 120 && aws_cloudwatch_metric_alarm.drill_missing["app"].treat_missing_data == "breaching"
    error_message = "A drill that never comes must alarm, unless that was not wanted."
  }

  assert {
    condition     = length(distinct(output.alarm_names)) == length(output.alarm_names) && length(output.alarm_names) == 1 + 3 + 3 + 2 + 1
    error_message = "Two alarms have one name."
  }

  assert {
    condition     = length(aws_sns_topic.this) == 0 && length(aws_kms_key.topic) == 0
    error_message = "A topic was given."
  }

  assert {
    condition = toset(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.metrics[*][1]])) == toset([
    "Complete", "DumpedBytes", "StoredBytes", "CompressionRatio", "Duration", "Throttled", "Rows", "Warnings", "DrillPassed", "DrillDuration"])
    error_message = "The dashboard shows other metrics than the program has."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets[0].properties.metrics == [["pgseal", "Complete", "Server", "orders"], ["pgseal", "Complete", "Server", "10.0.0.5"], ["pgseal", "Complete", "Server", "ledger"]]
    error_message = "Each server has one line."
  }
}

# The program percent-encodes them, in keys and metrics: everything but A-Z a-z 0-9 . _ -
run "names_that_are_encoded" {
  variables {
    drill_image = "pgseal:drill"
    backups = {
      orders = {
        schedule             = "rate(1 day)"
        host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
        database_resource_id = "db-ABC"
        databases            = ["my app", "Müller", "a+b~c", "a.b_c-d", "x/y*z"]
      }
      six = {
        schedule             = "rate(1 day)"
        host                 = "fd00::5"
        database_resource_id = "db-ABC"
        databases            = ["my app"]
      }
    }
    drills = { six = { backup = "six", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" } }
  }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.missing : key => [alarm.dimensions["Server"], alarm.dimensions["Database"]] } == {
      "orders/my app"  = ["orders", "my%20app"]
      "orders/Müller"  = ["orders", "M%C3%BCller"]
      "orders/a+b~c"   = ["orders", "a%2Bb%7Ec"]
      "orders/a.b_c-d" = ["orders", "a.b_c-d"]
      "orders/x/y*z"   = ["orders", "x%2Fy%2Az"]
      "six/my app"     = ["fd00::5", "my%20app"]
    }
    error_message = "An alarm by a name that the program encodes would never end."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.drill_missing["six"].dimensions == tomap({ Server = "fd00::5", Database = "my%20app" })
    error_message = "The same goes for drills."
  }

  assert {
    condition = (strcontains(aws_iam_role_policy.task["six"].policy, "acme-backups/backups/fd00%3A%3A5/*") &&
    jsondecode(aws_ecs_task_definition.drill["six"].container_definitions)[0].command[1] == "s3://acme-backups/backups/fd00%3A%3A5/latest:my app")
    error_message = "The folder of a server has an encoded name."
  }
}
