# Three roles for each task: what it does itself, what ECS does to start it, and who asks ECS for it. What they may do is in
# policies.tf.

locals {
  trust = { for kind, service in { task = "ecs-tasks", scheduler = "scheduler" } : kind => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Nobody makes the service act for another account.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  }) }
  # AWS documents that condition for the roles of tasks alone: here it could keep every task from its start.
  trust_execution = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# Names of roles have no region, so AWS completes them; it takes 38 letters.
resource "aws_iam_role" "task" {
  for_each = local.tasks

  name_prefix          = substr("${var.name}_task_${each.key}_", 0, 38)
  description          = "What the task ${each.value.name} may do itself"
  assume_role_policy   = local.trust["task"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = local.tasks

  name   = endswith(each.key, "_drill") ? "drill" : "backup"
  role   = aws_iam_role.task[each.key].id
  policy = local.task_policies[each.key]
}

resource "aws_iam_role" "execution" {
  for_each = local.tasks

  name_prefix          = substr("${var.name}_execution_${each.key}_", 0, 38)
  description          = "What ECS may do to start the task ${each.value.name}"
  assume_role_policy   = local.trust_execution
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.tasks

  name   = "start"
  role   = aws_iam_role.execution[each.key].id
  policy = local.execution_policies[each.key]
}

resource "aws_iam_role" "scheduler" {
  for_each = local.tasks

  name_prefix          = substr("${var.name}_scheduler_${each.key}_", 0, 38)
  description          = "Asks ECS for the task ${each.value.name}"
  assume_role_policy   = local.trust["scheduler"]
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  for_each = local.tasks

  name   = "run-task"
  role   = aws_iam_role.scheduler[each.key].id
  policy = local.scheduler_policies[each.key]
}
