# On request: the tasks go out to the databases and to AWS, and nobody comes in.

locals {
  makes_group      = var.create && var.create_security_group && length(local.backups) > 0
  makes_for_drills = var.create && var.create_security_group && length(local.drills) > 0

  # By their places in the lists: the networks themselves may not be known when planning.
  database_cidrs = local.makes_group ? { for index, cidr in var.database_cidr_blocks : tostring(index) => cidr } : {}
  https_cidrs = merge([
    for name in concat(local.makes_group ? ["task"] : [], local.makes_for_drills ? ["drill"] : []) : {
      for index, cidr in var.https_cidr_blocks : "${name}-${index}" => { group = name, cidr = cidr }
    }
  ]...)
  dns_cidrs = merge([
    for name in concat(local.makes_group ? ["task"] : [], local.makes_for_drills ? ["drill"] : []) : merge([
      for index, cidr in var.dns_cidr_blocks : { for protocol in ["tcp", "udp"] : "${name}-${index}-${protocol}" => { group = name, cidr = cidr, protocol = protocol } }
    ]...)
  ]...)
  database_groups = local.makes_group ? var.database_security_groups : {}

  made_groups = {
    task  = one(aws_security_group.task[*].id)
    drill = one(aws_security_group.drill[*].id)
  }
  security_group_ids       = concat(var.security_group_ids, aws_security_group.task[*].id)
  drill_security_group_ids = local.makes_for_drills ? aws_security_group.drill[*].id : var.security_group_ids
}

resource "aws_security_group" "task" {
  #checkov:skip=CKV2_AWS_5:tasks have it, which schedules start
  count = local.makes_group ? 1 : 0

  name_prefix = "${var.name}-"
  description = "pgseal goes out to the databases and to AWS, and nobody comes in"
  vpc_id      = var.vpc_id
  tags        = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "drill" {
  #checkov:skip=CKV2_AWS_5:tasks have it, which schedules start
  count = local.makes_for_drills ? 1 : 0

  name_prefix = "${var.name}-drill-"
  description = "Drills of pgseal go out to AWS, to no database, and nobody comes in"
  vpc_id      = var.vpc_id
  tags        = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = local.https_cidrs

  security_group_id = local.made_groups[each.value.group]
  description       = "S3 and the other services, over TLS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value.cidr
  tags              = var.tags
}

# Of the VPC's own resolver no group has to know.
resource "aws_vpc_security_group_egress_rule" "dns" {
  for_each = local.dns_cidrs

  security_group_id = local.made_groups[each.value.group]
  description       = "Names"
  ip_protocol       = each.value.protocol
  from_port         = 53
  to_port           = 53
  cidr_ipv4         = each.value.cidr
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each = local.database_groups

  security_group_id            = aws_security_group.task[0].id
  description                  = "A database"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.id
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "database_cidr" {
  for_each = local.database_cidrs

  security_group_id = aws_security_group.task[0].id
  description       = "Databases"
  ip_protocol       = "tcp"
  from_port         = var.database_port
  to_port           = var.database_port
  cidr_ipv4         = each.value
  tags              = var.tags
}

# In the database's own group: it lets the tasks in.
resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = local.database_groups

  security_group_id            = each.value.id
  description                  = "Backups of pgseal"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.task[0].id
  tags                         = var.tags
}
