output "id" {
  description = "Name of the bucket, once all its settings stand"
  value       = aws_s3_bucket.this.id

  # Nothing is written before locks, versions and rules are there.
  depends_on = [
    aws_s3_bucket_lifecycle_configuration.this,
    aws_s3_bucket_object_lock_configuration.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}

output "arn" {
  description = "ARN of the bucket"
  value       = aws_s3_bucket.this.arn
}

output "untagged_days" {
  description = "Days after which what has no class expires"
  value       = local.untagged_days
}

output "policy" {
  description = "The policy of the bucket, as JSON"
  value       = aws_s3_bucket_policy.this.policy
}
