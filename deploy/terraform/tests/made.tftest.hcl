# What is made on request: a network of its own, a bucket, a cluster.

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

run "a_network_of_its_own" {
  variables {
    security_group_ids    = []
    create_security_group = true
    vpc_id                = "vpc-1"
    database_cidr_blocks  = ["10.1.0.0/16"]
    dns_cidr_blocks       = ["10.1.0.2/32"]
    database_security_groups = {
      orders = { id = "sg-orders" }
      ledger = { id = "sg-ledger", port = 5433 }
    }
    drill_image = "pgseal:drill"
    drills      = { orders = { backup = "orders", database = "app", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" } }
  }

  assert {
    condition = { for key, rule in aws_vpc_security_group_ingress_rule.database : key => [rule.security_group_id, rule.from_port, rule.to_port, rule.referenced_security_group_id] } == {
      orders = ["sg-orders", 5432, 5432, aws_security_group.task[0].id]
      ledger = ["sg-ledger", 5433, 5433, aws_security_group.task[0].id]
    }
    error_message = "Each database's group must let the tasks in, at its port."
  }

  assert {
    condition = { for key, rule in aws_vpc_security_group_egress_rule.database : key => [rule.security_group_id, rule.from_port, rule.to_port, rule.referenced_security_group_id] } == {
      orders = [aws_security_group.task[0].id, 5432, 5432, "sg-orders"]
      ledger = [aws_security_group.task[0].id, 5433, 5433, "sg-ledger"]
    }
    error_message = "The tasks must get out to each database."
  }

  assert {
    condition = { for key, rule in aws_vpc_security_group_egress_rule.dns : key => [rule.security_group_id, rule.ip_protocol, rule.from_port, rule.to_port, rule.cidr_ipv4] } == {
      drill-0-tcp = [aws_security_group.drill[0].id, "tcp", 53, 53, "10.1.0.2/32"]
      drill-0-udp = [aws_security_group.drill[0].id, "udp", 53, 53, "10.1.0.2/32"]
      task-0-tcp  = [aws_security_group.task[0].id, "tcp", 53, 53, "10.1.0.2/32"]
      task-0-udp  = [aws_security_group.task[0].id, "udp", 53, 53, "10.1.0.2/32"]
    }
    error_message = "A VPC with DNS servers of its own must find names."
  }

  # A drill runs what owners of tables wrote: it reaches no database.
  assert {
    condition = [for rule in values(aws_vpc_security_group_egress_rule.https) : [rule.security_group_id, rule.from_port, rule.to_port]
      ] == [[aws_security_group.drill[0].id, 443, 443], [aws_security_group.task[0].id, 443, 443]] && alltrue([
        for rule in concat(values(aws_vpc_security_group_egress_rule.database), values(aws_vpc_security_group_egress_rule.database_cidr)) :
    rule.security_group_id == aws_security_group.task[0].id])
    error_message = "A drill goes to AWS alone."
  }

  assert {
    condition = (aws_scheduler_schedule.this["orders"].target[0].ecs_parameters[0].network_configuration[0].security_groups == toset([aws_security_group.task[0].id]) &&
    aws_scheduler_schedule.this["orders_drill"].target[0].ecs_parameters[0].network_configuration[0].security_groups == toset([aws_security_group.drill[0].id]))
    error_message = "Backups and drills have a group each."
  }

  assert {
    condition     = alltrue([for schedule in aws_scheduler_schedule.this : schedule.target[0].ecs_parameters[0].network_configuration[0].assign_public_ip == false])
    error_message = "Nobody asked for a public address."
  }
}

run "groups_that_are_given" {
  assert {
    condition     = length(aws_security_group.task) == 0 && aws_scheduler_schedule.this["orders"].target[0].ecs_parameters[0].network_configuration[0].security_groups == toset(["sg-1"])
    error_message = "The group that was given is the task's."
  }
}

run "a_bucket_and_a_cluster_of_its_own" {
  variables {
    cluster_arn    = null
    create_cluster = true
    create_bucket  = true
    retention      = "daily"
    lock_mode      = "COMPLIANCE"
  }

  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this["orders"].container_definitions)[0].environment : pair.name => pair.value
      if contains(["S3_BUCKET", "S3_BUCKET_OWNER", "RETENTION", "PGSEAL_EVENT_DEFAULTS"], pair.name) } == {
      PGSEAL_EVENT_DEFAULTS = "{\"object_lock\":{\"mode\":\"COMPLIANCE\"}}"
      RETENTION             = "daily"
      S3_BUCKET             = output.bucket
      S3_BUCKET_OWNER       = "111122223333"
    }
    error_message = "Backups go to the bucket that was made, each locked for its class."
  }

  assert {
    condition     = aws_scheduler_schedule.this["orders"].target[0].arn == aws_ecs_cluster.this[0].arn && output.cluster_arn == aws_ecs_cluster.this[0].arn
    error_message = "The task runs on the cluster that was made."
  }

  assert {
    condition     = one(aws_ecs_cluster.this[0].setting[*].value) == "disabled"
    error_message = "Nobody asked for Container Insights, which cost."
  }
}

run "no_class_means_no_lock_of_its_own" {
  variables {
    create_bucket = true
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.task["orders"].policy, "s3:PutObjectRetention") && !strcontains(aws_ecs_task_definition.this["orders"].container_definitions, "object_lock")
    error_message = "Without a class the bucket's own lock is enough."
  }
}

# The bucket's rules do not go by the classes that the backups have now: older ones had some.
run "the_last_class_has_gone" {
  variables {
    create_bucket            = true
    backups                  = {}
    bucket_policy_statements = jsonencode([{ Sid = "Readers", Effect = "Allow", Principal = { AWS = "444455556666" }, Action = "s3:GetObject", Resource = "BUCKET_ARN/*" }])
  }

  assert {
    condition     = module.bucket[0].untagged_days == 2603
    error_message = "What was written with a class would go with what has none, after ${module.bucket[0].untagged_days} days."
  }

  assert {
    condition     = [for statement in jsondecode(module.bucket[0].policy).Statement : statement.Resource if statement.Sid == "Readers"] == ["${module.bucket[0].arn}/*"]
    error_message = "The caller's statements are not in the bucket's policy."
  }
}

run "no_class_ever" {
  variables {
    create_bucket   = true
    expiration_days = 90
  }

  assert {
    condition     = module.bucket[0].untagged_days == 90 && strcontains(module.bucket[0].policy, "NoClassThatWouldNotLast")
    error_message = "A call that shares the bucket and has classes must be refused."
  }
}
