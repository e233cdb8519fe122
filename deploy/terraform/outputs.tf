output "task_definition_arns" {
  description = "By the names of `backups`: for `aws ecs run-task` by hand"
  value       = { for name, definition in aws_ecs_task_definition.this : name => definition.arn }
}

output "drill_task_definition_arns" {
  description = "By the names of `drills`: for `aws ecs run-task` by hand"
  value       = { for name, definition in aws_ecs_task_definition.drill : name => definition.arn }
}

output "task_role_arns" {
  description = "By the names of `backups`: what a bucket's or a key's policy of another account lets in"
  value       = { for name in keys(local.backups) : name => aws_iam_role.task[name].arn }
}

output "drill_role_arns" {
  description = "By the names of `drills`: what a secret's or a key's policy lets in"
  value       = { for name in keys(local.drills) : name => aws_iam_role.task["${name}_drill"].arn }
}

output "task_names" {
  description = "By the names of `backups`, and of `drills` with `_drill` behind them: what family, schedule and rule are named"
  value       = { for key, task in local.tasks : key => task.name }
}

output "log_group" {
  description = "Where every run tells what it did"
  value       = one(aws_cloudwatch_log_group.this[*].name)
}

output "reader_policy" {
  description = "JSON of a policy for anyone who verifies, drills and restores"
  value       = jsonencode({ Version = "2012-10-17", Statement = local.reader_statements })
}

output "bucket" {
  description = "Where the backups are"
  value       = var.create_bucket ? one(module.bucket[*].id) : var.bucket
}

output "cluster_arn" {
  description = "The cluster that the tasks run on"
  value       = local.cluster_arn
}

output "security_group_id" {
  description = "The security group that was made, of backups"
  value       = one(aws_security_group.task[*].id)
}

output "queue_url" {
  description = "The queue of what failed: each message is a schedule's or a task's end"
  value       = one(aws_sqs_queue.failed[*].url)
}

output "topic_arn" {
  description = "The topic that the alarms tell"
  value       = local.topic_arn
}

output "alarm_names" {
  description = "Names of all alarms"
  value = concat(
    aws_cloudwatch_metric_alarm.failed[*].alarm_name,
    [for alarm in aws_cloudwatch_metric_alarm.missing : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.size : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.drill_failed : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.drill_missing : alarm.alarm_name],
  )
}

output "dashboard_name" {
  description = "The dashboard"
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
