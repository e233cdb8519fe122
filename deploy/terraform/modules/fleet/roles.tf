# Five roles, each for one service: the function, the task, what ECS does to start it, the state machine, and who starts that.
# What they may do is in policies.tf.

locals {
  trust = { for kind, service in { task = "ecs-tasks", state_machine = "states" } : kind => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Nobody makes the service act for another account.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  }) }
  # AWS does not document that condition for these two: it could keep every run from its start.
  trust_plain = { for kind, service in { function = "lambda", execution = "ecs-tasks" } : kind => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  }) }
  # The rule on events of RDS starts runs by the same role, where there is one.
  trust_scheduler = jsonencode({
    Version = "2012-10-17"
    Statement = [for service in concat(["scheduler"], length(var.rds_event_ids) > 0 ? ["events"] : []) : {
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# Names of roles have no region, so AWS completes them; it takes 38 letters.
resource "aws_iam_role" "function" {
  count = var.create ? 1 : 0

  name_prefix          = substr("${var.name}_function_", 0, 38)
  description          = "What the function of ${var.name} may do"
  assume_role_policy   = local.trust_plain["function"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "function" {
  count = var.create ? 1 : 0

  name   = "plan-and-back-up"
  role   = aws_iam_role.function[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.function_statements })
}

resource "aws_iam_role" "task" {
  count = var.create ? 1 : 0

  name_prefix          = substr("${var.name}_task_", 0, 38)
  description          = "What a task of ${var.name} may do itself"
  assume_role_policy   = local.trust["task"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "task" {
  count = var.create ? 1 : 0

  name   = "back-up"
  role   = aws_iam_role.task[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.task_statements })
}

resource "aws_iam_role" "execution" {
  count = var.create ? 1 : 0

  name_prefix          = substr("${var.name}_execution_", 0, 38)
  description          = "What ECS may do to start a task of ${var.name}"
  assume_role_policy   = local.trust_plain["execution"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "execution" {
  count = var.create ? 1 : 0

  name   = "start-the-task"
  role   = aws_iam_role.execution[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.execution_statements })
}

resource "aws_iam_role" "state_machine" {
  count = var.create ? 1 : 0

  name_prefix          = substr("${var.name}_states_", 0, 38)
  description          = "What the state machine ${var.name} may do"
  assume_role_policy   = local.trust["state_machine"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "state_machine" {
  count = var.create ? 1 : 0

  name   = "run-the-fleet"
  role   = aws_iam_role.state_machine[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.state_machine_statements })
}

resource "aws_iam_role" "scheduler" {
  count = var.create ? 1 : 0

  name_prefix          = substr("${var.name}_scheduler_", 0, 38)
  description          = "Starts the state machine ${var.name}"
  assume_role_policy   = local.trust_scheduler
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  count = var.create ? 1 : 0

  name   = "start-the-fleet"
  role   = aws_iam_role.scheduler[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.scheduler_statements })
}
