# A new bucket without a lock. In a file of its own: what an earlier run made would stay as it is.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::acme-backups", id = "acme-backups" }
  }
}

variables {
  name = "acme-backups"
}

run "a_lock_may_come_later" {
  variables {
    lock_mode = "NONE"
  }

  # Of the provider this argument replaces the bucket, and first takes its policy and rules away.
  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "lock_mode would replace the bucket."
  }
}
