# What each role may do, and no more: the statements of deploy/fleet.yaml. Made by jsonencode, so that tests can read it.

locals {
  bucket_arn = "arn:${local.partition}:s3:::${coalesce(var.bucket, "-")}"
  plans_arn  = try(aws_s3_bucket.plans[0].arn, "-")

  # Written out, since the roles must be there before the state machine is.
  states        = "arn:${local.partition}:states:${local.region}:${local.account}"
  state_machine = "${local.states}:stateMachine:${var.name}"

  # --- what a backup may do: of the function and of the task ---

  backup_statements = concat(
    [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = ["rds-db:connect"]
        Resource = ["arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:*/${var.database_user}"]
      },
      {
        Sid    = "WriteBackups"
        Effect = "Allow"
        Action = concat(
          ["s3:PutObject", "s3:AbortMultipartUpload"],
          var.retention == "none" ? [] : ["s3:PutObjectTagging"],
          local.locks_by_class ? ["s3:PutObjectRetention"] : [],
        )
        Resource = ["${local.bucket_arn}/${var.prefix}/*"]
      },
      {
        # The manifest of this event, if one stands. No dump and no key can be read.
        Sid      = "SeeWhetherItIsDone"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.bucket_arn}/${var.prefix}/*.manifest*.jsonl"]
      },
      {
        Sid      = "FindTheBucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = [local.bucket_arn]
      },
      {
        Sid      = "ReadTheRecipients"
        Effect   = "Allow"
        Action   = ["ssm:GetParametersByPath"]
        Resource = [for end in ["", "/*"] : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.recipients_path}${end}"]
      },
    ],
    [for arn in compact([var.kms_key_arn]) : {
      Sid       = "UseTheKmsKey"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = [arn]
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${local.dns_suffix}" } }
    }],
    [for arn in compact([var.signing_key_arn]) : {
      Sid      = "SignManifests"
      Effect   = "Allow"
      Action   = ["kms:GetPublicKey", "kms:Sign"]
      Resource = [arn]
    }],
  )

  # --- the function ---

  interface_actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ]

  function_statements = concat(local.backup_statements, [
    {
      # AWS knows no resource for a list of all.
      Sid      = "FindTheServers"
      Effect   = "Allow"
      Action   = ["rds:DescribeDBInstances", "rds:DescribeDBClusters"]
      Resource = ["*"]
    },
    {
      Sid      = "KeepPlans"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:GetObject"]
      Resource = ["${local.plans_arn}/plans/*"]
    },
    {
      Sid      = "FindPlans"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = [local.plans_arn]
    },
    {
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*" if endswith(group.name, "/function")]
    },
    {
      # AWS knows no resource for most of these actions.
      Sid      = "JoinTheVpc"
      Effect   = "Allow"
      Action   = local.interface_actions
      Resource = ["*"]
    },
    {
      # Lambda itself makes the interfaces; its calls do not have this key. The code needs none of it.
      Sid       = "NotByTheCode"
      Effect    = "Deny"
      Action    = concat(local.interface_actions, ["ec2:DetachNetworkInterface"])
      Resource  = ["*"]
      Condition = { ArnLike = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:*" } }
    },
  ])

  # --- the task ---

  task_statements = concat(local.backup_statements, [
    {
      # A token of an item is of the map that it belongs to.
      Sid      = "SayHowItGoes"
      Effect   = "Allow"
      Action   = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]
      Resource = [local.state_machine, "${local.state_machine}/*"]
    },
  ])

  # Of a registry that is not ECR nothing is asked.
  repositories = try([format("arn:%s:ecr:%s:%s:repository/%s", concat(
    [local.partition],
    [for place in [1, 0, 2] : regex("^([0-9]{12})\\.dkr[.-]ecr(?:-fips)?\\.([a-z0-9-]+)\\.[a-z.]+/([^:@]+)", var.task_image)[place]],
  )...)], [])

  execution_statements = concat(
    [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*" if endswith(group.name, "/task")]
    }],
    length(local.repositories) == 0 ? [] : [
      {
        # It has no resource of its own.
        Sid      = "LogInToEcr"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.repositories
      },
    ],
  )

  # --- the state machine ---

  state_machine_statements = [
    {
      Sid      = "CallTheFunction"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = aws_lambda_function.this[*].arn
    },
    {
      # Of each revision: a run goes on when there is a new one.
      Sid       = "RunTasks"
      Effect    = "Allow"
      Action    = ["ecs:RunTask"]
      Resource  = ["arn:${local.partition}:ecs:${local.region}:${local.account}:task-definition/${var.name}:*"]
      Condition = { ArnEquals = { "ecs:cluster" = one(aws_ecs_cluster.this[*].arn) } }
    },
    {
      # A task gets the tags of its definition, and ECS asks for this right, too.
      Sid       = "TagTasks"
      Effect    = "Allow"
      Action    = ["ecs:TagResource"]
      Resource  = ["arn:${local.partition}:ecs:${local.region}:${local.account}:task/${var.name}/*"]
      Condition = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
    },
    {
      Sid       = "GiveTasksTheirRoles"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = concat(aws_iam_role.task[*].arn, aws_iam_role.execution[*].arn)
      Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
    },
    {
      Sid      = "ReadPlans"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${local.plans_arn}/plans/*"]
    },
    {
      # Maps run their items as executions of this machine; one map is in another.
      Sid      = "RunItems"
      Effect   = "Allow"
      Action   = ["states:StartExecution"]
      Resource = [local.state_machine, "${local.state_machine}/*"]
    },
    {
      Sid      = "LookAfterItems"
      Effect   = "Allow"
      Action   = ["states:DescribeExecution", "states:StopExecution"]
      Resource = [for end in [":*", "/*"] : "${local.states}:execution:${var.name}${end}"]
    },
    {
      Sid      = "RedriveItems"
      Effect   = "Allow"
      Action   = ["states:RedriveExecution"]
      Resource = ["${local.states}:execution:${var.name}/*"]
    },
    {
      Sid      = "TellOfResults"
      Effect   = "Allow"
      Action   = ["events:PutEvents"]
      Resource = ["arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default"]
    },
    {
      # A metric is no resource.
      Sid       = "CountRuns"
      Effect    = "Allow"
      Action    = ["cloudwatch:PutMetricData"]
      Resource  = ["*"]
      Condition = { StringEquals = { "cloudwatch:namespace" = "pgseal" } }
    },
  ]

  # --- who starts it ---

  scheduler_statements = [
    {
      Sid      = "StartRuns"
      Effect   = "Allow"
      Action   = ["states:StartExecution"]
      Resource = [local.state_machine]
    },
    {
      Sid      = "TellOfFailedStarts"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = aws_sqs_queue.not_started[*].arn
    },
  ]
}
