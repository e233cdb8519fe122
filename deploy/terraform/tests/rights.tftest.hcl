# What each role may do is what docs/DEPLOY.md lists, and no more.

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

run "a_plain_backup" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.task["orders"].policy).Statement : [statement.Sid, statement.Action, statement.Resource]] == [
      ["LogIn", ["rds-db:connect"], ["arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-ABCDEFGHIJKL01234/backup"]],
      ["WriteBackups", ["s3:PutObject", "s3:AbortMultipartUpload"], ["arn:aws:s3:::acme-backups/backups/orders/*"]],
      ["SeeWhetherItIsDone", ["s3:GetObject"], ["arn:aws:s3:::acme-backups/backups/orders/*.manifest*.jsonl"]],
      ["FindTheBucket", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], ["arn:aws:s3:::acme-backups"]],
      ["LookAtTheBucket", [
        "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetBucketObjectLockConfiguration",
        "s3:GetLifecycleConfiguration", "s3:GetBucketPolicy",
      ], ["arn:aws:s3:::acme-backups"]],
    ]
    error_message = "A plain backup may do something else."
  }

  assert {
    condition = jsondecode(output.reader_policy).Statement == [
      {
        Sid      = "ReadBackups"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = ["arn:aws:s3:::acme-backups/backups/*", "arn:aws:s3:::acme-backups/drills/*.drill-*"]
      },
      {
        Sid      = "FindBackups"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = ["arn:aws:s3:::acme-backups"]
      },
    ]
    error_message = "The reader's policy is another."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.execution["orders"].policy).Statement : [statement.Action, statement.Resource]] == [
      [["logs:CreateLogStream", "logs:PutLogEvents"], ["${aws_cloudwatch_log_group.this[0].arn}:*"]],
      [["ecr:GetAuthorizationToken"], ["*"]],
      [["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
      ["arn:aws:ecr:eu-west-1:111122223333:repository/pgseal"]],
    ]
    error_message = "What ECS may do to start it is another."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.scheduler["orders"].policy).Statement : [statement.Action, statement.Resource]] == [
      [["ecs:RunTask"], [aws_ecs_task_definition.this["orders"].arn]],
      [["iam:PassRole"], [aws_iam_role.task["orders"].arn, aws_iam_role.execution["orders"].arn]],
      [["sqs:SendMessage"], [aws_sqs_queue.failed[0].arn]],
    ]
    error_message = "What the scheduler may do is another."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.scheduler["orders"].policy).Statement[0].Condition.ArnEquals["ecs:cluster"] == var.cluster_arn
    error_message = "The scheduler may run the task elsewhere."
  }

  assert {
    condition = (jsondecode(aws_iam_role.task["orders"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333" &&
    jsondecode(aws_iam_role.scheduler["orders"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333")
    error_message = "Another account could have the service act for it."
  }
}

run "an_image_of_ecr_by_ipv6" {
  variables {
    image = "111122223333.dkr-ecr.eu-west-1.on.aws/team/pgseal:ecs"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution["orders"].policy).Statement : statement.Resource if statement.Sid == "PullTheImage"] == [["arn:aws:ecr:eu-west-1:111122223333:repository/team/pgseal"]]
    error_message = "The task could not be pulled."
  }
}

run "an_image_of_ecr_in_another_partition" {
  variables {
    image = "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/pgseal:ecs"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution["orders"].policy).Statement : statement.Resource if statement.Sid == "PullTheImage"] == [["arn:aws:ecr:eusc-de-east-1:111122223333:repository/pgseal"]]
    error_message = "The task could not be pulled."
  }
}

run "each_setting_adds_what_it_needs" {
  variables {
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
    kms_key_arn          = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
    signing_key_arn      = "arn:aws:kms:eu-west-1:111122223333:key/51971"
    retention            = "gfs"
    lock_mode            = "GOVERNANCE"
    public_keys          = []
    recipients_path      = "/pgseal/recipients"
    allowed_fingerprints = ["45d2ebf9"]

    task_policy_statements = [{ sid = "Extra", actions = ["s3:GetObject"], resources = ["arn:aws:s3:::events/*"] }]

    backups = {
      orders = {
        schedule            = "rate(1 day)"
        instance            = "Orders"
        password_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:orders-AbCdEf"
        secret_kms_key_arns = ["arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"]
        event_defaults      = jsonencode({ acl = "bucket-owner-full-control" })

        task_policy_statements = [{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::more/*"] }]
      }
      ledger = {
        schedule = "rate(1 day)"
        host     = "10.0.0.5"
        secrets = {
          PGPASSWORD    = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ledger-AbCdEf:password::"
          PGSSLROOTCERT = "arn:aws:ssm:eu-west-1:111122223333:parameter/roots"
        }
        secret_kms_key_arns = ["arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"]
        retention           = "none"
        event_defaults      = jsonencode({ tags = { team = "finance" } })
      }
    }
  }

  assert {
    condition = { for index, statement in jsondecode(aws_iam_role_policy.task["orders"].policy).Statement : try(statement.Sid, "none") => [statement.Action, statement.Resource]
      if !contains(["LookAtTheBucket", "SeeWhetherItIsDone", "FindTheBucket"], try(statement.Sid, "none")) } == {
      FindTheDatabase = [["rds:DescribeDBInstances", "rds:DescribeDBClusters"],
      ["arn:aws:rds:eu-west-1:111122223333:db:orders", "arn:aws:rds:eu-west-1:111122223333:cluster:orders"]]
      ReadThePassword   = [["secretsmanager:GetSecretValue"], ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:orders-AbCdEf"]]
      OpenThePassword   = [["kms:Decrypt"], ["arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"]]
      WriteBackups      = [["s3:PutObject", "s3:AbortMultipartUpload", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectAcl"], ["arn:aws:s3:::acme-backups/backups/orders/*"]]
      UseTheKmsKey      = [["kms:GenerateDataKey", "kms:Decrypt"], ["arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"]]
      Sign              = [["kms:GetPublicKey", "kms:Sign"], ["arn:aws:kms:eu-west-1:111122223333:key/51971"]]
      FindTheRecipients = [["ssm:GetParametersByPath"], [for end in ["", "/*"] : "arn:aws:ssm:eu-west-1:111122223333:parameter/pgseal/recipients${end}"]]
      Extra             = [["s3:GetObject"], ["arn:aws:s3:::events/*"]]
      none              = [["s3:GetObject"], ["arn:aws:s3:::more/*"]]
    }
    error_message = "The rights of a backup with everything are others."
  }

  # A key that may open what a service brings opens nothing that somebody else has.
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.task["orders"].policy).Statement : statement.Sid => statement.Condition.StringEquals["kms:ViaService"]
      if contains(["OpenThePassword", "UseTheKmsKey"], try(statement.Sid, "none")) } == {
      OpenThePassword = "secretsmanager.eu-west-1.amazonaws.com"
      UseTheKmsKey    = ["s3.eu-west-1.amazonaws.com"]
    }
    error_message = "A key may be used without its service."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.execution["ledger"].policy).Statement : statement.Condition.StringEquals["kms:ViaService"] if statement.Sid == "OpenSecrets"] == [
    ["secretsmanager.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com"]]
    error_message = "ECS may use a key without its service."
  }

  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.task["ledger"].policy).Statement : statement if can(regex("^(LogIn|ReadThePassword|OpenThePassword)$", statement.Sid))]) == 0
    error_message = "ECS hands the password over: the task reads no secret, and does not log in by IAM."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.execution["ledger"].policy).Statement : statement.Sid => statement.Resource if can(regex("Secrets|Parameters", statement.Sid)) } == {
      ReadSecrets    = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:ledger-AbCdEf"]
      ReadParameters = ["arn:aws:ssm:eu-west-1:111122223333:parameter/roots"]
      OpenSecrets    = ["arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"]
    }
    error_message = "ECS reads the secrets of this backup, without their field names, and no others."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.task["ledger"].policy).Statement : statement.Action if statement.Sid == "WriteBackups"][0] == ["s3:PutObject", "s3:AbortMultipartUpload", "s3:PutObjectTagging"]
    error_message = "Tags of one's own need PutObjectTagging, and no class means no lock of its own."
  }

  assert {
    condition = alltrue([for role in concat(values(aws_iam_role.task), values(aws_iam_role.execution), values(aws_iam_role.scheduler)) :
    role.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary"])
    error_message = "A role has no boundary."
  }

  # IAM takes 10,240 letters of a role's own policies.
  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_role_policy.task), values(aws_iam_role_policy.execution), values(aws_iam_role_policy.scheduler)) : length(policy.policy) < 5000])
    error_message = "A role's policy is near IAM's limit."
  }
}

run "a_drill_only_reads" {
  variables {
    drill_image = "public.example/pgseal:drill"
    kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
    backups     = {}
    public_keys = []
    drills = {
      orders = {
        server                 = "orders"
        key_secret_arn         = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf"
        key_secret_kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"
      }
    }
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.task["orders_drill"].policy).Statement : statement.Sid => [statement.Action, statement.Resource] } == {
      ReadBackups              = [["s3:GetObject", "s3:GetObjectVersion"], ["arn:aws:s3:::acme-backups/backups/*", "arn:aws:s3:::acme-backups/drills/*.drill-*"]]
      FindBackups              = [["s3:ListBucket"], ["arn:aws:s3:::acme-backups"]]
      OpenTheBucketsEncryption = [["kms:Decrypt"], ["arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"]]
      ReadThePrivateKey        = [["secretsmanager:GetSecretValue"], ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf"]]
      OpenThePrivateKey        = [["kms:Decrypt"], ["arn:aws:kms:eu-west-1:111122223333:key/5ec2e7"]]
      LeaveTheReport           = [["s3:PutObject"], ["arn:aws:s3:::acme-backups/drills/orders/*.drill-*"]]
      EncryptTheReport         = [["kms:GenerateDataKey"], ["arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"]]
    }
    error_message = "A drill may do something else."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.task["orders_drill"].policy).Statement : statement.Sid => flatten([statement.Condition.StringEquals["kms:ViaService"]]) if can(statement.Condition) } == {
      OpenTheBucketsEncryption = ["s3.eu-west-1.amazonaws.com"]
      EncryptTheReport         = ["s3.eu-west-1.amazonaws.com"]
      OpenThePrivateKey        = ["secretsmanager.eu-west-1.amazonaws.com"]
    }
    error_message = "A drill may use a key without its service."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution["orders_drill"].policy).Statement : statement.Sid] == ["WriteLogs"]
    error_message = "An image that is not in ECR needs no rights there."
  }
}

run "an_event_that_names_another_server" {
  variables {
    event_fields = ["action", "scheduled_time", "host"]
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.task["orders"].policy).Statement : statement.Resource if statement.Sid == "WriteBackups"] == [["arn:aws:s3:::acme-backups/backups/*"]]
    error_message = "Another server has another folder."
  }
}

run "an_access_point" {
  variables {
    bucket = "arn:aws:s3:eu-west-1:111122223333:accesspoint/backups"
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.task["orders"].policy).Statement : statement.Sid => statement.Resource[0] if can(regex("Backups|Bucket$", statement.Sid)) } == {
      WriteBackups    = "arn:aws:s3:eu-west-1:111122223333:accesspoint/backups/object/backups/orders/*"
      FindTheBucket   = "arn:aws:s3:eu-west-1:111122223333:accesspoint/backups"
      LookAtTheBucket = "arn:aws:s3:eu-west-1:111122223333:accesspoint/backups"
    }
    error_message = "An access point names its objects in another way."
  }
}

run "the_longest_names" {
  variables {
    name        = "a23456789-123456789-1234"
    drill_image = "pgseal:drill"
    backups = {
      "A23456789-123456789-12345678" = {
        schedule             = "rate(1 day)"
        host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
        database_resource_id = "db-ABC"
      }
    }
    drills = {
      "A23456789-123456789-12345678" = { server = "orders", key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-AbCdEf" }
    }
  }

  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.task), values(aws_iam_role.execution), values(aws_iam_role.scheduler)) : length(role.name_prefix) <= 38])
    error_message = "The prefix of a role's name has 38 letters at most."
  }

  assert {
    condition     = alltrue([for name in concat(values(aws_scheduler_schedule.this)[*].name, values(aws_cloudwatch_event_rule.failed)[*].name) : length(name) <= 64])
    error_message = "The name of a schedule or a rule has 64 letters at most."
  }
}
