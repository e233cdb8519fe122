# Alarms: a run that failed, no run at all, and one that could not be started.

locals {
  actions = compact([var.topic_arn])
}

resource "aws_cloudwatch_metric_alarm" "failed_run" {
  count = var.create ? 1 : 0

  alarm_name          = "${var.name}/failed run"
  alarm_description   = "A run of the fleet failed, or more databases have no backup than is tolerated. ${var.runbook}#fleet"
  namespace           = "AWS/States"
  metric_name         = "ExecutionsFailed"
  dimensions          = { StateMachineArn = aws_sfn_state_machine.this[0].arn }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  tags                = var.tags
}

# What was never started tells nothing of itself. Without a schedule nothing is overdue.
resource "aws_cloudwatch_metric_alarm" "no_run" {
  count = var.create && var.schedule_enabled ? 1 : 0

  alarm_name          = "${var.name}/no run"
  alarm_description   = "No run of the fleet's schedule succeeded for ${var.max_age_hours} hours. ${var.runbook}#fleet"
  namespace           = "pgseal"
  metric_name         = "ScheduledRuns"
  dimensions          = { StateMachine = aws_sfn_state_machine.this[0].name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.max_age_hours
  datapoints_to_alarm = var.max_age_hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "not_started" {
  count = var.create ? 1 : 0

  alarm_name          = "${var.name}/not started"
  alarm_description   = "A run of the fleet could not be started. ${var.runbook}#fleet"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.not_started[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}
