# What is refused since S3, CloudWatch or a drill would do something else than is meant, without a word.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  name               = "tools"
  image              = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs"
  cluster_arn        = "arn:aws:ecs:eu-west-1:111122223333:cluster/tools"
  subnet_ids         = ["subnet-1"]
  security_group_ids = ["sg-1"]
  bucket             = "acme-backups"
  public_keys        = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  alarm_emails       = ["platform@example.com"]
  backups = {
    orders = {
      schedule             = "cron(0 2 * * ? *)"
      host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      database_resource_id = "db-ABCDEFGHIJKL01234"
    }
  }
}

run "no_address" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}

run "event_fields_without_the_scheduled_time" {
  command = plan

  variables {
    event_fields = ["action"]
  }

  expect_failures = [var.event_fields]
}

run "a_drill_of_one_of_many" {
  command = plan

  variables {
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "orders" } }
  }

  expect_failures = [var.drills]
}

run "a_drill_of_one_of_two" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      databases            = ["app", "billing"]
    } }
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "a" } }
  }

  expect_failures = [var.drills]
}

run "a_drill_of_a_database_that_is_not_backed_up" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      databases            = ["app", "billing"]
    } }
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "a", database = "ap" } }
  }

  expect_failures = [var.drills]
}

run "a_lock_by_class_without_a_class" {
  command = plan

  variables {
    lock_mode = "COMPLIANCE"
  }

  expect_failures = [var.lock_mode]
}

run "a_lock_by_class_of_one_backup_without_a_class" {
  command = plan

  variables {
    lock_mode = "COMPLIANCE"
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      retention            = "none"
    } }
  }

  expect_failures = [var.lock_mode]
}

run "classes_that_go_with_what_has_none" {
  command = plan

  variables {
    create_bucket   = true
    retention       = "gfs"
    expiration_days = 90
  }

  expect_failures = [var.expiration_days]
}

run "a_class_of_one_backup_that_goes_with_what_has_none" {
  command = plan

  variables {
    create_bucket   = true
    expiration_days = 2602
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      retention            = "daily"
    } }
  }

  expect_failures = [var.expiration_days]
}

run "a_policy_of_anothers_bucket" {
  command = plan

  variables {
    bucket_policy_statements = jsonencode([{ Effect = "Deny" }])
  }

  expect_failures = [var.bucket_policy_statements]
}

run "a_policy_that_is_no_list" {
  command = plan

  variables {
    create_bucket            = true
    bucket_policy_statements = "TlsOnly"
  }

  expect_failures = [var.bucket_policy_statements]
}

run "insights_that_there_are_not" {
  command = plan

  variables {
    container_insights = "on"
  }

  expect_failures = [var.container_insights]
}

run "a_lock_of_another_mode_than_the_bucket_takes" {
  command = plan

  variables {
    create_bucket = true
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      event_defaults       = jsonencode({ object_lock = { mode = "COMPLIANCE", days = 7 } })
    } }
  }

  expect_failures = [var.lock_mode]
}

run "locks_that_are_asked_for" {
  command = plan

  variables {
    lock_mode = "COMPLIANCE"
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      event_defaults       = jsonencode({ object_lock = { mode = "COMPLIANCE", days = 30 } })
    } }
  }
}
