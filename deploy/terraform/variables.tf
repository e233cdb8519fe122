variable "name" {
  description = "Name of all that is made"
  type        = string
  default     = "pgseal"
}

variable "image" {
  description = "The image of target `ecs`, in a registry"
  type        = string
}

variable "cluster_arn" {
  description = "The ECS cluster to run on"
  type        = string
}

variable "subnet_ids" {
  description = "Subnets that reach the database and, by NAT or endpoints, S3"
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the task; the database must let one of them in"
  type        = list(string)
}

variable "backups" {
  description = <<-EOT
    What to back up and when, by name. `environment` holds variables of pgseal, at least POSTGRES_DATABASE and either
    POSTGRES_HOST or POSTGRES_INSTANCE; `database_resource_id` is the DbiResourceId or DbClusterResourceId (db-… or
    cluster-…).
  EOT
  type = map(object({
    schedule             = string
    timezone             = optional(string, "UTC")
    database_resource_id = string
    database_user        = optional(string, "backup")
    environment          = map(string)
  }))

  validation {
    condition = alltrue([for backup in values(var.backups) :
      can(backup.environment["POSTGRES_DATABASE"]) &&
      can(backup.environment["POSTGRES_HOST"]) != can(backup.environment["POSTGRES_INSTANCE"])
    ])
    error_message = "Each backup's environment needs POSTGRES_DATABASE, and one of POSTGRES_HOST and POSTGRES_INSTANCE."
  }
}

variable "bucket" {
  description = "Name of the bucket, which this module does not make: keep versioning, Object Lock and TLS-only on, and let AbortIncompleteMultipartUpload wait for 14 days"
  type        = string
}

variable "bucket_owner" {
  description = "The account that must own the bucket; null is this account"
  type        = string
  default     = null
}

variable "prefix" {
  description = "What every object's key begins with; a folder with the server's name follows it"
  type        = string
  default     = "backups"
}

variable "public_key" {
  description = "The RSA public key in PEM; the private key stays with you"
  type        = string

  validation {
    condition     = !can(regex("PRIVATE KEY", var.public_key))
    error_message = "This is a private key. Treat it as leaked, make a new pair, and give the public half."
  }
}

variable "kms_key_arn" {
  description = "The key of the bucket's own encryption, if it has one"
  type        = string
  default     = null
}

variable "cpu" {
  type    = number
  default = 1024
}

variable "memory" {
  type    = number
  default = 2048
}

variable "log_retention_days" {
  type    = number
  default = 365
}

variable "log_kms_key_arn" {
  description = "A key for the log group; logs hold neither secrets nor data"
  type        = string
  default     = null
}

variable "schedule_kms_key_arn" {
  description = "A key for the schedules; they hold names and times"
  type        = string
  default     = null
}
