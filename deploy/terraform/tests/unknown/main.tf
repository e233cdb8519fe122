# All that other resources may give is made in the same call: when planning, nothing of it is known.

resource "aws_ecr_repository" "pgseal" {
  name = "pgseal"
}

resource "aws_ecs_cluster" "tools" {
  name = "tools"
}

resource "aws_db_instance" "orders" {
  instance_class = "db.t4g.micro"
}

resource "aws_security_group" "database" {
  count = 2
}

resource "aws_vpc" "this" {
}

resource "aws_subnet" "this" {
  count  = 2
  vpc_id = aws_vpc.this.id
}

resource "aws_s3_bucket" "backups" {
}

resource "aws_kms_key" "this" {
  count = 4
}

resource "aws_secretsmanager_secret" "this" {
  count = 3
}

resource "aws_sns_topic" "operations" {
}

resource "aws_iam_policy" "boundary" {
  policy = "{}"
}

module "pgseal" {
  source = "../.."

  name                 = "tools"
  permissions_boundary = aws_iam_policy.boundary.arn
  image                = "${aws_ecr_repository.pgseal.repository_url}:ecs"
  drill_image          = "${aws_ecr_repository.pgseal.repository_url}:drill"
  cluster_arn          = aws_ecs_cluster.tools.arn
  subnet_ids           = aws_subnet.this[*].id
  bucket               = aws_s3_bucket.backups.bucket
  kms_key_arn          = aws_kms_key.this[0].arn
  signing_key_arn      = aws_kms_key.this[1].arn
  schedule_kms_key_arn = aws_kms_key.this[3].arn
  log_kms_key_arn      = aws_kms_key.this[3].arn
  public_keys          = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  retention            = "gfs"
  size_band_width      = 2

  create_security_group = true
  vpc_id                = aws_vpc.this.id
  database_cidr_blocks  = [aws_vpc.this.cidr_block]
  https_cidr_blocks     = [aws_vpc.this.cidr_block]
  database_security_groups = {
    orders = { id = aws_security_group.database[0].id }
    ledger = { id = aws_security_group.database[1].id, port = aws_db_instance.orders.port }
  }

  create_topic = false
  topic_arn    = aws_sns_topic.operations.arn

  backups = {
    orders = {
      schedule             = "rate(1 day)"
      host                 = aws_db_instance.orders.address
      database_resource_id = aws_db_instance.orders.resource_id
    }
    ledger = {
      schedule            = "rate(1 day)"
      instance            = aws_db_instance.orders.identifier
      databases           = ["app", "billing"]
      password_secret_arn = aws_secretsmanager_secret.this[0].arn
      secret_kms_key_arns = [aws_kms_key.this[2].arn]
    }
    legacy = {
      schedule       = "rate(1 day)"
      host           = aws_db_instance.orders.address
      secrets        = { PGPASSWORD = "${aws_secretsmanager_secret.this[1].arn}:password::" }
      event_defaults = jsonencode({ kms_key_id = aws_kms_key.this[0].arn })
    }
  }

  drills = {
    orders = {
      backup                 = "orders"
      database               = "app"
      key_secret_arn         = aws_secretsmanager_secret.this[2].arn
      key_secret_kms_key_arn = aws_kms_key.this[2].arn
    }
  }
}

# And once more with a bucket, a topic and a cluster of its own.
module "own" {
  source = "../.."

  name                  = "own"
  image                 = "${aws_ecr_repository.pgseal.repository_url}:ecs"
  alarm_emails          = ["platform@example.com"]
  create_cluster        = true
  create_bucket         = true
  bucket                = "acme-${aws_vpc.this.id}"
  kms_key_arn           = aws_kms_key.this[0].arn
  subnet_ids            = aws_subnet.this[*].id
  public_keys           = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
  create_security_group = true
  vpc_id                = aws_vpc.this.id
  database_cidr_blocks  = [aws_vpc.this.cidr_block]

  backups = {
    orders = {
      schedule             = "rate(1 day)"
      host                 = aws_db_instance.orders.address
      database_resource_id = aws_db_instance.orders.resource_id
    }
  }
}

# A vault whose readers are made with it.
module "vault" {
  source = "../../modules/vault"

  writers           = { "111122223333" = {} }
  reader_principals = [aws_iam_policy.boundary.arn]
  kms_key_arn       = aws_kms_key.this[0].arn
}

# Many servers, in the same network and bucket.
module "fleet" {
  source = "../../modules/fleet"

  permissions_boundary = aws_iam_policy.boundary.arn
  function_image       = "${aws_ecr_repository.pgseal.repository_url}:lambda"
  task_image           = "${aws_ecr_repository.pgseal.repository_url}:ecs"
  vpc_id               = aws_vpc.this.id
  subnet_ids           = aws_subnet.this[*].id
  database_cidr_blocks = [aws_vpc.this.cidr_block]
  bucket               = aws_s3_bucket.backups.bucket
  kms_key_arn          = aws_kms_key.this[0].arn
  signing_key_arn      = aws_kms_key.this[1].arn
  log_kms_key_arn      = aws_kms_key.this[3].arn
  allowed_fingerprints = ["45d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf945d2ebf9"]
  rds_event_ids        = ["RDS-EVENT-0005"]
  topic_arn            = aws_sns_topic.operations.arn
}
