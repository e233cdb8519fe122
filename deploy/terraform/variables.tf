variable "create" {
  description = "Whether anything is made"
  type        = bool
  default     = true
}

variable "name" {
  description = "What the names of all that is made begin with; two calls in one region need two names"
  type        = string
  default     = "pgseal"

  # With the longest name of a backup, AWS's 64 letters are not passed. No underscore: it parts the two, so that the names of
  # two calls never meet.
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

# --- what to back up ---

variable "backups" {
  description = <<-EOT
    What to back up and when, by name. Each needs `schedule`, one of `host` and `instance`, and, without a password,
    `database_resource_id`: the DbiResourceId or DbClusterResourceId (db-… or cluster-…). `event_defaults` is JSON of
    fields of the event (docs/REFERENCE.md), `environment` further variables of the program, `secrets` variables whose
    values ECS takes from Secrets Manager or Parameter Store (such as PGPASSWORD), by ARN. `databases` must be known when
    planning: each one that is named has an alarm of its own. `allowed_hosts` is for an `instance` whose endpoint is not
    of RDS in this region. Without `port` it is 5432, or the one that an `instance` has.
  EOT
  type = map(object({
    schedule             = string
    timezone             = optional(string, "UTC")
    enabled              = optional(bool, true)
    host                 = optional(string)
    instance             = optional(string)
    port                 = optional(number)
    allowed_hosts        = optional(list(string), [])
    databases            = optional(list(string), ["*"])
    database_user        = optional(string, "backup")
    database_resource_id = optional(string)
    password_secret_arn  = optional(string)
    secrets              = optional(map(string), {})
    secret_kms_key_arns  = optional(list(string), [])
    event_defaults       = optional(string, "{}")
    environment          = optional(map(string), {})
    public_keys          = optional(list(string))
    retention            = optional(string)
    size                 = optional(string)
    max_age_hours        = optional(number)
    task_policy_statements = optional(list(object({
      sid       = optional(string)
      effect    = optional(string, "Allow")
      actions   = list(string)
      resources = list(string)
    })), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.backups) : can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,27}$", key))])
    error_message = "The name of a backup is 1 to 28 letters, digits and dashes."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : (backup.host == null) != (backup.instance == null)])
    error_message = "Each backup needs one of host and instance."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) : length(backup.databases) > 0 &&
    (!contains(backup.databases, "*") || length(backup.databases) == 1) && length(distinct(backup.databases)) == length(backup.databases)])
    error_message = "databases is a list of names, each once, or [\"*\"]."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
    backup.password_secret_arn != null || contains(keys(backup.secrets), "PGPASSWORD") || backup.database_resource_id != null])
    error_message = "A backup without a password logs in by IAM, and needs database_resource_id."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
    backup.database_resource_id == null || can(regex("^(db|cluster|prx)-[A-Za-z0-9]+$", backup.database_resource_id))])
    error_message = "database_resource_id is such as db-ABCDEFGHIJKL01234 or cluster-…: not the instance's name, not an ARN."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : can(regex("^[^*?$/]+$", backup.database_user))])
    error_message = "IAM takes *, ? and $ in database_user for more than they are."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : can(keys(jsondecode(backup.event_defaults)))])
    error_message = "event_defaults is the JSON of an object: write jsonencode({…})."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
    length(setintersection(try(keys(jsondecode(backup.event_defaults)), []), local.own_fields)) == 0])
    error_message = "event_defaults must not have what this module sets, as the rights of the role go by it: ${join(", ", local.own_fields)}."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
    length(setintersection(concat(keys(backup.environment), keys(backup.secrets)), local.own_variables)) == 0])
    error_message = "environment and secrets must not have what this module sets: ${join(", ", local.own_variables)}."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : length(setintersection(keys(backup.environment), keys(backup.secrets))) == 0])
    error_message = "A variable stands in environment and in secrets: ECS takes no name twice."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : backup.password_secret_arn == null || !contains(keys(backup.secrets), "PGPASSWORD")])
    error_message = "Give the password once: by password_secret_arn, or as PGPASSWORD in secrets."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) : alltrue([for key in coalesce(backup.public_keys, []) :
    can(regex("^\\s*-----BEGIN (RSA )?PUBLIC KEY-----\\s", key))]) && length(coalesce(backup.public_keys, ["-"])) > 0])
    error_message = "public_keys of a backup is a list of public keys in PEM, and not empty."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : !contains(keys(backup.environment), "PGPASSWORD")])
    error_message = "A task definition is no place for a password: give the ARN of a secret in secrets, or password_secret_arn."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : !can(regex("PRIVATE KEY", jsonencode(backup)))])
    error_message = "There is a private key among the backups. Treat it as leaked, make a new pair, and give the public half."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
    contains(["none", "daily", "weekly", "monthly", "yearly", "gfs"], coalesce(backup.retention, "none"))])
    error_message = "retention is none, daily, weekly, monthly, yearly or gfs."
  }

  validation {
    condition     = alltrue([for backup in values(var.backups) : contains(keys(local.sizes), coalesce(backup.size, var.size))])
    error_message = "Fargate has no such size: see the variable size."
  }

  validation {
    condition = alltrue([for backup in values(var.backups) :
      try(backup.max_age_hours >= 1 && backup.max_age_hours <= 168 && floor(backup.max_age_hours) == backup.max_age_hours,
    backup.max_age_hours == null)])
    error_message = "max_age_hours is a whole number from 1 to 168: CloudWatch looks back 7 days."
  }
}

variable "event_fields" {
  description = "What the event of a run may set (PGSEAL_EVENT_FIELDS); everything else is what stands here"
  type        = list(string)
  default     = ["action", "scheduled_time"]

  validation {
    condition     = length(var.event_fields) > 0 && alltrue([for field in var.event_fields : can(regex("^[a-z_]+$", field))])
    error_message = "event_fields is a list of fields' names, and not empty."
  }

  validation {
    condition     = contains(var.event_fields, "scheduled_time")
    error_message = "event_fields needs scheduled_time: every schedule sends it, so that a second delivery finds the work done."
  }
}

# --- for whom it is sealed ---

variable "public_keys" {
  description = "The recipients' RSA public keys in PEM, up to 16; the private keys stay with you. Each opens every backup"
  type        = list(string)
  default     = []

  validation {
    condition     = !can(regex("PRIVATE KEY", join("", var.public_keys)))
    error_message = "This is a private key. Treat it as leaked, make a new pair, and give the public half."
  }

  validation {
    condition     = alltrue([for key in var.public_keys : can(regex("^\\s*-----BEGIN (RSA )?PUBLIC KEY-----\\s", key))])
    error_message = "Each of public_keys is a public key in PEM, as `pgseal keygen` writes it: file(\"public_key.pem\")."
  }

  validation {
    condition     = length(var.public_keys) <= 16
    error_message = "There are at most 16 recipients."
  }

  validation {
    condition     = var.recipients_path == null || length(var.public_keys) == 0
    error_message = "Give one of public_keys and recipients_path."
  }

  validation {
    condition = (!var.create || length(var.public_keys) > 0 || var.recipients_path != null ||
    alltrue([for backup in values(var.backups) : backup.public_keys != null]))
    error_message = "Give public_keys or recipients_path: nothing is backed up unsealed."
  }
}

variable "recipients_path" {
  description = "Instead of `public_keys`: a path in Parameter Store; every parameter right below it is one recipient's public key"
  type        = string
  default     = null

  validation {
    condition     = var.recipients_path == null || can(regex("^(/[A-Za-z0-9._-]+)+$", var.recipients_path))
    error_message = "recipients_path begins with a slash and does not end with one, such as /pgseal/recipients."
  }
}

variable "allowed_fingerprints" {
  description = "Fingerprints of the recipients that are allowed (PGSEAL_ALLOWED_FINGERPRINTS), as `pgseal keygen` and `check` print them"
  type        = list(string)
  default     = []

  validation {
    condition     = var.recipients_path == null || length(var.allowed_fingerprints) > 0
    error_message = "With recipients_path name the fingerprints: whoever may write a parameter could add a recipient otherwise."
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

# --- the task ---

variable "image" {
  description = "The image of target `ecs`, in a registry"
  type        = string
  default     = null

  validation {
    condition     = !var.create || length(var.backups) == 0 || var.image != null
    error_message = "Backups need image, the image of target ecs."
  }
}

variable "architecture" {
  description = "What the images are built for: `X86_64` or `ARM64`"
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

variable "size" {
  description = "Fargate's CPU and memory, as `1vCPU-2GB`: from `0.25vCPU-0.5GB` to `16vCPU-120GB`, in Fargate's combinations; `pgseal check` advises one"
  type        = string
  default     = "1vCPU-2GB"

  validation {
    condition     = contains(keys(local.sizes), var.size)
    error_message = "Fargate has no such size. For this number of CPUs it has: ${join(", ", [for size in keys(local.sizes) : size if startswith(size, "${split("-", var.size)[0]}-")])}."
  }
}

variable "task_policy_statements" {
  description = "More statements for the role of every backup's task, for what `event_defaults` and `environment` need beyond the module's own"
  type = list(object({
    sid       = optional(string)
    effect    = optional(string, "Allow")
    actions   = list(string)
    resources = list(string)
  }))
  default = []
}

variable "execution_policy_statements" {
  description = "More statements for the execution roles, such as for a pull-through cache of ECR"
  type = list(object({
    sid       = optional(string)
    effect    = optional(string, "Allow")
    actions   = list(string)
    resources = list(string)
  }))
  default = []
}

variable "create_cluster" {
  description = "Whether to make an ECS cluster"
  type        = bool
  default     = false
}

variable "cluster_arn" {
  description = "The ECS cluster to run on, where none is made"
  type        = string
  default     = null

  validation {
    condition     = !var.create || var.create_cluster != (var.cluster_arn != null)
    error_message = "Give cluster_arn, or set create_cluster: one of both."
  }
}

variable "container_insights" {
  description = "Of a cluster that is made: `disabled`, `enabled` or `enhanced`; CloudWatch charges for its metrics"
  type        = string
  default     = "disabled"

  validation {
    condition     = contains(["disabled", "enabled", "enhanced"], var.container_insights)
    error_message = "container_insights is disabled, enabled or enhanced."
  }
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs; 0 is for ever"
  type        = number
  default     = 365

  validation {
    condition = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
    var.log_retention_days)
    error_message = "CloudWatch has no such time: 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and so on."
  }
}

variable "log_kms_key_arn" {
  description = "A key for the log group; logs hold neither secrets nor data"
  type        = string
  default     = null
}

variable "schedule_kms_key_arn" {
  description = "A key for the schedules; they hold names and times. Its policy must let the schedulers' roles use it"
  type        = string
  default     = null
}
