# What is made, what each role may do, and what the state machine, the function and the task are told.

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
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:function:pgseal-fleet" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:111122223333:cluster/pgseal-fleet" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:111122223333:task-definition/pgseal-fleet:7" }
  }
  mock_resource "aws_security_group" {
    defaults = { id = "sg-fleet" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::plans", id = "plans" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:of" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:111122223333:not-started" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:111122223333:rule/pgseal-fleet_rds" }
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

run "each_role_has_its_own_rights" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : [statement.Sid, statement.Effect, statement.Action, statement.Resource]] == [
      ["LogIn", "Allow", ["rds-db:connect"], ["arn:aws:rds-db:eu-west-1:111122223333:dbuser:*/backup"]],
      ["WriteBackups", "Allow", ["s3:PutObject", "s3:AbortMultipartUpload"], ["arn:aws:s3:::acme-backups/backups/*"]],
      ["SeeWhetherItIsDone", "Allow", ["s3:GetObject"], ["arn:aws:s3:::acme-backups/backups/*.manifest*.jsonl"]],
      ["FindTheBucket", "Allow", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], ["arn:aws:s3:::acme-backups"]],
      ["ReadTheRecipients", "Allow", ["ssm:GetParametersByPath"], [for end in ["", "/*"] : "arn:aws:ssm:eu-west-1:111122223333:parameter/pgseal/recipients${end}"]],
      ["FindTheServers", "Allow", ["rds:DescribeDBInstances", "rds:DescribeDBClusters"], ["*"]],
      ["KeepPlans", "Allow", ["s3:PutObject", "s3:GetObject"], ["arn:aws:s3:::plans/plans/*"]],
      ["FindPlans", "Allow", ["s3:ListBucket"], ["arn:aws:s3:::plans"]],
      ["WriteLogs", "Allow", ["logs:CreateLogStream", "logs:PutLogEvents"], ["arn:aws:logs:eu-west-1:111122223333:log-group:of:*"]],
      ["JoinTheVpc", "Allow", [
        "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
        "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
      ], ["*"]],
      ["NotByTheCode", "Deny", [
        "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
        "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", "ec2:DetachNetworkInterface",
      ], ["*"]],
    ]
    error_message = "The function may do something else."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement.Condition if can(statement.Condition)] == [
    { ArnLike = { "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-west-1:111122223333:function:*" } }]
    error_message = "The code of the function is denied the network, and Lambda itself is not."
  }

  # The task logs in and writes as the function does. It looks for no servers, keeps no plans, and answers the state machine.
  assert {
    condition = jsondecode(aws_iam_role_policy.task[0].policy).Statement == concat(slice(jsondecode(aws_iam_role_policy.function[0].policy).Statement, 0, 5), [{
      Sid      = "SayHowItGoes"
      Effect   = "Allow"
      Action   = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]
      Resource = [for end in ["", "/*"] : "arn:aws:states:eu-west-1:111122223333:stateMachine:pgseal-fleet${end}"]
    }])
    error_message = "The task may do something else."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : [statement.Sid, statement.Action, statement.Resource]] == [
      ["WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], ["arn:aws:logs:eu-west-1:111122223333:log-group:of:*"]],
      ["LogInToEcr", ["ecr:GetAuthorizationToken"], ["*"]],
      ["PullTheImage", ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
      ["arn:aws:ecr:eu-west-1:111122223333:repository/pgseal"]],
    ]
    error_message = "What ECS may do to start it is another."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.state_machine[0].policy).Statement : statement.Sid => [statement.Effect, statement.Action, statement.Resource] } == {
      CallTheFunction     = ["Allow", ["lambda:InvokeFunction"], ["arn:aws:lambda:eu-west-1:111122223333:function:pgseal-fleet"]]
      RunTasks            = ["Allow", ["ecs:RunTask"], ["arn:aws:ecs:eu-west-1:111122223333:task-definition/pgseal-fleet:*"]]
      TagTasks            = ["Allow", ["ecs:TagResource"], ["arn:aws:ecs:eu-west-1:111122223333:task/pgseal-fleet/*"]]
      GiveTasksTheirRoles = ["Allow", ["iam:PassRole"], [aws_iam_role.task[0].arn, aws_iam_role.execution[0].arn]]
      ReadPlans           = ["Allow", ["s3:GetObject"], ["arn:aws:s3:::plans/plans/*"]]
      RunItems            = ["Allow", ["states:StartExecution"], [for end in ["", "/*"] : "arn:aws:states:eu-west-1:111122223333:stateMachine:pgseal-fleet${end}"]]
      LookAfterItems      = ["Allow", ["states:DescribeExecution", "states:StopExecution"], [for end in [":*", "/*"] : "arn:aws:states:eu-west-1:111122223333:execution:pgseal-fleet${end}"]]
      RedriveItems        = ["Allow", ["states:RedriveExecution"], ["arn:aws:states:eu-west-1:111122223333:execution:pgseal-fleet/*"]]
      TellOfResults       = ["Allow", ["events:PutEvents"], ["arn:aws:events:eu-west-1:111122223333:event-bus/default"]]
      CountRuns           = ["Allow", ["cloudwatch:PutMetricData"], ["*"]]
    }
    error_message = "The state machine may do something else."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.state_machine[0].policy).Statement : statement.Sid => statement.Condition if can(statement.Condition) } == {
      RunTasks            = { ArnEquals = { "ecs:cluster" = "arn:aws:ecs:eu-west-1:111122223333:cluster/pgseal-fleet" } }
      TagTasks            = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
      GiveTasksTheirRoles = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      CountRuns           = { StringEquals = { "cloudwatch:namespace" = "pgseal" } }
    }
    error_message = "The state machine may run tasks elsewhere, tag others, or pass their roles to another service."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.scheduler[0].policy).Statement : [statement.Sid, statement.Action, statement.Resource]] == [
      ["StartRuns", ["states:StartExecution"], ["arn:aws:states:eu-west-1:111122223333:stateMachine:pgseal-fleet"]],
      ["TellOfFailedStarts", ["sqs:SendMessage"], ["arn:aws:sqs:eu-west-1:111122223333:not-started"]],
    ]
    error_message = "Who starts it may do something else."
  }

  assert {
    condition = { for name, role in {
      function      = aws_iam_role.function[0], task = aws_iam_role.task[0], execution = aws_iam_role.execution[0]
      state_machine = aws_iam_role.state_machine[0], scheduler = aws_iam_role.scheduler[0]
      } : name => [for statement in jsondecode(role.assume_role_policy).Statement : [statement.Principal.Service, try(statement.Condition.StringEquals["aws:SourceAccount"], "-")]] } == {
      function      = [["lambda.amazonaws.com", "-"]]
      task          = [["ecs-tasks.amazonaws.com", "111122223333"]]
      execution     = [["ecs-tasks.amazonaws.com", "-"]]
      state_machine = [["states.amazonaws.com", "111122223333"]]
      scheduler     = [["scheduler.amazonaws.com", "111122223333"]]
    }
    error_message = "Somebody else takes a role."
  }
}

run "each_setting_adds_what_it_needs" {
  variables {
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
    kms_key_arn          = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"
    signing_key_arn      = "arn:aws:kms:eu-west-1:111122223333:key/51971"
    retention            = "gfs"
    task_image           = "public.example/pgseal:ecs"
  }

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.function[0], aws_iam_role_policy.task[0]] :
      { for statement in jsondecode(policy.policy).Statement : statement.Sid => [statement.Action, statement.Resource] if contains(["WriteBackups", "UseTheKmsKey", "SignManifests"], statement.Sid) } == {
        WriteBackups  = [["s3:PutObject", "s3:AbortMultipartUpload", "s3:PutObjectTagging", "s3:PutObjectRetention"], ["arn:aws:s3:::acme-backups/backups/*"]]
        UseTheKmsKey  = [["kms:GenerateDataKey", "kms:Decrypt"], ["arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c"]]
        SignManifests = [["kms:GetPublicKey", "kms:Sign"], ["arn:aws:kms:eu-west-1:111122223333:key/51971"]]
    }])
    error_message = "The rights of a backup with everything are others."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.task[0].policy).Statement : statement.Condition.StringEquals["kms:ViaService"] if statement.Sid == "UseTheKmsKey"] == ["s3.eu-west-1.amazonaws.com"]
    error_message = "The key is for S3 alone."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : statement.Sid] == ["WriteLogs"]
    error_message = "An image that is not in ECR needs no rights there."
  }

  assert {
    condition = alltrue([for role in [aws_iam_role.function[0], aws_iam_role.task[0], aws_iam_role.execution[0], aws_iam_role.state_machine[0], aws_iam_role.scheduler[0]] :
    role.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary"])
    error_message = "A role has no boundary."
  }

  # IAM takes 10,240 letters of a role's own policies.
  assert {
    condition     = alltrue([for policy in [aws_iam_role_policy.function[0], aws_iam_role_policy.task[0], aws_iam_role_policy.state_machine[0]] : length(policy.policy) < 5000])
    error_message = "A role's policy is near IAM's limit."
  }
}

# A yearly backup is locked for years: by the bucket's own lock it would be for days, and whoever writes could make it a daily one.
run "a_lock_of_its_class" {
  variables {
    retention = "gfs"
  }

  assert {
    condition = (aws_lambda_function.this[0].environment[0].variables["PGSEAL_EVENT_DEFAULTS"] == "{\"object_lock\":{\"mode\":\"GOVERNANCE\"}}" &&
    contains(jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment, { name = "PGSEAL_EVENT_DEFAULTS", value = "{\"object_lock\":{\"mode\":\"GOVERNANCE\"}}" }))
    error_message = "Backups with a class ask for no lock."
  }
}

run "no_lock_for_a_bucket_without_any" {
  variables {
    retention = "gfs"
    lock_mode = "NONE"
  }

  assert {
    condition = (!contains(keys(aws_lambda_function.this[0].environment[0].variables), "PGSEAL_EVENT_DEFAULTS") &&
    !strcontains(aws_iam_role_policy.task[0].policy, "s3:PutObjectRetention") && strcontains(aws_iam_role_policy.task[0].policy, "s3:PutObjectTagging"))
    error_message = "Such a bucket refuses every lock."
  }
}

run "an_image_of_ecr_by_ipv6" {
  variables {
    task_image = "111122223333.dkr-ecr.eu-west-1.on.aws/team/pgseal:ecs"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : statement.Resource if statement.Sid == "PullTheImage"] == [["arn:aws:ecr:eu-west-1:111122223333:repository/team/pgseal"]]
    error_message = "The task could not be pulled."
  }
}

run "an_image_of_ecr_in_another_partition" {
  variables {
    task_image = "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/pgseal:ecs"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : statement.Resource if statement.Sid == "PullTheImage"] == [["arn:aws:ecr:eusc-de-east-1:111122223333:repository/pgseal"]]
    error_message = "The task could not be pulled."
  }
}

run "what_runs_and_what_it_is_told" {
  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment : pair.name => pair.value } == {
      COMPRESSION                 = "bzip2"
      OPENSSL_PUBLIC_KEY          = "ssm:/pgseal/recipients"
      PGSEAL_ALLOWED_FINGERPRINTS = "45d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf9"
      PGSEAL_ALLOWED_HOSTS        = "*.eu-west-1.rds.amazonaws.com,*.rds.eu-west-1.amazonaws.com"
      PGSEAL_EVENT_FIELDS         = "action,scheduled_time,database,instance,host,port,discover,exclude_databases"
      POSTGRES_USER               = "backup"
      RATE_LIMIT                  = "10M"
      REGION                      = "eu-west-1"
      RETENTION_DAYS              = "daily=14,weekly=60,monthly=400,yearly=2600"
      S3_BUCKET                   = "acme-backups"
      S3_BUCKET_OWNER             = "111122223333"
      S3_PREFIX                   = "backups/{host}"
    }
    error_message = "The task is told something else."
  }

  assert {
    condition = aws_lambda_function.this[0].environment[0].variables == tomap(merge(
      { for pair in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment : pair.name => pair.value },
      { PGSEAL_PLAN_LOCATION = "s3://plans/plans", PGSEAL_TOLERATED_FAILURES = "0" },
    ))
    error_message = "The function is told the same, where plans are, and how many failures are tolerated."
  }

  assert {
    condition = (aws_lambda_function.this[0].package_type == "Image" && aws_lambda_function.this[0].architectures == tolist(["x86_64"]) &&
      aws_lambda_function.this[0].timeout == 900 && aws_lambda_function.this[0].memory_size == 1769 &&
      aws_lambda_function.this[0].vpc_config[0].security_group_ids == toset(["sg-fleet"]) &&
    aws_lambda_function.this[0].logging_config[0].log_group == "/pgseal/pgseal-fleet/function")
    error_message = "The function is another."
  }

  assert {
    condition = { for name, value in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0] : name => value
      if contains(["user", "readonlyRootFilesystem", "linuxParameters", "stopTimeout", "name"], name) } == {
      name                   = "pgseal"
      user                   = "10001:10001"
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      stopTimeout            = 120
    }
    error_message = "The task has rights on its machine that it does not need."
  }

  # The file, with everything filled in and nothing else changed.
  assert {
    condition     = !strcontains(aws_sfn_state_machine.this[0].definition, "$${") && can(jsondecode(aws_sfn_state_machine.this[0].definition).StartAt)
    error_message = "Something in the definition is not filled in."
  }

  assert {
    condition = aws_sfn_state_machine.this[0].definition == replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
      file("../../../fleet.asl.json"),
      "$${FunctionArn}", "arn:aws:lambda:eu-west-1:111122223333:function:pgseal-fleet"),
      "$${ClusterArn}", "arn:aws:ecs:eu-west-1:111122223333:cluster/pgseal-fleet"),
      "$${TaskFamily}", "pgseal-fleet"),
      "$${Subnets}", "subnet-1,subnet-2"),
      "$${SecurityGroups}", "sg-fleet"),
      "$${AssignPublicIp}", "DISABLED"),
      "$${ServersAtOnce}", "10"),
      "$${DatabasesAtOnce}", "1"),
      "$${EventBus}", "default"),
    "$${Partition}", "aws")
    error_message = "The definition is not that of the file."
  }

  # By this name the roles know it.
  assert {
    condition     = aws_sfn_state_machine.this[0].name == "pgseal-fleet" && aws_ecs_cluster.this[0].name == "pgseal-fleet"
    error_message = "The state machine or the cluster has another name than the roles say."
  }

  assert {
    condition = jsondecode(aws_scheduler_schedule.this[0].target[0].input).scheduled == {
      scheduled_time    = "<aws.scheduler.scheduled-time>"
      discover          = { tags = { backup = "nightly" } }
      database          = "*"
      exclude_databases = []
    }
    error_message = "The schedule asks for something else."
  }

  # Escaped, the scheduler would not know its own word.
  assert {
    condition = (strcontains(aws_scheduler_schedule.this[0].target[0].input, "\"<aws.scheduler.scheduled-time>\"") &&
      aws_scheduler_schedule.this[0].state == "ENABLED" && aws_scheduler_schedule.this[0].target[0].arn == aws_sfn_state_machine.this[0].arn &&
    aws_scheduler_schedule.this[0].target[0].dead_letter_config[0].arn == "arn:aws:sqs:eu-west-1:111122223333:not-started")
    error_message = "The schedule is another."
  }

  assert {
    condition     = [for rule in values(aws_vpc_security_group_egress_rule.database) : [rule.cidr_ipv4, rule.from_port, rule.to_port]] == [["10.0.0.0/16", 5432, 5432]]
    error_message = "Databases are reached elsewhere."
  }

  assert {
    condition     = [for rule in values(aws_vpc_security_group_egress_rule.https) : [rule.cidr_ipv4, rule.from_port, rule.to_port]] == [["0.0.0.0/0", 443, 443]]
    error_message = "AWS is reached in another way."
  }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.plans[0].policy).Statement : [statement.Sid, statement.Effect, statement.Resource, statement.Condition]] == [
    ["TlsOnly", "Deny", ["arn:aws:s3:::plans", "arn:aws:s3:::plans/*"], { Bool = { "aws:SecureTransport" = "false" } }]]
    error_message = "The plans are read without TLS."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.plans[0].rule : rule.expiration[0].days if rule.id == "old-plans"] == [30]
    error_message = "Old plans stay."
  }

  assert {
    condition     = [for statement in jsondecode(aws_sqs_queue_policy.not_started[0].policy).Statement : statement.Sid] == ["TlsOnly"]
    error_message = "Without a rule nobody but the schedule, by its role, sends to the queue."
  }

  assert {
    condition     = output.state_machine_arn == aws_sfn_state_machine.this[0].arn && output.security_group_id == "sg-fleet" && output.plan_bucket == "plans"
    error_message = "The outputs are others."
  }
}

run "with_other_settings" {
  variables {
    name               = "nightly"
    discover           = "{\"tags\": {\"note\": \"<b> & \\\"c\\\"\"}, \"reader\": true}"
    databases          = ["app", "billing"]
    architecture       = "ARM64"
    bucket_owner       = "444455556666"
    prefix             = "backups/111122223333/eu-west-1"
    retention          = "daily"
    retention_timezone = "Europe/Berlin"
    retention_days     = { yearly = 3660 }
    lock_mode          = "COMPLIANCE"
    signing_key_arn    = "arn:aws:kms:eu-west-1:111122223333:key/51971"
    allowed_hosts      = ["*.internal.example", "db.example"]
    assign_public_ip   = true
    servers_at_once    = 40
    databases_at_once  = 2
    tolerated_failures = 5
    rds_event_ids      = ["RDS-EVENT-0043", "RDS-EVENT-0019"]
    schedule_enabled   = false
    first_port         = 5432
    last_port          = 5440
  }

  # A tag that has an angle bracket is no word of the scheduler.
  assert {
    condition     = length(regexall("[<>]", aws_scheduler_schedule.this[0].target[0].input)) == 2 && jsondecode(aws_scheduler_schedule.this[0].target[0].input).scheduled.discover == { tags = { note = "<b> & \"c\"" }, reader = true }
    error_message = "What is meant is told in another way."
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.this[0].target[0].input).scheduled.database == ["app", "billing"] && aws_scheduler_schedule.this[0].state == "DISABLED"
    error_message = "Several databases are a list."
  }

  assert {
    condition = { for name, value in aws_lambda_function.this[0].environment[0].variables : name => value if contains([
      "PGSEAL_ALLOWED_HOSTS", "PGSEAL_EVENT_DEFAULTS", "PGSEAL_SIGNING_KEY", "RETENTION", "RETENTION_DAYS", "RETENTION_TIMEZONE", "S3_BUCKET_OWNER", "S3_PREFIX", "PGSEAL_TOLERATED_FAILURES"
      ], name) } == {
      PGSEAL_ALLOWED_HOSTS      = "*.internal.example,db.example"
      PGSEAL_EVENT_DEFAULTS     = "{\"object_lock\":{\"mode\":\"COMPLIANCE\"}}"
      PGSEAL_SIGNING_KEY        = "arn:aws:kms:eu-west-1:111122223333:key/51971"
      PGSEAL_TOLERATED_FAILURES = "5"
      RETENTION                 = "daily"
      RETENTION_DAYS            = "daily=14,weekly=60,monthly=400,yearly=3660"
      RETENTION_TIMEZONE        = "Europe/Berlin"
      S3_BUCKET_OWNER           = "444455556666"
      S3_PREFIX                 = "backups/111122223333/eu-west-1/{host}"
    }
    error_message = "The settings are not told."
  }

  assert {
    condition = (jsondecode(aws_sfn_state_machine.this[0].definition).States.Limits.Parameters == {
      "servers.$"   = "States.StringToJson('40')"
      "databases.$" = "States.StringToJson('2')"
    } && strcontains(aws_sfn_state_machine.this[0].definition, "\"AssignPublicIp\": \"ENABLED\""))
    error_message = "The state machine has other limits."
  }

  assert {
    condition     = aws_lambda_function.this[0].architectures == tolist(["arm64"]) && aws_ecs_task_definition.this[0].runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "The images are for another processor."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.rds[0].event_pattern) == { source = ["aws.rds"], detail-type = ["RDS DB Instance Event", "RDS DB Cluster Event"], detail = { EventID = ["RDS-EVENT-0043", "RDS-EVENT-0019"] } }
    error_message = "Other events start a run."
  }

  # With the words filled in, as EventBridge does.
  assert {
    condition = jsondecode(replace(replace(aws_cloudwatch_event_target.rds[0].input_transformer[0].input_template, "<time>", "2026-11-24T02:00:00Z"), "<server>", "orders")) == {
      scheduled_time    = "2026-11-24T02:00:00Z"
      discover          = { only = ["orders"], tags = { note = "<b> & \"c\"" }, reader = true }
      database          = ["app", "billing"]
      exclude_databases = []
    }
    error_message = "An event of RDS asks for something else."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role.scheduler[0].assume_role_policy).Statement : [statement.Principal.Service, statement.Condition.StringEquals["aws:SourceAccount"]]] == [
    ["scheduler.amazonaws.com", "111122223333"], ["events.amazonaws.com", "111122223333"]]
    error_message = "The rule cannot start a run."
  }

  assert {
    condition = [for statement in jsondecode(aws_sqs_queue_policy.not_started[0].policy).Statement : [statement.Principal, statement.Action, statement.Condition] if statement.Effect == "Allow"] == [
    [{ Service = "events.amazonaws.com" }, "sqs:SendMessage", { ArnEquals = { "aws:SourceArn" = "arn:aws:events:eu-west-1:111122223333:rule/pgseal-fleet_rds" } }]]
    error_message = "What the rule could not start is lost."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.no_run) == 0
    error_message = "Without a schedule nothing is overdue."
  }

  assert {
    condition     = [for rule in values(aws_vpc_security_group_egress_rule.database) : [rule.from_port, rule.to_port]] == [[5432, 5440]]
    error_message = "Databases have other ports."
  }
}

run "alarms" {
  variables {
    topic_arn     = "arn:aws:sns:eu-west-1:111122223333:alarms"
    discover      = "{}"
    rds_event_ids = ["RDS-EVENT-0043"]
    max_age_hours = 48
  }

  # Where all are meant, this one of all.
  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.rds[0].input_transformer[0].input_template).discover == { only = ["<server>"] }
    error_message = "An event of RDS asks for something else."
  }

  assert {
    condition = [for alarm in [aws_cloudwatch_metric_alarm.failed_run[0], aws_cloudwatch_metric_alarm.no_run[0], aws_cloudwatch_metric_alarm.not_started[0]] :
      [alarm.namespace, alarm.metric_name, alarm.statistic, alarm.period, alarm.evaluation_periods, alarm.threshold, alarm.comparison_operator, alarm.treat_missing_data]] == [
      ["AWS/States", "ExecutionsFailed", "Sum", 300, 1, 1, "GreaterThanOrEqualToThreshold", "notBreaching"],
      ["pgseal", "ScheduledRuns", "Sum", 3600, 48, 1, "LessThanThreshold", "breaching"],
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 300, 1, 1, "GreaterThanOrEqualToThreshold", "notBreaching"],
    ]
    error_message = "The alarms watch something else."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_run[0].datapoints_to_alarm == 48
    error_message = "An hour without a run is none."
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.failed_run[0].dimensions == tomap({ StateMachineArn = aws_sfn_state_machine.this[0].arn }) &&
      aws_cloudwatch_metric_alarm.no_run[0].dimensions == tomap({ StateMachine = "pgseal-fleet" }) &&
    aws_cloudwatch_metric_alarm.not_started[0].dimensions == tomap({ QueueName = "pgseal-fleet_not_started" }))
    error_message = "The alarms watch another state machine or queue."
  }

  assert {
    condition = alltrue([for alarm in [aws_cloudwatch_metric_alarm.failed_run[0], aws_cloudwatch_metric_alarm.no_run[0], aws_cloudwatch_metric_alarm.not_started[0]] :
    alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:alarms"]) && endswith(alarm.alarm_description, " docs/RUNBOOK.md#fleet")])
    error_message = "An alarm tells nobody, or does not say where to read."
  }

  assert {
    condition     = output.alarm_names == ["pgseal-fleet/failed run", "pgseal-fleet/no run", "pgseal-fleet/not started"]
    error_message = "The alarms have other names."
  }
}

run "nothing_is_made" {
  variables {
    create         = false
    rds_event_ids  = ["RDS-EVENT-0043"]
    function_image = null
    task_image     = null
    vpc_id         = null
    bucket         = null
  }

  assert {
    condition = length(concat(
      aws_lambda_function.this, aws_ecs_cluster.this, aws_ecs_task_definition.this, aws_sfn_state_machine.this, aws_scheduler_schedule.this,
      values(aws_cloudwatch_log_group.this), aws_sqs_queue.not_started, aws_sqs_queue_policy.not_started, aws_cloudwatch_event_rule.rds,
      aws_cloudwatch_event_target.rds, aws_s3_bucket.plans, aws_s3_bucket_public_access_block.plans, aws_s3_bucket_ownership_controls.plans,
      aws_s3_bucket_server_side_encryption_configuration.plans, aws_s3_bucket_lifecycle_configuration.plans, aws_s3_bucket_policy.plans,
      aws_security_group.this, values(aws_vpc_security_group_egress_rule.database), values(aws_vpc_security_group_egress_rule.https),
      aws_iam_role.function, aws_iam_role.task, aws_iam_role.execution, aws_iam_role.state_machine, aws_iam_role.scheduler,
      aws_iam_role_policy.function, aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_iam_role_policy.state_machine, aws_iam_role_policy.scheduler,
      aws_cloudwatch_metric_alarm.failed_run, aws_cloudwatch_metric_alarm.no_run, aws_cloudwatch_metric_alarm.not_started,
    )) == 0
    error_message = "create = false must make nothing."
  }

  assert {
    condition     = output.state_machine_arn == null && output.security_group_id == null && output.plan_bucket == null && output.role_arns == {}
    error_message = "There is nothing to tell of."
  }
}

run "the_longest_name" {
  variables {
    name          = "a23456789-123456789-1234"
    rds_event_ids = ["RDS-EVENT-0043"]
  }

  assert {
    condition = (alltrue([for role in [aws_iam_role.function[0], aws_iam_role.task[0], aws_iam_role.execution[0], aws_iam_role.state_machine[0], aws_iam_role.scheduler[0]] :
    length(role.name_prefix) <= 38]) && length(aws_s3_bucket.plans[0].bucket_prefix) <= 37)
    error_message = "The prefix of a role's name has 38 letters at most, that of a bucket's 37."
  }
}
