# Two databases with settings of their own, a bucket, a cluster, a network and alarms that are made, and a drill.

provider "aws" {
  region = "eu-west-1"
}

data "aws_db_instance" "orders" {
  db_instance_identifier = "orders"
}

data "aws_rds_cluster" "ledger" {
  cluster_identifier = "ledger"
}

data "aws_ecr_repository" "pgseal" {
  name = "pgseal"
}

data "aws_secretsmanager_secret" "drill_key" {
  name = "pgseal/drill-key"
}

module "pgseal" {
  source = "../.."

  name                 = "backups"
  tags                 = { team = "platform" }
  permissions_boundary = var.permissions_boundary

  # The task.
  image          = "${data.aws_ecr_repository.pgseal.repository_url}:ecs"
  architecture   = "ARM64"
  size           = "2vCPU-4GB"
  create_cluster = true

  # The network.
  vpc_id                = var.vpc_id
  subnet_ids            = var.subnet_ids
  create_security_group = true
  database_security_groups = {
    orders = { id = data.aws_db_instance.orders.vpc_security_groups[0] }
    ledger = { id = tolist(data.aws_rds_cluster.ledger.vpc_security_group_ids)[0], port = 5433 }
  }

  # Where backups go, and for how long.
  create_bucket      = true
  retention          = "gfs"
  retention_timezone = "Europe/Berlin"
  retention_days     = { daily = 30 }
  lock_mode          = "COMPLIANCE"
  lock_days          = 29

  # For whom they are sealed: for us, and for the drill's key.
  public_keys     = [file("${path.module}/public_key.pem"), file("${path.module}/drill_public_key.pem")]
  signing_key_arn = var.signing_key_arn

  backups = {
    orders = {
      schedule             = "cron(0 2 * * ? *)"
      timezone             = "Europe/Berlin"
      host                 = data.aws_db_instance.orders.address
      database_resource_id = data.aws_db_instance.orders.resource_id
      event_defaults = jsonencode({
        exclude_databases = ["scratch"]
        globals           = true
        rate_limit        = [{ from = "22:00", to = "06:00", rate = "50M" }]
      })
    }

    ledger = {
      schedule             = "cron(0 */6 * * ? *)"
      host                 = data.aws_rds_cluster.ledger.reader_endpoint
      port                 = 5433
      database_resource_id = data.aws_rds_cluster.ledger.cluster_resource_id
      databases            = ["ledger"]
      retention            = "daily"
      max_age_hours        = 8
      environment          = { COMPRESSION = "zstd:3" }
    }
  }

  # Does it restore?
  drill_image = "${data.aws_ecr_repository.pgseal.repository_url}:drill"
  drills = {
    ledger = {
      backup         = "ledger"
      database       = "ledger"
      key_secret_arn = data.aws_secretsmanager_secret.drill_key.arn
    }
  }

  # Who hears of it.
  alarm_emails    = ["platform@example.com"]
  size_band_width = 3
}
