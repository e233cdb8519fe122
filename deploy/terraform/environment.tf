# What the program is told: variables of the task, and what becomes of them where it is needed again.

locals {
  # What this module sets itself: the roles, the alarms and the bucket's rules go by it.
  own_fields = [
    "auth", "bucket", "bucket_owner", "bucket_region", "database", "host", "instance", "password_secret", "port", "prefix",
    "public_key", "region", "retention", "scheduled_time", "timezone", "user",
  ]
  own_variables = [
    "BACKUP_EVENT", "OPENSSL_PUBLIC_KEY", "PGSEAL_ALLOWED_FINGERPRINTS", "PGSEAL_ALLOWED_HOSTS", "PGSEAL_EVENT_DEFAULTS",
    "PGSEAL_EVENT_FIELDS", "PGSEAL_SIGNING_KEY", "POSTGRES_AUTH", "POSTGRES_DATABASE", "POSTGRES_HOST", "POSTGRES_INSTANCE",
    "POSTGRES_PORT", "POSTGRES_USER", "REGION", "RETENTION", "RETENTION_DAYS", "RETENTION_TIMEZONE", "S3_BUCKET",
    "S3_BUCKET_OWNER", "S3_PREFIX", "S3_REGION",
  ]

  lock_mode    = coalesce(var.lock_mode, var.create_bucket ? "GOVERNANCE" : "NONE")
  bucket_owner = coalesce(var.bucket_owner, local.account, "-")
  retention    = { for key, backup in local.backups : key => coalesce(backup.retention, var.retention) }
  has_password = { for key, backup in local.backups : key =>
  backup.password_secret_arn != null || contains(keys(backup.secrets), "PGPASSWORD") }

  # Differ from the program's own, which are the defaults of the variable.
  retention_days = join(",", [for class in ["daily", "weekly", "monthly", "yearly"] : "${class}=${var.retention_days[class]}"])
  other_days     = local.retention_days == "daily=14,weekly=60,monthly=400,yearly=2600" ? [] : [local.retention_days]

  # The first label of the host's name, or the address: what {host} in the prefix and the metrics' dimension Server are.
  servers = { for key, backup in local.backups : key => lower(
    backup.instance != null ? backup.instance :
    can(regex("^[0-9.]+$|:", backup.host)) ? backup.host : split(".", coalesce(backup.host, "-"))[0]
  ) }

  # Names as they stand in keys and metrics: the program leaves letters, digits, dots, underscores and dashes, and Terraform's
  # encoding has a plus for a space and leaves the tilde.
  names   = distinct(concat(values(local.servers), flatten(values(local.backups)[*].databases), compact(values(local.drill_databases))))
  encoded = { for name in local.names : name => replace(replace(urlencode(name), "+", "%20"), "~", "%7E") }

  # Fields of the event, below it and above the variables.
  defaults = { for key, backup in local.backups : key => merge(
    length(backup.databases) == 1 ? {} : { database = backup.databases },
    local.retention[key] == "none" || local.lock_mode == "NONE" ? {} : { object_lock = { mode = local.lock_mode } },
    jsondecode(backup.event_defaults),
    { for arn in compact([backup.password_secret_arn]) : "password_secret" => arn },
  ) }

  recipients = { for key, backup in local.backups : key => (
    backup.public_keys != null ? jsonencode(backup.public_keys) :
    var.recipients_path != null ? "ssm:${var.recipients_path}" : jsonencode(var.public_keys)
  ) }

  environment = { for key, backup in local.backups : key => merge(
    backup.environment,
    {
      REGION    = local.region
      S3_BUCKET = local.bucket
      # A name that someone else has registered again gets no backup.
      S3_BUCKET_OWNER = local.bucket_owner
      # Backups share one bucket: the server's name keeps them apart.
      S3_PREFIX           = "${var.prefix}/{host}"
      OPENSSL_PUBLIC_KEY  = local.recipients[key]
      POSTGRES_USER       = backup.database_user
      POSTGRES_AUTH       = local.has_password[key] ? "password" : "iam"
      PGSEAL_EVENT_FIELDS = join(",", var.event_fields)
      # A token or password goes to no other host.
      PGSEAL_ALLOWED_HOSTS = coalesce(join(",", backup.allowed_hosts), backup.host, "*.${local.region}.rds.${local.dns_suffix},*.rds.${local.region}.${local.dns_suffix}")
    },
    { for host in compact([backup.host]) : "POSTGRES_HOST" => host },
    # Set, it would go before the port that is looked up.
    { for port in backup.port == null ? [] : [backup.port] : "POSTGRES_PORT" => tostring(port) },
    { for region in compact([var.bucket_region]) : "S3_REGION" => region },
    { for instance in compact([backup.instance]) : "POSTGRES_INSTANCE" => instance },
    { for database in backup.databases : "POSTGRES_DATABASE" => database if length(backup.databases) == 1 },
    { for json in [jsonencode(local.defaults[key])] : "PGSEAL_EVENT_DEFAULTS" => json if json != "{}" },
    { for list in compact([join(",", var.allowed_fingerprints)]) : "PGSEAL_ALLOWED_FINGERPRINTS" => list },
    { for arn in compact([var.signing_key_arn]) : "PGSEAL_SIGNING_KEY" => arn },
    local.retention[key] == "none" ? {} : { RETENTION = local.retention[key], RETENTION_TIMEZONE = var.retention_timezone },
    { for days in local.other_days : "RETENTION_DAYS" => days },
  ) }

  # --- drills ---

  drill_servers = { for key, drill in local.drills : key => drill.server != null ? drill.server : local.servers[drill.backup] }
  # The one of its backup, where that has one: other backups may leave theirs in the same folder.
  drill_databases = { for key, drill in local.drills : key => (
    drill.database != null || drill.backup == null ? drill.database : try(local.backups[drill.backup].databases[0], null)
  ) }
  drill_folders = { for key, server in local.drill_servers : key => try(local.encoded[server], server) }
  drill_locations = { for key, drill in local.drills : key => {
    backup = "s3://${local.bucket}/${var.prefix}/${local.drill_folders[key]}/latest${local.drill_databases[key] == null ? "" : ":${local.drill_databases[key]}"}"
    report = "s3://${local.bucket}/${var.report_prefix}/${local.drill_folders[key]}"
  } }
}
