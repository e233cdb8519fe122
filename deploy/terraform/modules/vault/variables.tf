variable "create" {
  description = "Whether anything is made"
  type        = bool
  default     = true
}

variable "name" {
  description = "What the names of all that is made begin with"
  type        = string
  default     = "pgseal-vault"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name is 2 to 24 small letters, digits and dashes, and begins with a letter."
  }
}

variable "bucket" {
  description = "Name of the bucket; null lets AWS complete `name`"
  type        = string
  default     = null
}

variable "writers" {
  description = "The accounts that write, by their numbers; `prefix` is what their keys begin with, by default `PREFIX/NUMBER`: one of their own makes the policy longer"
  type = map(object({
    prefix = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for account in keys(var.writers) : can(regex("^[0-9]{12}$", account))])
    error_message = "Each writer is an account's number, of 12 digits."
  }

  validation {
    condition = alltrue([for writer in values(var.writers) :
    writer.prefix == null || can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", writer.prefix))])
    error_message = "A prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }
}

variable "organization_id" {
  description = "An organisation whose every account writes, under `PREFIX/NUMBER` of its own; null is none"
  type        = string
  default     = null

  validation {
    condition     = var.organization_id != null || length(var.writers) > 0 || !var.create
    error_message = "Give writers, organization_id or both: nobody could write."
  }
}

variable "prefix" {
  description = "What the keys of all writers begin with; an account's number follows it"
  type        = string
  default     = "backups"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "A prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }
}

variable "reader_accounts" {
  description = "Other accounts that list, verify, restore and drill, by their numbers, such as one that holds the private key. Their own policies choose who of them"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for account in var.reader_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "Each of reader_accounts is an account's number, of 12 digits."
  }
}

variable "report_prefix" {
  description = "Where drills leave their reports, those of this account and of `reader_accounts`: `report_prefix` of their module"
  type        = string
  default     = "drills"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.report_prefix))
    error_message = "report_prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }

  # Who leaves reports could leave something between backups otherwise.
  validation {
    condition = alltrue([for prefix in concat([var.prefix], compact(values(var.writers)[*].prefix)) :
    !startswith("${prefix}/", "${var.report_prefix}/") && !startswith("${var.report_prefix}/", "${prefix}/")])
    error_message = "report_prefix must be no folder of backups, and have none in it."
  }
}

variable "reader_principals" {
  description = "ARNs of those who may take the reader's role: list, verify and restore; none makes no role"
  type        = list(string)
  default     = []
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the reader's role"
  type        = string
  default     = null
}

variable "lock_mode" {
  description = "Object Lock: `GOVERNANCE`, or `COMPLIANCE`, which nobody can lift; `NONE`, which takes no lock at all, is for trials"
  type        = string
  default     = "GOVERNANCE"
}

variable "lock_days" {
  description = "Days for which Object Lock keeps what comes without a lock of its own; less than anything expires after"
  type        = number
  default     = 13
}

variable "retention_days" {
  description = "Days after which the manifests of each retention class expire; everything else of the class stays for two days more"
  type = object({
    daily   = optional(number, 14)
    weekly  = optional(number, 60)
    monthly = optional(number, 400)
    yearly  = optional(number, 2600)
  })
  default = {}
}

variable "expiration_days" {
  description = "Days after which everything without a retention class expires; null is after the last class. Not fewer: S3 would remove what has a class, too"
  type        = number
  default     = null

  validation {
    condition     = var.expiration_days == null || try(var.expiration_days > max(values(var.retention_days)...) + 2, false)
    error_message = "expiration_days must be more than the last class has and two days: writers may give any class."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for S3's own encryption; its policy must let the writers use it; null is S3's managed key"
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of all that is made"
  type        = map(string)
  default     = {}
}
