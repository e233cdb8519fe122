variable "create_alarms" {
  description = "Whether to make alarms"
  type        = bool
  default     = true
}

variable "create_topic" {
  description = "Whether to make the SNS topic that the alarms tell"
  type        = bool
  default     = true
}

variable "topic_arn" {
  description = "The SNS topic that the alarms tell, where none is made; CloudWatch must be let in by its policy and by its key's"
  type        = string
  default     = null

  validation {
    condition     = !var.create || !var.create_alarms || var.create_topic != (var.topic_arn != null)
    error_message = "Alarms need one topic that hears them: leave create_topic on, or set it to false and give topic_arn."
  }
}

variable "alarm_emails" {
  description = "Addresses that the topic that is made writes to; each must confirm. At least one: for other subscribers make a topic of your own, and give `topic_arn`"
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.alarm_emails) == 0 || var.create_topic
    error_message = "alarm_emails needs create_topic: subscribe them to your own topic."
  }

  validation {
    condition     = !var.create || !var.create_alarms || !var.create_topic || length(var.alarm_emails) > 0
    error_message = "Nobody would read what the topic is told: give alarm_emails, or a topic of your own by topic_arn, with create_topic = false."
  }
}

variable "max_age_hours" {
  description = "Without a complete backup for so many hours there is an alarm: 1 to 168; each backup may have its own. From the start on, until the first one"
  type        = number
  default     = 26

  validation {
    condition     = var.max_age_hours >= 1 && var.max_age_hours <= 168 && floor(var.max_age_hours) == var.max_age_hours
    error_message = "max_age_hours is a whole number from 1 to 168: CloudWatch looks back 7 days."
  }
}

variable "size_band_width" {
  description = "An alarm on a stored size outside its usual band of so many standard deviations; 0 makes none"
  type        = number
  default     = 0

  validation {
    condition     = var.size_band_width >= 0
    error_message = "size_band_width is 0 or more."
  }
}

variable "create_dashboard" {
  description = "Whether to make a dashboard"
  type        = bool
  default     = true
}

variable "runbook" {
  description = "Where the runbook is, for the descriptions of alarms"
  type        = string
  default     = "docs/RUNBOOK.md"
}

# --- drills ---

variable "drills" {
  description = <<-EOT
    Scheduled drills, by name: each restores the newest backup of `backup`, a name in `backups`, or of `server`, the folder
    under `prefix`. `database` is needed where several are there: of a `backup` with one name in `databases` it is that one.
    `key_secret_arn` is the secret with the private key. Anyone
    who can read it can read the backups: better keep it, and the drills, in another account, by a call without `backups`.
    Without a drill that passed for `max_age_hours` there is an alarm; 0 makes none. CloudWatch looks back 7 days, so that a
    weekly drill would alarm by minutes: run it twice a week.
  EOT
  type = map(object({
    backup                 = optional(string)
    server                 = optional(string)
    database               = optional(string)
    schedule               = optional(string, "cron(0 8 ? * MON,THU *)")
    timezone               = optional(string, "UTC")
    enabled                = optional(bool, true)
    key_secret_arn         = string
    key_secret_kms_key_arn = optional(string)
    size                   = optional(string)
    storage_gib            = optional(number, 50)
    max_age_hours          = optional(number, 120)
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.drills) : can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,27}$", key))])
    error_message = "The name of a drill is 1 to 28 letters, digits and dashes."
  }

  validation {
    condition     = alltrue([for drill in values(var.drills) : (drill.backup == null) != (drill.server == null)])
    error_message = "Each drill needs one of backup and server."
  }

  validation {
    condition     = alltrue([for drill in values(var.drills) : drill.backup == null || contains(keys(var.backups), coalesce(drill.backup, "-"))])
    error_message = "backup of a drill is a name in backups."
  }

  validation {
    condition = alltrue([for drill in values(var.drills) : drill.database != null ||
    try(length(var.backups[drill.backup].databases) == 1 && var.backups[drill.backup].databases[0] != "*", drill.server != null)])
    error_message = "A drill of a backup with several databases needs database: `latest` does not say of which one, and would fail."
  }

  validation {
    condition = alltrue([for drill in values(var.drills) : drill.database == null ||
    try(length(setintersection(var.backups[drill.backup].databases, ["*", drill.database])) > 0, true)])
    error_message = "database of a drill is one of its backup's databases."
  }

  validation {
    condition     = alltrue([for drill in values(var.drills) : can(regex("^[A-Za-z0-9._-]+$", coalesce(drill.server, "-")))])
    error_message = "server of a drill is the name of a folder under prefix: the first label of the host's name."
  }

  validation {
    condition     = alltrue([for drill in values(var.drills) : contains(keys(local.sizes), coalesce(drill.size, var.drill_size))])
    error_message = "Fargate has no such size: see the variable size."
  }

  validation {
    condition     = alltrue([for drill in values(var.drills) : drill.storage_gib >= 21 && drill.storage_gib <= 200])
    error_message = "Fargate has 21 to 200 GiB: a larger database needs a server of its own for its drill."
  }

  validation {
    condition = alltrue([for drill in values(var.drills) :
    drill.max_age_hours >= 0 && drill.max_age_hours <= 168 && floor(drill.max_age_hours) == drill.max_age_hours])
    error_message = "max_age_hours of a drill is a whole number from 0 to 168: CloudWatch looks back 7 days."
  }
}

variable "drill_image" {
  description = "The image of target `drill`, in a registry"
  type        = string
  default     = null

  validation {
    condition     = !var.create || length(var.drills) == 0 || var.drill_image != null
    error_message = "Drills need drill_image, the image of target drill."
  }
}

variable "drill_size" {
  description = "As `size`, for drills: they run a PostgreSQL server"
  type        = string
  default     = "2vCPU-8GB"
}

variable "report_prefix" {
  description = "Where in the bucket drills leave their reports; a folder with the server's name follows it"
  type        = string
  default     = "drills"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.report_prefix))
    error_message = "report_prefix is letters, digits, dots, dashes and underscores, in folders: no slash at its ends, no wildcard."
  }
}
