variable "subnet_ids" {
  description = "Subnets that reach the database and, by NAT or endpoints, S3"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create || length(var.subnet_ids) > 0
    error_message = "A task needs subnet_ids."
  }
}

variable "security_group_ids" {
  description = "Security groups of the tasks, beside the one that is made; the database must let one of them in"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create || var.create_security_group || length(var.security_group_ids) > 0
    error_message = "Give security_group_ids, or set create_security_group."
  }
}

variable "create_security_group" {
  description = "Whether to make the tasks' security group: out to the databases and to AWS, and nobody comes in. Drills get one that reaches no database"
  type        = bool
  default     = false
}

variable "vpc_id" {
  description = "The VPC of the security group that is made"
  type        = string
  default     = null

  validation {
    condition     = !var.create || !var.create_security_group || var.vpc_id != null
    error_message = "create_security_group needs vpc_id."
  }
}

variable "database_security_groups" {
  description = "With `create_security_group`, by any name: the databases' security groups, each once. It gets the rule that lets the tasks in"
  type = map(object({
    id   = string
    port = optional(number, 5432)
  }))
  default = {}

  validation {
    condition = length(distinct([for group in values(var.database_security_groups) : "${group.id} ${group.port}"])) == (
    length(var.database_security_groups))
    error_message = "A security group with one port stands here twice: AWS refuses the second rule."
  }

  validation {
    condition     = var.create_security_group || length(var.database_security_groups) == 0
    error_message = "database_security_groups needs create_security_group."
  }

  validation {
    condition = (!var.create || !var.create_security_group || length(var.backups) == 0 ||
    length(var.database_security_groups) + length(var.database_cidr_blocks) > 0)
    error_message = "With create_security_group give database_security_groups or database_cidr_blocks: the tasks would reach no database."
  }
}

variable "database_cidr_blocks" {
  description = "With `create_security_group`: where databases are that have no security group to name, such as behind a peering; let the tasks in there yourself"
  type        = list(string)
  default     = []
}

variable "database_port" {
  description = "The port that is opened to `database_cidr_blocks`"
  type        = number
  default     = 5432
}

variable "https_cidr_blocks" {
  description = "With `create_security_group`: where the tasks reach AWS over TLS; S3 by a gateway endpoint has public addresses"
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "dns_cidr_blocks" {
  description = "With `create_security_group`: DNS servers of your own, if the VPC has such; its AWS resolver needs no rule"
  type        = list(string)
  default     = []
}

variable "assign_public_ip" {
  description = "Whether tasks get a public address: for public subnets without NAT"
  type        = bool
  default     = false
}
