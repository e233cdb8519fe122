# What is kept for how long, and what the policy of the bucket forbids.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::acme-backups", id = "acme-backups" }
  }
}

variables {
  name = "acme-backups"
}

run "the_rules_are_those_of_lifecycle_json" {
  # Its own names, and one rule more: for what has no class.
  assert {
    condition = jsonencode({ for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id => {
      and        = try(rule.filter[0].and[0].tags, {})
      tag        = try({ (rule.filter[0].tag[0].key) = rule.filter[0].tag[0].value }, {})
      expiration = one(rule.expiration[*].days)
      noncurrent = one(rule.noncurrent_version_expiration[*].noncurrent_days)
      uploads    = one(rule.abort_incomplete_multipart_upload[*].days_after_initiation)
      } if rule.id != "untagged" }) == jsonencode({ for rule in jsondecode(file("../../../lifecycle.json")).Rules : rule.ID => {
      and        = try({ for tag in rule.Filter.And.Tags : tag.Key => tag.Value }, {})
      tag        = try({ (rule.Filter.Tag.Key) = rule.Filter.Tag.Value }, {})
      expiration = try(rule.Expiration.Days, null)
      noncurrent = try(rule.NoncurrentVersionExpiration.NoncurrentDays, null)
      uploads    = try(rule.AbortIncompleteMultipartUpload.DaysAfterInitiation, null)
    } })
    error_message = "deploy/lifecycle.json has other rules."
  }

  # S3 takes the earliest of all rules that fit.
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days if rule.id == "untagged"][0] > 2602
    error_message = "A rule without a tag would remove what is kept for years."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status == "Enabled"])
    error_message = "A rule is off."
  }
}

run "the_policy_is_that_of_bucket_policy_json" {
  assert {
    condition = alltrue([for statement in jsondecode(file("../../../bucket-policy.json")).Statement :
    contains(jsondecode(aws_s3_bucket_policy.this.policy).Statement, statement)])
    error_message = "deploy/bucket-policy.json has other statements."
  }

  # How long the longest lock is, that file cannot know.
  assert {
    condition = { for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Sid => try(statement.Condition, {}) if can(regex("Longest|Class|Mode", statement.Sid)) } == {
      NoLockIsLongerThanTheLongest = { NumericGreaterThan = { "s3:object-lock-remaining-retention-days" = "2600" } }
      LocksHaveTheModeOfTheBucket  = { Null = { "s3:object-lock-mode" = "false" }, StringNotEquals = { "s3:object-lock-mode" = "GOVERNANCE" } }
    }
    error_message = "No lock may be longer than the longest class, or of another mode, and each class is taken."
  }
}

run "a_bucket_is_locked_and_versioned" {
  assert {
    condition = (aws_s3_bucket.this.object_lock_enabled && aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" &&
      aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 13 &&
    aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].mode == "GOVERNANCE")
    error_message = "It must be locked for 13 days."
  }

  assert {
    condition = (aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy &&
      aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets &&
    aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced")
    error_message = "Nothing of it may be public."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0].sse_algorithm][0] == "AES256"
    error_message = "Without a key it is S3's own."
  }
}

run "days_of_ones_own" {
  variables {
    retention_days = { daily = 5, weekly = 30 }
    lock_days      = 4
    lock_mode      = "COMPLIANCE"
    kms_key_arn    = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
  }

  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id => rule.expiration[0].days if length(rule.expiration) > 0 } == {
      daily-manifests   = 5
      daily-objects     = 7
      weekly-manifests  = 30
      weekly-objects    = 32
      monthly-manifests = 400
      monthly-objects   = 402
      yearly-manifests  = 2600
      yearly-objects    = 2602
      untagged          = 2603
    }
    error_message = "A manifest goes two days before what it names."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0]][0] == { kms_master_key_id = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c", sse_algorithm = "aws:kms" }
    error_message = "The key is not used."
  }
}

run "without_classes" {
  variables {
    expiration_days = 30
    lock_days       = 29
  }

  # Another call that shares the bucket, or one whose last class has gone, finds out at once.
  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Sid == "NoClassThatWouldNotLast"] == [{
      Sid       = "NoClassThatWouldNotLast"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectTagging"]
      Resource  = "arn:aws:s3:::acme-backups/*"
      Condition = { "ForAnyValue:StringEquals" = { "s3:RequestObjectTagKeys" = ["retention"] } }
    }]
    error_message = "What should be kept for years would be gone after 30 days."
  }

  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Condition.NumericGreaterThan["s3:object-lock-remaining-retention-days"] if statement.Sid == "NoLockIsLongerThanTheLongest"] == ["30"]
    error_message = "Nothing may expire within its lock."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days if rule.id == "untagged"] == [30]
    error_message = "Without classes everything goes after expiration_days."
  }
}

run "no_lock" {
  variables {
    lock_mode = "NONE"
    lock_days = 1000
  }

  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "No lock was asked for."
  }

  # The bucket has Object Lock all the same: a writer could bind objects for years.
  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Sid == "LocksHaveTheModeOfTheBucket"] == [{
      Sid       = "LocksHaveTheModeOfTheBucket"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectRetention"]
      Resource  = "arn:aws:s3:::acme-backups/*"
      Condition = { Null = { "s3:object-lock-mode" = "false" } }
    }]
    error_message = "With NONE every lock is refused."
  }

  assert {
    condition     = strcontains(aws_s3_bucket_policy.this.policy, "NoLockIsLongerThanTheLongest")
    error_message = "A writer could lock for a century."
  }
}

run "nothing_expires_within_its_lock" {
  command = plan

  variables {
    lock_days = 14
  }

  expect_failures = [var.lock_days]
}

run "nothing_expires_within_its_lock_without_classes" {
  command = plan

  variables {
    expiration_days = 30
    lock_days       = 30
  }

  expect_failures = [var.lock_days]
}

run "a_class_of_one_day" {
  command = plan

  variables {
    retention_days = { daily = 1 }
    lock_mode      = "NONE"
  }

  expect_failures = [var.retention_days]
}

run "more_days_than_the_last_class" {
  variables {
    expiration_days = 3000
  }

  assert {
    condition = ([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days if rule.id == "untagged"] == [3000] &&
      !strcontains(aws_s3_bucket_policy.this.policy, "NoClassThatWouldNotLast") && strcontains(aws_s3_bucket_policy.this.policy, "\"3000\"") &&
    aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 13)
    error_message = "What has no class may stay longer than what has one."
  }
}

run "a_policy_that_s3_would_refuse" {
  command = plan

  variables {
    policy_statements = "[{\"Sid\": \"${join("", [for number in range(1000) : "a name that is thirty letters l"])}\"}]"
  }

  expect_failures = [aws_s3_bucket_policy.this]
}
