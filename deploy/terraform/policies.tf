# What each role may do, and no more: as docs/DEPLOY.md lists it. Made by jsonencode, so that tests can read it.

locals {
  # --- a backup ---

  # What S3 wants for the fields of the event that are set.
  writes = { for key, backup in local.backups : key => concat(
    ["s3:PutObject", "s3:AbortMultipartUpload"],
    local.retention[key] != "none" || can(local.defaults[key].tags) ? ["s3:PutObjectTagging"] : [],
    can(local.defaults[key].object_lock) ? ["s3:PutObjectRetention"] : [],
    can(local.defaults[key].acl) ? ["s3:PutObjectAcl"] : [],
  ) }
  # Keys of S3's own encryption: the bucket's, and the one that an event's defaults name.
  bucket_keys = { for key, backup in local.backups : key =>
  distinct(compact([var.kms_key_arn, try(local.defaults[key].kms_key_id, null)])) }

  # A service uses a key in its own region, which the ARN names; nobody takes the key to open anything else.
  via_s3 = { StringEquals = { "kms:ViaService" = distinct([for arn in concat(local.all_bucket_keys, ["-"]) :
  "s3.${try(split(":", arn)[3], coalesce(var.bucket_region, local.region, "-"))}.${local.dns_suffix}"]) } }

  # Each backup writes below the folder of its server. An event that may name another server, or another prefix, needs them all.
  folders = { for key in keys(local.backups) : key => (
    length(setintersection(var.event_fields, ["host", "instance", "prefix"])) > 0 ? var.prefix : "${var.prefix}/${local.encoded[local.servers[key]]}"
  ) }

  backup_statements = { for key, backup in local.backups : key => concat(
    local.has_password[key] ? [] : [{
      Sid    = "LogIn"
      Effect = "Allow"
      Action = ["rds-db:connect"]
      Resource = [
        "arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:${coalesce(backup.database_resource_id, "-")}/${backup.database_user}",
      ]
    }],
    # The name is an instance's or a cluster's: which, is what the task looks up.
    [for instance in compact([backup.instance]) : {
      Sid      = "FindTheDatabase"
      Effect   = "Allow"
      Action   = ["rds:DescribeDBInstances", "rds:DescribeDBClusters"]
      Resource = [for kind in ["db", "cluster"] : "arn:${local.partition}:rds:${local.region}:${local.account}:${kind}:${lower(instance)}"]
    }],
    [for arn in compact([backup.password_secret_arn]) : {
      Sid      = "ReadThePassword"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = [arn]
    }],
    backup.password_secret_arn == null || length(backup.secret_kms_key_arns) == 0 ? [] : [{
      Sid       = "OpenThePassword"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = backup.secret_kms_key_arns
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${try(split(":", backup.password_secret_arn)[3], local.region)}.${local.dns_suffix}" } }
    }],
    [
      {
        Sid      = "WriteBackups"
        Effect   = "Allow"
        Action   = local.writes[key]
        Resource = ["${local.objects}/${local.folders[key]}/*"]
      },
      {
        # The manifest of this event, if one stands: is it of this very order? No dump and no key can be read.
        Sid      = "SeeWhetherItIsDone"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.objects}/${local.folders[key]}/*.manifest*.jsonl"]
      },
      {
        Sid      = "FindTheBucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = [local.bucket_arn]
      },
      {
        # For `check`, which warns of a bucket that keeps too little.
        Sid    = "LookAtTheBucket"
        Effect = "Allow"
        Action = [
          "s3:GetBucketVersioning",
          "s3:GetEncryptionConfiguration",
          "s3:GetBucketObjectLockConfiguration",
          "s3:GetLifecycleConfiguration",
          "s3:GetBucketPolicy",
        ]
        Resource = [local.bucket_arn]
      },
    ],
    length(local.bucket_keys[key]) == 0 ? [] : [{
      Sid       = "UseTheKmsKey"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = local.bucket_keys[key]
      Condition = local.via_s3
    }],
    [for arn in compact([var.signing_key_arn]) : {
      Sid      = "Sign"
      Effect   = "Allow"
      Action   = ["kms:GetPublicKey", "kms:Sign"]
      Resource = [arn]
    }],
    [for path in compact([backup.public_keys == null ? var.recipients_path : null]) : {
      Sid      = "FindTheRecipients"
      Effect   = "Allow"
      Action   = ["ssm:GetParametersByPath"]
      Resource = [for end in ["", "/*"] : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${path}${end}"]
    }],
    [for statement in concat(var.task_policy_statements, backup.task_policy_statements) : merge({
      Effect   = statement.effect
      Action   = statement.actions
      Resource = statement.resources
    }, { for sid in compact([statement.sid]) : "Sid" => sid })],
  ) }

  # --- who reads backups: a drill, and anyone with the output reader_policy ---

  all_bucket_keys = distinct(concat(compact([var.kms_key_arn]), values(local.bucket_keys)...))

  reader_statements = concat(
    [
      {
        # What is read of a versioned bucket is pinned to its version.
        Sid    = "ReadBackups"
        Effect = "Allow"
        Action = ["s3:GetObject", "s3:GetObjectVersion"]
        # And the reports of drills, for `pgseal fleet status --reports`.
        Resource = ["${local.objects}/${var.prefix}/*", "${local.objects}/${var.report_prefix}/*.drill-*"]
      },
      {
        Sid      = "FindBackups"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.bucket_arn]
      },
    ],
    length(local.all_bucket_keys) == 0 ? [] : [{
      Sid       = "OpenTheBucketsEncryption"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = local.all_bucket_keys
      Condition = local.via_s3
    }],
  )

  drill_statements = { for key, drill in local.drills : key => concat(
    local.reader_statements,
    [
      {
        Sid      = "ReadThePrivateKey"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [drill.key_secret_arn]
      },
      {
        # Before it starts it tries whether it could, by completing an upload of such a name that there is not.
        Sid      = "LeaveTheReport"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${local.objects}/${var.report_prefix}/${local.drill_folders[key]}/*.drill-*"]
      },
    ],
    [for arn in compact([drill.key_secret_kms_key_arn]) : {
      Sid       = "OpenThePrivateKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = [arn]
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${try(split(":", arn)[3], local.region)}.${local.dns_suffix}" } }
    }],
    [for arn in compact([var.kms_key_arn]) : {
      Sid       = "EncryptTheReport"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey"]
      Resource  = [arn]
      Condition = local.via_s3
    }],
  ) }

  task_policies = merge(
    { for key, statements in local.backup_statements : key => jsonencode({ Version = "2012-10-17", Statement = statements }) },
    { for key, statements in local.drill_statements : "${key}_drill" => jsonencode({ Version = "2012-10-17", Statement = statements }) },
  )

  # --- what ECS does before the task runs ---

  # Of a registry that is not ECR nothing is asked.
  repositories = { for key, task in local.tasks : key => try([format("arn:%s:ecr:%s:%s:repository/%s", concat(
    [local.partition],
    [for place in [1, 0, 2] : regex("^([0-9]{12})\\.dkr[.-]ecr(?:-fips)?\\.([a-z0-9-]+)\\.[a-z.]+/([^:@]+)", task.image)[place]],
  )...)], []) }
  # After the seventh part of a secret's ARN: which of its fields and versions.
  secrets = { for key, task in local.tasks : key => {
    secretsmanager = distinct([for arn in values(task.secrets) : join(":", slice(split(":", arn), 0, 7)) if startswith(arn, "arn:${local.partition}:secretsmanager:")])
    ssm            = distinct([for arn in values(task.secrets) : arn if startswith(arn, "arn:${local.partition}:ssm:")])
  } }

  execution_policies = { for key, task in local.tasks : key => jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this[0].arn}:*"]
      }],
      length(local.repositories[key]) == 0 ? [] : [
        {
          # It has no resource of its own.
          Sid      = "LogInToTheRegistry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
        {
          Sid      = "PullTheImage"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
          Resource = local.repositories[key]
        },
      ],
      length(local.secrets[key].secretsmanager) == 0 ? [] : [{
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = local.secrets[key].secretsmanager
      }],
      length(local.secrets[key].ssm) == 0 ? [] : [{
        Sid      = "ReadParameters"
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = local.secrets[key].ssm
      }],
      length(task.secrets) == 0 || length(task.secret_key) == 0 ? [] : [{
        Sid       = "OpenSecrets"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = task.secret_key
        Condition = { StringEquals = { "kms:ViaService" = [for service in ["secretsmanager", "ssm"] : "${service}.${local.region}.${local.dns_suffix}"] } }
      }],
      [for statement in var.execution_policy_statements : merge({
        Effect   = statement.effect
        Action   = statement.actions
        Resource = statement.resources
      }, { for sid in compact([statement.sid]) : "Sid" => sid })],
    )
  }) }

  # --- who asks ECS for the task ---

  scheduler_policies = { for key, task in local.tasks : key => jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "RunTheTask"
          Effect    = "Allow"
          Action    = ["ecs:RunTask"]
          Resource  = [local.definitions[key]]
          Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }
        },
        {
          Sid       = "GiveItsRoles"
          Effect    = "Allow"
          Action    = ["iam:PassRole"]
          Resource  = [aws_iam_role.task[key].arn, aws_iam_role.execution[key].arn]
          Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
        },
        {
          Sid      = "TellOfFailedStarts"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage"]
          Resource = [aws_sqs_queue.failed[0].arn]
        },
      ],
      [for arn in compact([var.schedule_kms_key_arn]) : {
        Sid      = "OpenTheSchedule"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [arn]
      }],
    )
  }) }
}
