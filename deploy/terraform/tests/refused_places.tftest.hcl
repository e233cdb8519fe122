# What is refused of names, places, networks, topics and drills: each before anything is made.

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

run "a_user_that_is_a_pattern" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    database_user = "*" } }
  }

  expect_failures = [var.backups]
}

run "defaults_that_are_no_json" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    event_defaults = "globals: true" } }
  }

  expect_failures = [var.backups]
}

run "defaults_that_are_a_list" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    event_defaults = "[1]" } }
  }

  expect_failures = [var.backups]
}

run "defaults_that_name_another_bucket" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    event_defaults = jsonencode({ bucket = "elsewhere" }) } }
  }

  expect_failures = [var.backups]
}

run "a_variable_that_is_the_modules_own" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    environment = { S3_BUCKET = "elsewhere" } } }
  }

  expect_failures = [var.backups]
}

run "a_password_in_the_environment" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    environment = { PGPASSWORD = "hunter2" } } }
  }

  expect_failures = [var.backups]
}

run "databases_and_all_of_them" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    databases = ["*", "app"] } }
  }

  expect_failures = [var.backups]
}

run "an_unknown_class" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    retention = "hourly" } }
  }

  expect_failures = [var.backups]
}

run "a_name_with_an_underscore" {
  command = plan

  variables {
    backups = { a_b = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    } }
  }

  expect_failures = [var.backups]
}

run "an_underscore_in_the_calls_name" {
  command = plan

  variables {
    name = "tools_b"
  }

  expect_failures = [var.name]
}

run "a_long_name" {
  command = plan

  variables {
    name = "a23456789-123456789-12345"
  }

  expect_failures = [var.name]
}

run "no_topic" {
  command = plan

  variables {
    create_topic = false
    alarm_emails = []
  }

  expect_failures = [var.topic_arn]
}

run "two_topics" {
  command = plan

  variables {
    topic_arn = "arn:aws:sns:eu-west-1:111122223333:operations"
  }

  expect_failures = [var.topic_arn]
}

run "no_cluster" {
  command = plan

  variables {
    cluster_arn = null
  }

  expect_failures = [var.cluster_arn]
}

run "two_clusters" {
  command = plan

  variables {
    create_cluster = true
  }

  expect_failures = [var.cluster_arn]
}

run "no_bucket" {
  command = plan

  variables {
    bucket = null
  }

  expect_failures = [var.bucket]
}

run "anothers_bucket_that_is_made" {
  command = plan

  variables {
    create_bucket = true
    bucket_owner  = "444455556666"
  }

  expect_failures = [var.bucket_owner]
}

run "a_prefix_with_a_wildcard" {
  command = plan

  variables {
    prefix = "backups/*"
  }

  expect_failures = [var.prefix]
}

run "an_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:alias/backups"
  }

  expect_failures = [var.kms_key_arn]
}

run "an_alias_that_signs" {
  command = plan

  variables {
    signing_key_arn = "alias/signing"
  }

  expect_failures = [var.signing_key_arn]
}

run "a_group_without_a_vpc" {
  command = plan

  variables {
    create_security_group = true
    database_cidr_blocks  = ["10.0.0.0/8"]
  }

  expect_failures = [var.vpc_id]
}

run "a_group_that_reaches_nothing" {
  command = plan

  variables {
    create_security_group = true
    vpc_id                = "vpc-1"
  }

  expect_failures = [var.database_security_groups]
}

run "a_group_twice" {
  command = plan

  variables {
    create_security_group    = true
    vpc_id                   = "vpc-1"
    database_security_groups = { a = { id = "sg-2" }, b = { id = "sg-2" } }
  }

  expect_failures = [var.database_security_groups]
}

run "no_group" {
  command = plan

  variables {
    security_group_ids = []
  }

  expect_failures = [var.security_group_ids]
}

run "no_subnets" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "no_image" {
  command = plan

  variables {
    image = null
  }

  expect_failures = [var.image]
}

run "no_image_for_drills" {
  command = plan

  variables {
    drills = { a = { backup = "orders", database = "app", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" } }
  }

  expect_failures = [var.drill_image]
}

run "a_drill_of_no_backup" {
  command = plan

  variables {
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "ledger" } }
  }

  expect_failures = [var.drills]
}

run "a_drill_of_nothing" {
  command = plan

  variables {
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", } }
  }

  expect_failures = [var.drills]
}

run "a_drill_on_too_large_a_disk" {
  command = plan

  variables {
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "orders", database = "app", storage_gib = 500 } }
  }

  expect_failures = [var.drills]
}

run "a_drill_that_is_watched_for_too_long" {
  command = plan

  variables {
    drill_image = "pgseal:drill"
    drills      = { a = { key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf", backup = "orders", database = "app", max_age_hours = 300 } }
  }

  expect_failures = [var.drills]
}

run "no_event_fields" {
  command = plan

  variables {
    event_fields = []
  }

  expect_failures = [var.event_fields]
}
