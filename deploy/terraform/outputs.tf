output "task_definition_arns" {
  description = "By the names of `backups`: for `aws ecs run-task` by hand"
  value       = { for name, definition in aws_ecs_task_definition.this : name => definition.arn }
}

output "log_group" {
  description = "Where every run tells what it did"
  value       = aws_cloudwatch_log_group.this.name
}

output "reader_policy" {
  description = "JSON of a policy for anyone who verifies, drills and restores"
  value       = data.aws_iam_policy_document.reader.json
}
