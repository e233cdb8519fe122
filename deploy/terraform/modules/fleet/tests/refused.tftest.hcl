# What is refused: each before anything is made.

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
  function_image       = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:lambda"
  task_image           = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs"
  vpc_id               = "vpc-1"
  subnet_ids           = ["subnet-1", "subnet-2"]
  database_cidr_blocks = ["10.0.0.0/16"]
  bucket               = "acme-backups"
  allowed_fingerprints = ["45d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf9"]
}

run "a_name_with_an_underscore" {
  command = plan

  variables {
    name = "a_b"
  }

  expect_failures = [var.name]
}

run "an_image_without_a_registry" {
  command = plan

  variables {
    function_image = "pgseal"
  }

  expect_failures = [var.function_image]
}

run "no_image_of_the_task" {
  command = plan

  variables {
    task_image = null
  }

  expect_failures = [var.task_image]
}

run "a_processor_that_there_is_not" {
  command = plan

  variables {
    architecture = "x86_64"
  }

  expect_failures = [var.architecture]
}

run "a_function_that_is_too_small" {
  command = plan

  variables {
    memory_size = 128
  }

  expect_failures = [var.memory_size]
}

run "servers_that_are_no_json" {
  command = plan

  variables {
    discover = "tags"
  }

  expect_failures = [var.discover]
}

run "a_list_of_servers" {
  command = plan

  variables {
    discover = "[]"
  }

  expect_failures = [var.discover]
}

run "a_member_that_discover_has_not" {
  command = plan

  variables {
    discover = "{\"names\":[\"orders\"]}"
  }

  expect_failures = [var.discover]
}

run "all_databases_and_one" {
  command = plan

  variables {
    databases = ["*", "app"]
  }

  expect_failures = [var.databases]
}

run "no_database" {
  command = plan

  variables {
    databases = []
  }

  expect_failures = [var.databases]
}

run "left_out_of_a_list" {
  command = plan

  variables {
    databases         = ["app"]
    exclude_databases = ["scratch"]
  }

  expect_failures = [var.exclude_databases]
}

run "every_user" {
  command = plan

  variables {
    database_user = "*"
  }

  expect_failures = [var.database_user]
}

run "every_host" {
  command = plan

  variables {
    allowed_hosts = ["*"]
  }

  expect_failures = [var.allowed_hosts]
}

run "no_vpc" {
  command = plan

  variables {
    vpc_id = null
  }

  expect_failures = [var.vpc_id]
}

run "no_subnets" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "no_network_of_databases" {
  command = plan

  variables {
    database_cidr_blocks = []
  }

  expect_failures = [var.database_cidr_blocks]
}

run "a_network_that_is_none" {
  command = plan

  variables {
    database_cidr_blocks = ["10.0.0.0"]
  }

  expect_failures = [var.database_cidr_blocks]
}

run "a_way_out_that_is_no_network" {
  command = plan

  variables {
    https_cidr_blocks = ["everywhere"]
  }

  expect_failures = [var.https_cidr_blocks]
}

run "port_zero" {
  command = plan

  variables {
    first_port = 0
  }

  expect_failures = [var.first_port]
}

run "ports_the_wrong_way_round" {
  command = plan

  variables {
    last_port = 5431
  }

  expect_failures = [var.last_port]
}

run "no_bucket" {
  command = plan

  variables {
    bucket = null
  }

  expect_failures = [var.bucket]
}

run "a_bucket_with_a_wildcard" {
  command = plan

  variables {
    bucket = "acme-*"
  }

  expect_failures = [var.bucket]
}

run "an_owner_that_is_no_account" {
  command = plan

  variables {
    bucket_owner = "acme"
  }

  expect_failures = [var.bucket_owner]
}

run "a_prefix_with_a_wildcard" {
  command = plan

  variables {
    prefix = "*"
  }

  expect_failures = [var.prefix]
}

run "a_prefix_with_a_slash_at_its_end" {
  command = plan

  variables {
    prefix = "backups/"
  }

  expect_failures = [var.prefix]
}

run "a_key_by_its_alias" {
  command = plan

  variables {
    kms_key_arn = "alias/backups"
  }

  expect_failures = [var.kms_key_arn]
}

run "a_class_that_there_is_not" {
  command = plan

  variables {
    retention = "hourly"
  }

  expect_failures = [var.retention]
}

run "a_class_for_a_day" {
  command = plan

  variables {
    retention_days = { daily = 1 }
  }

  expect_failures = [var.retention_days]
}

run "a_mode_that_there_is_not" {
  command = plan

  variables {
    lock_mode = "FOREVER"
  }

  expect_failures = [var.lock_mode]
}

run "a_strict_mode_without_a_lock" {
  command = plan

  variables {
    lock_mode = "COMPLIANCE"
  }

  expect_failures = [var.lock_mode]
}

run "recipients_anywhere" {
  command = plan

  variables {
    recipients_path = "/"
  }

  expect_failures = [var.recipients_path]
}

run "no_fingerprints" {
  command = plan

  variables {
    allowed_fingerprints = []
  }

  expect_failures = [var.allowed_fingerprints]
}

run "a_short_fingerprint" {
  command = plan

  variables {
    allowed_fingerprints = ["45d2ebf9"]
  }

  expect_failures = [var.allowed_fingerprints]
}

run "a_signing_key_by_its_alias" {
  command = plan

  variables {
    signing_key_arn = "arn:aws:kms:eu-west-1:111122223333:alias/sign"
  }

  expect_failures = [var.signing_key_arn]
}

run "a_rate_that_is_none" {
  command = plan

  variables {
    rate_limit = "10MB"
  }

  expect_failures = [var.rate_limit]
}

run "a_compression_that_there_is_not" {
  command = plan

  variables {
    compression = "zstd:20"
  }

  expect_failures = [var.compression]
}

run "a_schedule_that_is_none" {
  command = plan

  variables {
    schedule = "0 2 * * *"
  }

  expect_failures = [var.schedule]
}

run "more_than_a_week" {
  command = plan

  variables {
    max_age_hours = 169
  }

  expect_failures = [var.max_age_hours]
}

run "no_server_at_once" {
  command = plan

  variables {
    servers_at_once = 0
  }

  expect_failures = [var.servers_at_once]
}

run "half_a_database_at_once" {
  command = plan

  variables {
    databases_at_once = 0.5
  }

  expect_failures = [var.databases_at_once]
}

run "more_failures_than_all" {
  command = plan

  variables {
    tolerated_failures = 101
  }

  expect_failures = [var.tolerated_failures]
}

run "an_event_of_something_else" {
  command = plan

  variables {
    rds_event_ids = ["created"]
  }

  expect_failures = [var.rds_event_ids]
}

run "a_topic_that_is_none" {
  command = plan

  variables {
    topic_arn = "alarms"
  }

  expect_failures = [var.topic_arn]
}

run "a_time_that_cloudwatch_has_not" {
  command = plan

  variables {
    log_retention_days = 45
  }

  expect_failures = [var.log_retention_days]
}
