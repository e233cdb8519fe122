# The function and the tasks go out to the databases and to AWS, and nobody comes in.

locals {
  # By their places in the lists: the networks themselves may not be known when planning.
  database_cidrs = var.create ? { for index, cidr in var.database_cidr_blocks : tostring(index) => cidr } : {}
  https_cidrs    = var.create ? { for index, cidr in var.https_cidr_blocks : tostring(index) => cidr } : {}
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:the function has it, and tasks, which the state machine starts
  count = var.create ? 1 : 0

  name_prefix = "${var.name}-"
  description = "pgseal goes out to the databases and to AWS, and nobody comes in"
  vpc_id      = var.vpc_id
  tags        = var.tags

  lifecycle {
    create_before_destroy = true
  }

  # Lambda takes its interfaces away by the role: it must have its rights until this is gone.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each = local.database_cidrs

  security_group_id = aws_security_group.this[0].id
  description       = "The databases"
  ip_protocol       = "tcp"
  from_port         = var.first_port
  to_port           = var.last_port
  cidr_ipv4         = each.value
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = local.https_cidrs

  security_group_id = aws_security_group.this[0].id
  description       = "S3 and the other services, over TLS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
  tags              = var.tags
}
