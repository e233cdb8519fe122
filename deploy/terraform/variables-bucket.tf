variable "bucket" {
  description = "Name of the bucket, or ARN of an access point. With `create_bucket` the new bucket's name; null lets AWS complete `name`"
  type        = string
  default     = null

  validation {
    condition     = !var.create || var.create_bucket || var.bucket != null
    error_message = "Give bucket, or set create_bucket."
  }
}

variable "create_bucket" {
  description = "Whether to make the bucket: versioned, locked, encrypted, nothing in it overwritten. One of a vault account survives the loss of this one"
  type        = bool
  default     = false
}

variable "bucket_owner" {
  description = "The account that must own the bucket, such as a vault account; null is this account"
  type        = string
  default     = null

  validation {
    condition     = var.bucket_owner == null || can(regex("^[0-9]{12}$", var.bucket_owner))
    error_message = "bucket_owner is an account's number, of 12 digits."
  }

  validation {
    condition     = !var.create_bucket || var.bucket_owner == null
    error_message = "A bucket that is made is this account's: leave bucket_owner out."
  }
}

variable "bucket_region" {
  description = "The bucket's region, such as a vault's; null is this one. A gateway endpoint of S3 does not reach another"
  type        = string
  default     = null

  validation {
    condition     = !var.create_bucket || var.bucket_region == null
    error_message = "A bucket that is made is in this region: leave bucket_region out."
  }
}

variable "prefix" {
  description = "What every object's key begins with; a folder with the server's name follows it"
  type        = string
  default     = "backups"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }
}

variable "kms_key_arn" {
  description = "The key of the bucket's own encryption, if it has one; a bucket that is made gets it"
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not of an alias: IAM goes by the key itself."
  }
}

variable "retention" {
  description = "The class that lifecycle rules go by: `daily`, `weekly`, `monthly`, `yearly`, `gfs`, or `none`; each backup may have another"
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
  description = "Days after which the bucket's lifecycle rules remove the manifests of each class, two days before all else of it; locks by class are these less 1"
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

variable "expiration_days" {
  description = "With `create_bucket`: days after which everything without a class expires; null is after the last class. S3 would remove what has a class after fewer days, too: give them where no backup that goes here, of this or another call, ever has one"
  type        = number
  default     = null

  validation {
    condition = (var.expiration_days == null || !var.create_bucket || alltrue([for class in values(local.retention) : class == "none"]) ||
    try(var.expiration_days > max(values(var.retention_days)...) + 2, false))
    error_message = "There are backups with a retention class, which would go after expiration_days, too: leave it out, or give more days than the last class has."
  }
}

variable "bucket_policy_statements" {
  description = "With `create_bucket`: more statements of the bucket's policy, as a JSON list, such as for drills in another account; `BUCKET_ARN` in them stands for the bucket's ARN"
  type        = string
  default     = "[]"

  validation {
    condition     = can([for statement in jsondecode(var.bucket_policy_statements) : statement.Effect])
    error_message = "bucket_policy_statements is a JSON list of statements: write jsonencode([{…}])."
  }

  validation {
    condition     = var.create_bucket || var.bucket_policy_statements == "[]"
    error_message = "bucket_policy_statements needs create_bucket: the policy of another bucket is not made here."
  }
}

variable "lock_mode" {
  description = "Object Lock: `NONE`, `GOVERNANCE` or `COMPLIANCE`. Null is GOVERNANCE for a bucket that is made, which takes locks of this mode alone, and with `NONE` no lock at all. With an existing bucket a mode makes each backup ask for the lock of its class, and the bucket must have Object Lock on"
  type        = string
  default     = null

  validation {
    condition     = contains(["NONE", "GOVERNANCE", "COMPLIANCE"], coalesce(var.lock_mode, "NONE"))
    error_message = "lock_mode is NONE, GOVERNANCE or COMPLIANCE."
  }

  # A bucket that is made has a lock of its own, for what asks for none.
  validation {
    condition = (var.create_bucket || coalesce(var.lock_mode, "NONE") == "NONE" || alltrue([for backup in values(var.backups) :
      coalesce(backup.retention, var.retention) != "none" || can(jsondecode(backup.event_defaults).object_lock) ||
    (backup.retention == "none" && var.retention != "none")]))
    error_message = "A lock by class needs retention: without one a backup would ask for no lock. Give retention, or object_lock in event_defaults."
  }

  # The policy of a bucket that is made refuses every lock of another mode.
  validation {
    condition = !var.create_bucket || alltrue([for backup in values(var.backups) :
    try(jsondecode(backup.event_defaults).object_lock.mode, coalesce(var.lock_mode, "GOVERNANCE")) == coalesce(var.lock_mode, "GOVERNANCE")])
    error_message = "object_lock in event_defaults has another mode than lock_mode: the bucket that is made takes no other."
  }
}

variable "lock_days" {
  description = "With `create_bucket`: days for which Object Lock keeps what has no lock of its own; less than anything expires after"
  type        = number
  default     = 13
}
