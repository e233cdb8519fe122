# Two calls in one region, whose names and backups run into each other where they are put together.

module "a" {
  source = "../.."

  name                  = "tools"
  image                 = "registry.example/pgseal:ecs"
  create_cluster        = true
  create_bucket         = true
  create_security_group = true
  vpc_id                = "vpc-1"
  subnet_ids            = ["subnet-1"]
  database_cidr_blocks  = ["10.0.0.0/8"]
  public_keys           = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  alarm_emails          = ["platform@example.com"]
  size_band_width       = 2

  backups = {
    "b-c" = {
      schedule             = "rate(1 day)"
      host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    }
  }
}

module "b" {
  source = "../.."

  name                  = "tools-b"
  image                 = "registry.example/pgseal:ecs"
  create_cluster        = true
  create_bucket         = true
  create_security_group = true
  vpc_id                = "vpc-1"
  subnet_ids            = ["subnet-1"]
  database_cidr_blocks  = ["10.0.0.0/8"]
  public_keys           = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  alarm_emails          = ["platform@example.com"]
  size_band_width       = 2

  backups = {
    c = {
      schedule             = "rate(1 day)"
      host                 = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"
      database_resource_id = "db-ABC"
    }
  }
}

locals {
  names = { for call, made in { a = module.a, b = module.b } : call => concat(
    values(made.task_names), made.alarm_names, [made.log_group, made.dashboard_name],
  ) }
}

output "names" {
  description = "All names of each call that must be its own"
  value       = local.names
}
