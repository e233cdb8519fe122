variable "create" {
  description = "Whether anything is made"
  type        = bool
  default     = true
}

variable "name" {
  description = "What the names of all that is made begin with; two calls in one region need two names"
  type        = string
  default     = "pgseal-fleet"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name is 2 to 24 small letters, digits and dashes, and begins with a letter."
  }
}

variable "tags" {
  description = "Tags of all that is made"
  type        = map(string)
  default     = {}
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of every role"
  type        = string
  default     = null
}

# --- the images ---

variable "function_image" {
  description = "The image of target `lambda` in ECR, such as `111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:lambda`"
  type        = string
  default     = null

  validation {
    condition     = !var.create || can(regex("^\\S+/\\S+:\\S+$|^\\S+@sha256:[0-9a-f]{64}$", var.function_image))
    error_message = "function_image is an image with its registry, and a tag or a digest."
  }
}

variable "task_image" {
  description = "The image of target `ecs`, in a registry; a backup that is too large for the function becomes a task"
  type        = string
  default     = null

  validation {
    condition     = !var.create || can(regex("^\\S+/\\S+:\\S+$|^\\S+@sha256:[0-9a-f]{64}$", var.task_image))
    error_message = "task_image is an image with its registry, and a tag or a digest."
  }
}

variable "architecture" {
  description = "What both images are built for: `X86_64` or `ARM64`"
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

variable "memory_size" {
  description = "Memory of the function in MiB; a backup that needs more becomes a task"
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_size >= 512 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size is a whole number from 512 to 10240."
  }
}

# --- what to back up ---

variable "discover" {
  description = "Which servers are meant, as JSON: the field `discover` of an event (docs/FLEETS.md); `{}` is all of this account and region"
  type        = string
  default     = "{\"tags\":{\"backup\":\"nightly\"}}"

  validation {
    condition     = can(keys(jsondecode(var.discover)))
    error_message = "discover is the JSON of an object: write jsonencode({…})."
  }

  validation {
    condition     = length(setsubtract(try(keys(jsondecode(var.discover)), []), ["tags", "engine", "instances", "clusters", "reader"])) == 0
    error_message = "discover has tags, engine, instances, clusters and reader."
  }
}

variable "databases" {
  description = "Which databases of each server; `[\"*\"]` is all"
  type        = list(string)
  default     = ["*"]

  validation {
    condition = (length(var.databases) > 0 && (!contains(var.databases, "*") || length(var.databases) == 1) &&
    length(distinct(var.databases)) == length(var.databases))
    error_message = "databases is a list of names, each once, or [\"*\"]."
  }
}

variable "exclude_databases" {
  description = "Which databases to leave out of `*`"
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.exclude_databases) == 0 || contains(var.databases, "*")
    error_message = "exclude_databases is for databases = [\"*\"]."
  }
}

variable "database_user" {
  description = "A role with rds_iam and pg_read_all_data on each of these servers"
  type        = string
  default     = "backup"

  # It becomes part of an IAM resource, where * would be every user.
  validation {
    condition     = can(regex("^[A-Za-z_][A-Za-z0-9_.-]*$", var.database_user))
    error_message = "database_user is letters, digits, dots, dashes and underscores: IAM takes *, ? and $ for more than they are."
  }
}

variable "allowed_hosts" {
  description = "Hosts that tokens are sent to, and no others (PGSEAL_ALLOWED_HOSTS); none is RDS in this region"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for host in var.allowed_hosts : can(regex("^(\\*\\.)?[A-Za-z0-9.-]+$", host))])
    error_message = "Each of allowed_hosts is a host's name, or *. and the end of names."
  }
}

# --- the network ---

variable "vpc_id" {
  description = "The VPC of the subnets"
  type        = string
  default     = null

  validation {
    condition     = !var.create || var.vpc_id != null
    error_message = "The security group needs vpc_id."
  }
}

variable "subnet_ids" {
  description = "Subnets that reach the databases and, by NAT or endpoints, S3 and the other services"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create || length(var.subnet_ids) > 0
    error_message = "The function and the tasks need subnet_ids."
  }
}

variable "database_cidr_blocks" {
  description = "Where the databases are, such as `10.0.0.0/16`. You let the output `security_group_id` into their security groups"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create || length(var.database_cidr_blocks) > 0
    error_message = "Give database_cidr_blocks: no database would be reached."
  }

  validation {
    condition     = alltrue([for cidr in var.database_cidr_blocks : can(cidrnetmask(cidr))])
    error_message = "Each of database_cidr_blocks is a network, such as 10.0.0.0/16."
  }
}

variable "https_cidr_blocks" {
  description = "Where the function and the tasks reach AWS over TLS; S3 by a gateway endpoint has public addresses"
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.https_cidr_blocks : can(cidrnetmask(cidr))])
    error_message = "Each of https_cidr_blocks is a network, such as 10.0.0.0/16."
  }
}

variable "first_port" {
  description = "The lowest port of the databases"
  type        = number
  default     = 5432

  validation {
    condition     = var.first_port >= 1 && var.first_port <= 65535 && floor(var.first_port) == var.first_port
    error_message = "first_port is a whole number from 1 to 65535."
  }
}

variable "last_port" {
  description = "The highest port of the databases"
  type        = number
  default     = 5432

  validation {
    condition     = var.last_port >= var.first_port && var.last_port <= 65535 && floor(var.last_port) == var.last_port
    error_message = "last_port is a whole number from first_port to 65535."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks get a public address. The function has none, so its subnets need NAT or endpoints all the same"
  type        = bool
  default     = false
}

# --- the bucket ---

variable "bucket" {
  description = "Name of the bucket for the backups; it is not made here"
  type        = string
  default     = null

  validation {
    condition     = !var.create || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is the name of a bucket: 3 to 63 small letters, digits, dots and dashes."
  }
}

variable "bucket_owner" {
  description = "The account that must own the bucket, such as a vault account; null is this account"
  type        = string
  default     = null

  validation {
    condition     = var.bucket_owner == null || can(regex("^[0-9]{12}$", var.bucket_owner))
    error_message = "bucket_owner is an account's number, of 12 digits."
  }
}

variable "prefix" {
  description = "What every object's key begins with; a folder with the server's name follows it. In a vault `backups/ACCOUNT/REGION`"
  type        = string
  default     = "backups"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }
}

variable "kms_key_arn" {
  description = "The KMS key that the bucket encrypts with, if there is one"
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not of an alias: IAM goes by the key itself."
  }
}

variable "retention" {
  description = "The class of the backups, which the bucket's lifecycle rules go by: `daily`, `weekly`, `monthly`, `yearly`, `gfs`, or `none`"
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "daily", "weekly", "monthly", "yearly", "gfs"], var.retention)
    error_message = "retention is none, daily, weekly, monthly, yearly or gfs."
  }
}

variable "retention_timezone" {
  description = "The time zone whose days `gfs` goes by, such as `Europe/Berlin`"
  type        = string
  default     = "UTC"
}

variable "retention_days" {
  description = "Days after which the bucket's lifecycle rules remove the manifests of each class: `retention_days` of the bucket or vault. Locks by class are these less 1"
  type = object({
    daily   = optional(number, 14)
    weekly  = optional(number, 60)
    monthly = optional(number, 400)
    yearly  = optional(number, 2600)
  })
  default = {}

  validation {
    condition     = alltrue([for days in values(var.retention_days) : days >= 2 && floor(days) == days])
    error_message = "Each class is kept for a whole number of at least 2 days: its lock is a day less."
  }
}

variable "lock_mode" {
  description = "With `retention` each backup asks for the lock of its class, in this mode, which is the bucket's own: `GOVERNANCE` or `COMPLIANCE`; `NONE` for a bucket that takes no locks"
  type        = string
  default     = "GOVERNANCE"

  validation {
    condition     = contains(["NONE", "GOVERNANCE", "COMPLIANCE"], var.lock_mode)
    error_message = "lock_mode is NONE, GOVERNANCE or COMPLIANCE."
  }

  validation {
    condition     = var.lock_mode != "COMPLIANCE" || var.retention != "none"
    error_message = "lock_mode COMPLIANCE needs retention: without a class a backup asks for no lock, and the bucket's own counts."
  }
}

# --- for whom it is sealed, and how ---

variable "recipients_path" {
  description = "A path in Parameter Store; every parameter right below it is one recipient's public key"
  type        = string
  default     = "/pgseal/recipients"

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._-]+)+$", var.recipients_path))
    error_message = "recipients_path begins with a slash and does not end with one, such as /pgseal/recipients."
  }
}

variable "allowed_fingerprints" {
  description = "SHA-256 fingerprints of the keys that may be recipients (PGSEAL_ALLOWED_FINGERPRINTS), as `pgseal keygen` and `check` print them"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create || length(var.allowed_fingerprints) > 0
    error_message = "Name the fingerprints: whoever may write a parameter could add a recipient otherwise."
  }

  validation {
    condition = alltrue([for fingerprint in var.allowed_fingerprints :
    can(regex("^([0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31})$", fingerprint))])
    error_message = "Each of allowed_fingerprints is 64 digits of hex, with colons or without."
  }
}

variable "signing_key_arn" {
  description = "A KMS key (ECC_NIST_P256, SIGN_VERIFY) that signs each manifest (PGSEAL_SIGNING_KEY); no alias, as IAM goes by the key itself"
  type        = string
  default     = null

  validation {
    condition     = var.signing_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.signing_key_arn))
    error_message = "signing_key_arn is the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "rate_limit" {
  description = "Bytes a second out of each pg_dump, as `pv -L` takes them; `0` is no limit"
  type        = string
  default     = "10M"

  validation {
    condition     = can(regex("^[0-9]+([.,][0-9]+)?[kKmMgGtT]?$", var.rate_limit))
    error_message = "rate_limit is a number, with k, M, G or T behind it, such as 10M."
  }
}

variable "compression" {
  description = "`bzip2`, `bzip2:1` to `bzip2:9`, `zstd`, `zstd:1` to `zstd:19`, or `none`"
  type        = string
  default     = "bzip2"

  validation {
    condition     = can(regex("^(bzip2(:[1-9])?|zstd(:([1-9]|1[0-9]))?|none)$", var.compression))
    error_message = "compression is bzip2 or bzip2:1 to bzip2:9, zstd or zstd:1 to zstd:19, or none."
  }
}

# --- when, and how many at once ---

variable "schedule" {
  description = "When it runs, as EventBridge Scheduler takes it"
  type        = string
  default     = "cron(0 2 * * ? *)"

  validation {
    condition     = can(regex("^(cron|rate|at)\\(.+\\)$", var.schedule))
    error_message = "schedule is cron(…), rate(…) or at(…)."
  }
}

variable "schedule_timezone" {
  description = "The time zone of `schedule`, such as `Europe/Berlin`"
  type        = string
  default     = "UTC"
}

variable "schedule_enabled" {
  description = "Whether it runs by itself; without that there is no alarm on runs that are missing"
  type        = bool
  default     = true
}

variable "max_age_hours" {
  description = "Without a success of the schedule for so many hours there is an alarm: 1 to 168; more than its interval and the longest run take"
  type        = number
  default     = 36

  validation {
    condition     = var.max_age_hours >= 1 && var.max_age_hours <= 168 && floor(var.max_age_hours) == var.max_age_hours
    error_message = "max_age_hours is a whole number from 1 to 168: CloudWatch looks back 7 days."
  }
}

variable "servers_at_once" {
  description = "How many servers are backed up at once"
  type        = number
  default     = 10

  validation {
    condition     = var.servers_at_once >= 1 && var.servers_at_once <= 1000 && floor(var.servers_at_once) == var.servers_at_once
    error_message = "servers_at_once is a whole number from 1 to 1000."
  }
}

variable "databases_at_once" {
  description = "How many databases of one server are backed up at once"
  type        = number
  default     = 1

  validation {
    condition     = var.databases_at_once >= 1 && var.databases_at_once <= 100 && floor(var.databases_at_once) == var.databases_at_once
    error_message = "databases_at_once is a whole number from 1 to 100."
  }
}

variable "tolerated_failures" {
  description = "Percent of the databases that may have no backup before the run has failed"
  type        = number
  default     = 0

  validation {
    condition     = var.tolerated_failures >= 0 && var.tolerated_failures <= 100 && floor(var.tolerated_failures) == var.tolerated_failures
    error_message = "tolerated_failures is a whole number from 0 to 100, in percent."
  }
}

variable "rds_event_ids" {
  description = "Events of RDS, of instances and clusters, that start a run for their own server, if `discover` means it. `RDS-EVENT-0043` is a restore"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.rds_event_ids : can(regex("^RDS-EVENT-[0-9]{4}$", id))])
    error_message = "Each of rds_event_ids is such as RDS-EVENT-0043."
  }
}

# --- how a failure is noticed ---

variable "topic_arn" {
  description = "The SNS topic that the alarms tell; CloudWatch must be let in by its policy and by its key's. Null tells nobody"
  type        = string
  default     = null

  validation {
    condition     = var.topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.topic_arn))
    error_message = "topic_arn is the ARN of an SNS topic."
  }
}

variable "runbook" {
  description = "Where the runbook is, for the descriptions of alarms"
  type        = string
  default     = "docs/RUNBOOK.md"
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs; 0 is for ever"
  type        = number
  default     = 90

  validation {
    condition = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
    var.log_retention_days)
    error_message = "CloudWatch has no such time: 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and so on."
  }
}

variable "log_kms_key_arn" {
  description = "A key for the log groups; logs hold neither secrets nor data"
  type        = string
  default     = null
}
