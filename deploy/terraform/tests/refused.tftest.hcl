# What is refused of backups and recipients: each before anything is made.

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

run "a_private_key" {
  command = plan

  variables {
    public_keys = ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"]
  }

  expect_failures = [var.public_keys]
}

run "a_private_key_in_pkcs8" {
  command = plan

  variables {
    public_keys = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----\n"]
  }

  expect_failures = [var.public_keys]
}

run "a_private_key_of_one_backup" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    public_keys = ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"] } }
  }

  expect_failures = [var.backups]
}

run "a_private_key_in_an_environment" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    environment = { NOTE = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n" } } }
  }

  expect_failures = [var.backups]
}

run "a_key_that_is_none" {
  command = plan

  variables {
    public_keys = ["ssh-rsa AAAA"]
  }

  expect_failures = [var.public_keys]
}

run "a_file_name_for_a_key" {
  command = plan

  variables {
    public_keys = ["public_key.pem"]
  }

  expect_failures = [var.public_keys]
}

run "no_recipient" {
  command = plan

  variables {
    public_keys = []
  }

  expect_failures = [var.public_keys]
}

run "two_sources_of_recipients" {
  command = plan

  variables {
    recipients_path      = "/pgseal/recipients"
    allowed_fingerprints = ["45d2ebf9"]
  }

  expect_failures = [var.public_keys]
}

run "recipients_without_fingerprints" {
  command = plan

  variables {
    public_keys     = []
    recipients_path = "/pgseal/recipients"
  }

  expect_failures = [var.allowed_fingerprints]
}

run "a_path_with_a_slash_at_its_end" {
  command = plan

  variables {
    public_keys          = []
    recipients_path      = "/pgseal/recipients/"
    allowed_fingerprints = ["45d2ebf9"]
  }

  expect_failures = [var.recipients_path]
}

run "a_size_that_fargate_has_not" {
  command = plan

  variables {
    size = "1vCPU-1GB"
  }

  expect_failures = [var.size]
}

run "a_size_with_a_wrong_step" {
  command = plan

  variables {
    size = "16vCPU-36GB"
  }

  expect_failures = [var.size]
}

run "a_size_that_is_none" {
  command = plan

  variables {
    size = "large"
  }

  expect_failures = [var.size]
}

run "a_size_of_one_backup" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    size = "0.5vCPU-8GB" } }
  }

  expect_failures = [var.backups]
}

run "no_hours" {
  command = plan

  variables {
    max_age_hours = 0
  }

  expect_failures = [var.max_age_hours]
}

run "more_hours_than_cloudwatch_has" {
  command = plan

  variables {
    max_age_hours = 169
  }

  expect_failures = [var.max_age_hours]
}

run "a_part_of_an_hour" {
  command = plan

  variables {
    max_age_hours = 1.5
  }

  expect_failures = [var.max_age_hours]
}

run "hours_of_one_backup" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    max_age_hours = 200 } }
  }

  expect_failures = [var.backups]
}

run "neither_host_nor_instance" {
  command = plan

  variables {
    backups = { a = {
      schedule = "rate(1 day)"
    database_resource_id = "db-ABC" } }
  }

  expect_failures = [var.backups]
}

run "host_and_instance" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    instance = "orders" } }
  }

  expect_failures = [var.backups]
}

run "no_login" {
  command = plan

  variables {
    backups = { a = {
      schedule = "rate(1 day)"
    host = "a.rds.amazonaws.com" } }
  }

  expect_failures = [var.backups]
}

run "the_instances_name_for_its_id" {
  command = plan

  variables {
    backups = { a = {
      schedule = "rate(1 day)"
      host     = "a.rds.amazonaws.com"
    database_resource_id = "orders" } }
  }

  expect_failures = [var.backups]
}

run "a_variable_twice" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      environment          = { PGSSLMODE = "require" }
      secrets              = { PGSSLMODE = "arn:aws:ssm:eu-west-1:111122223333:parameter/mode" }
    } }
  }

  expect_failures = [var.backups]
}

run "two_passwords" {
  command = plan

  variables {
    backups = { a = {
      schedule            = "rate(1 day)"
      host                = "a.rds.amazonaws.com"
      password_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf"
      secrets             = { PGPASSWORD = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:b-AbCdEf" }
    } }
  }

  expect_failures = [var.backups]
}

run "a_private_key_in_der_of_one_backup" {
  command = plan

  variables {
    backups = { a = {
      schedule             = "rate(1 day)"
      host                 = "a.rds.amazonaws.com"
      database_resource_id = "db-ABC"
      public_keys          = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"]
    } }
  }

  expect_failures = [var.backups]
}
