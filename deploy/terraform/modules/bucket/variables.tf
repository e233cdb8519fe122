variable "name" {
  description = "Name of the bucket; null lets AWS complete `name_prefix`"
  type        = string
  default     = null
}

variable "name_prefix" {
  description = "What the bucket's name begins with where `name` is null"
  type        = string
  default     = "pgseal-"
}

variable "lock_mode" {
  description = "Object Lock: `GOVERNANCE`, or `COMPLIANCE`, which nobody can lift. The bucket takes locks of this mode alone, and with `NONE` no lock at all"
  type        = string
  default     = "GOVERNANCE"

  validation {
    condition     = contains(["NONE", "GOVERNANCE", "COMPLIANCE"], var.lock_mode)
    error_message = "lock_mode is NONE, GOVERNANCE or COMPLIANCE."
  }
}

variable "lock_days" {
  description = "Days for which Object Lock keeps what comes without a lock of its own; at least a day less than anything expires after"
  type        = number
  default     = 13

  validation {
    condition     = var.lock_days >= 1 && floor(var.lock_days) == var.lock_days
    error_message = "lock_days is a whole number of at least 1."
  }

  validation {
    condition     = var.lock_mode == "NONE" || var.lock_days < min(local.untagged_days, [for days in values(var.retention_days) : days if local.takes_classes]...)
    error_message = "lock_days must be less than expiration_days and, where classes are taken, than every class of retention_days: nothing may expire within its lock."
  }
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

  validation {
    condition     = alltrue([for days in values(var.retention_days) : days >= 2 && floor(days) == days])
    error_message = "Each class is kept for a whole number of at least 2 days: its lock is a day less."
  }
}

variable "expiration_days" {
  description = "Days after which everything without a retention class expires; null is after the last class. S3 would remove what has a class after fewer days, too: with them the bucket refuses classes"
  type        = number
  default     = null

  validation {
    condition     = try(var.expiration_days >= 2 && floor(var.expiration_days) == var.expiration_days, var.expiration_days == null)
    error_message = "expiration_days is a whole number of at least 2, or null."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for S3's own encryption, on top of the seal; null is S3's managed key"
  type        = string
  default     = null
}

variable "policy_statements" {
  description = "More statements of the bucket's policy, as a JSON list; `BUCKET_ARN` in them stands for the bucket's ARN"
  type        = string
  default     = "[]"
}

variable "tags" {
  description = "Tags of the bucket"
  type        = map(string)
  default     = {}
}
