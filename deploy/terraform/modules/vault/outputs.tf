output "bucket" {
  description = "Name of the bucket: `bucket` of the writing account's module"
  value       = one(module.bucket[*].id)
}

output "bucket_arn" {
  description = "ARN of the bucket"
  value       = one(module.bucket[*].arn)
}

output "prefixes" {
  description = "By a writer's number: `prefix` of its module"
  value       = { for account, writer in var.writers : account => coalesce(writer.prefix, "${var.prefix}/${account}") if var.create }
}

output "reader_role_arn" {
  description = "The role that lists, verifies and restores; null without `reader_principals`"
  value       = one(aws_iam_role.reader[*].arn)
}

output "policy" {
  description = "The policy of the bucket, as JSON"
  value       = one(module.bucket[*].policy)
}
