output "state_machine_arn" {
  description = "To start a run by hand"
  value       = one(aws_sfn_state_machine.this[*].arn)
}

output "security_group_id" {
  description = "To be let into the databases' security groups"
  value       = one(aws_security_group.this[*].id)
}

output "plan_bucket" {
  description = "Where the plans are"
  value       = one(aws_s3_bucket.plans[*].id)
}

output "function_name" {
  description = "The function that plans, backs up and sums up"
  value       = one(aws_lambda_function.this[*].function_name)
}

output "cluster_arn" {
  description = "The cluster that tasks run on"
  value       = one(aws_ecs_cluster.this[*].arn)
}

output "log_groups" {
  description = "Names of the log groups, of `function` and `task`"
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.name }
}

output "queue_url" {
  description = "The queue of what could not be started"
  value       = one(aws_sqs_queue.not_started[*].url)
}

output "role_arns" {
  description = "Roles of `function` and `task`: what a bucket's or a key's policy of another account lets in"
  value = merge(
    { for role in aws_iam_role.function : "function" => role.arn },
    { for role in aws_iam_role.task : "task" => role.arn },
  )
}

output "alarm_names" {
  description = "Names of all alarms"
  value = concat(
    aws_cloudwatch_metric_alarm.failed_run[*].alarm_name,
    aws_cloudwatch_metric_alarm.no_run[*].alarm_name,
    aws_cloudwatch_metric_alarm.not_started[*].alarm_name,
  )
}
