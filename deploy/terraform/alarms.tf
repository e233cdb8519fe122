# Alarms: a start or a task that failed, a backup that never came, a size out of the ordinary, drills. Metrics are the
# program's own (namespace pgseal), by server and database.

locals {
  # A database that is named is watched by itself: another one on its server, complete, would hide that it is missing.
  watched = local.makes_alarms ? merge([for key, backup in local.backups : {
    for database in backup.databases : "${key}/${database}" => {
      key        = key
      hours      = coalesce(backup.max_age_hours, var.max_age_hours)
      dimensions = merge({ Server = local.servers[key] }, database == "*" ? {} : { Database = local.encoded[database] })
    } if backup.enabled
  }]...) : {}

  watched_drills = { for key, drill in local.drills : key => {
    hours      = drill.max_age_hours
    dimensions = merge({ Server = local.drill_servers[key] }, local.drill_databases[key] == null ? {} : { Database = local.encoded[local.drill_databases[key]] })
  } if local.makes_alarms && drill.enabled }
}

# The number of messages that were sent, not of those that lie there: so the second failure alarms again.
resource "aws_cloudwatch_metric_alarm" "failed" {
  count = local.makes_alarms ? 1 : 0

  alarm_name          = "${var.name}/failed"
  alarm_description   = "A backup or drill failed or was not started: read the queue ${aws_sqs_queue.failed[0].name}. ${var.runbook}#a-task-failed"
  namespace           = "AWS/SQS"
  metric_name         = "NumberOfMessagesSent"
  dimensions          = { QueueName = aws_sqs_queue.failed[0].name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}

# Hours without a complete backup: what was never started tells nothing of itself. CloudWatch looks back 7 days at most.
resource "aws_cloudwatch_metric_alarm" "missing" {
  for_each = local.watched

  alarm_name          = "${var.name}/${each.key}/missing"
  alarm_description   = "No complete backup for ${each.value.hours} hours. ${var.runbook}#no-complete-backup"
  namespace           = "pgseal"
  metric_name         = "Complete"
  dimensions          = each.value.dimensions
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = each.value.hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}

# A dump that is suddenly half as large is complete, and still wrong.
resource "aws_cloudwatch_metric_alarm" "size" {
  for_each = var.size_band_width > 0 ? local.watched : {}

  alarm_name          = "${var.name}/${each.key}/size"
  alarm_description   = "A backup is smaller or larger than usual. ${var.runbook}#an-unusual-size"
  comparison_operator = "LessThanLowerOrGreaterThanUpperThreshold"
  evaluation_periods  = 1
  threshold_metric_id = "band"
  # Between backups there is nothing to say.
  treat_missing_data = "ignore"
  alarm_actions      = local.actions
  ok_actions         = local.actions
  tags               = var.tags

  metric_query {
    id          = "stored"
    return_data = true

    metric {
      namespace   = "pgseal"
      metric_name = "StoredBytes"
      dimensions  = each.value.dimensions
      stat        = "Average"
      period      = 3600
    }
  }

  metric_query {
    id          = "band"
    expression  = "ANOMALY_DETECTION_BAND(stored, ${var.size_band_width})"
    label       = "usual"
    return_data = true
  }
}

resource "aws_cloudwatch_metric_alarm" "drill_failed" {
  for_each = local.watched_drills

  alarm_name        = "${var.name}/${each.key}/drill failed"
  alarm_description = "A drill found a backup that does not restore. ${var.runbook}#a-drill-failed"
  namespace         = "pgseal"
  metric_name       = "DrillPassed"
  dimensions        = each.value.dimensions
  statistic         = "Minimum"
  # Short, so that a drill that is run again and passes is not in the period of the one that failed.
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  # Until the next drill the last one holds.
  treat_missing_data = "ignore"
  alarm_actions      = local.actions
  ok_actions         = local.actions
  tags               = var.tags
}

resource "aws_cloudwatch_metric_alarm" "drill_missing" {
  for_each = { for key, drill in local.watched_drills : key => drill if drill.hours > 0 }

  alarm_name          = "${var.name}/${each.key}/drill missing"
  alarm_description   = "No drill passed for ${each.value.hours} hours. ${var.runbook}#no-drill"
  namespace           = "pgseal"
  metric_name         = "DrillPassed"
  dimensions          = each.value.dimensions
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = each.value.hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}
