output "bucket" {
  description = "Where the backups are"
  value       = module.pgseal.bucket
}

output "task_definition_arns" {
  description = "For `aws ecs run-task` by hand"
  value       = module.pgseal.task_definition_arns
}

output "reader_policy" {
  description = "For those who restore"
  value       = module.pgseal.reader_policy
}
