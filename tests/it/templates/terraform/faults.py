"""Plants faults in a copy of the Terraform module and sees that the checks find each: a check that cannot fail says nothing.

faults.py SCHEMA.json [fast|slow]

Fast ones need no `terraform test`. Without Terraform only the floor's and the README's are planted.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
# Each with tests of its own: all of them, or those of one file.
MODULES = {
    "bucket": ["modules/bucket"],
    "vault": ["modules/vault"],
    "fleet": ["modules/fleet", "-filter=tests/fleet.tftest.hcl"],
    "fleet_refused": ["modules/fleet", "-filter=tests/refused.tftest.hcl"],
}
# Which check finds it, in which file, what is there and what is planted.
FAST = [
    ("floor", "main.tf", "assign_public_ip = var.assign_public_ip", "assign_public_ipp = var.assign_public_ip"),
    ("floor", "main.tf", "schedule_expression          = each.value.schedule\n", "\n"),
    ("floor", "main.tf", "  flexible_time_window {\n    mode = \"OFF\"\n  }\n", ""),
    ("floor", "roles.tf", "aws_iam_role.task[each.key].id", "aws_iam_role.tasks[each.key].id"),
    ("floor", "topic.tf", "aws_sqs_queue.failed[0].url", "aws_sqs_queue.failed[0].uri"),
    ("floor", "alarms.tf", "treat_missing_data  = \"breaching\"", "treat_missing = \"breaching\""),
    ("floor", "alarms.tf", "var.size_band_width", "var.size_band"),
    ("floor", "modules/vault/main.tf", "local.reports", "local.report"),
    ("floor", "modules/bucket/main.tf", "object_lock_enabled = true", "arn = true"),
    ("floor", "outputs.tf", '  description = "The dashboard"\n', ""),
    # Beside a dynamic block of its kind Terraform's own `validate` does not look into it.
    ("floor", "modules/bucket/main.tf", "noncurrent_days = 30", "noncurrent_day = 30"),
    ("readme", "variables-bucket.tf", "default     = 13", "default     = 12"),
    ("readme", "outputs.tf", '"The dashboard"', '"A dashboard"'),
    ("readme", "modules/vault/variables.tf", 'variable "reader_principals"', 'variable "readers"'),
    ("floor", "modules/fleet/main.tf", "image_uri     = var.function_image", "image         = var.function_image"),
    ("floor", "modules/fleet/policies.tf", "local.interface_actions\n", "local.interfaces\n"),
    ("readme", "modules/fleet/variables.tf", "default     = 1769", "default     = 1024"),
    ("validate", "modules/fleet/main.tf", "aws_security_group.this[0].id\n", "aws_security_group.that[0].id\n"),
    ("fmt", "roles.tf", "  for_each = local.tasks\n", "  for_each  = local.tasks\n"),
    ("validate", "main.tf", "stopTimeout = 120", "stopTimeout = local.nothing"),
    ("validate", "topic.tf", "target_id = \"failed\"", "target = \"failed\""),
    ("validate", "examples/complete/main.tf", "size_band_width = 3", "size_band = 3"),
    # Once two variables looked at each other.
    ("validate", "variables.tf", "var.recipients_path == null || can(regex(", "length(var.public_keys) > 0 || can(regex("),
]
SLOW = [
    ("tasks", "main.tf", "<aws.scheduler.scheduled-time>", "<aws.scheduler.execution-id>"),
    ("tasks", "main.tf", "    dead_letter_config {\n      arn = aws_sqs_queue.failed[0].arn\n    }\n", ""),
    ("tasks", "topic.tf", "  count = var.create ? 1 : 0\n", "  count = 1\n"),
    ("tasks", "main.tf", 'name       = "${var.name}_${key}"', 'name       = "${var.name}-${key}"'),
    ("tasks", "environment.tf", "PGSEAL_ALLOWED_HOSTS = coalesce(", 'PGSEAL_ALLOWED_HOSTS = "*" # '),
    # The port of an instance that is looked up.
    ("tasks", "environment.tf", "backup.port == null ? [] : [backup.port]", "[5432]"),
    ("rights", "policies.tf", '"s3:GetObject", "s3:GetObjectVersion"', '"s3:GetObject"'),
    ("rights", "policies.tf", '["s3:PutObject", "s3:AbortMultipartUpload"]', '["s3:PutObject", "s3:DeleteObject"]'),
    ("rights", "policies.tf", '["s3:PutObjectRetention"]', "[]"),
    ("rights", "policies.tf", "*.manifest*.jsonl", "*"),
    ("rights", "policies.tf", "dkr[.-]ecr", "dkr[.]ecr"),
    ("rights", "roles.tf", "permissions_boundary = var.permissions_boundary", "permissions_boundary = null"),
    ("rights", "roles.tf", "substr(\"${var.name}_task_${each.key}_\", 0, 38)", "\"${var.name}_task_${each.key}_\""),
    ("alarms", "alarms.tf", '"breaching"', '"notBreaching"'),
    ("alarms", "alarms.tf", '"NumberOfMessagesSent"', '"ApproximateNumberOfMessagesVisible"'),
    ("alarms", "alarms.tf", "ok_actions          = local.actions", "ok_actions          = []"),
    ("alarms", "alarms.tf", 'database == "*" ? {} : { Database = local.encoded[database] }', "{}"),
    ("alarms", "dashboard.tf", '"CompressionRatio"', '"Ratio"'),
    ("alarms", "topic.tf", "{ exists = false }", "{ exists = true }"),
    ("made", "network.tf", "referenced_security_group_id = aws_security_group.task[0].id", "referenced_security_group_id = each.value.id"),
    ("made", "network.tf", "local.makes_for_drills ? aws_security_group.drill[*].id", "local.makes_for_drills ? aws_security_group.task[*].id"),
    ("made", "environment.tf", '|| local.lock_mode == "NONE" ? {}', '|| local.lock_mode != "NONE" ? {}'),
    ("refused", "variables.tf", '!can(regex("PRIVATE KEY", join("", var.public_keys)))', "true"),
    ("refused", "main.tf", '"1"    = range(2, 9)', '"1"    = range(1, 9)'),
    ("refused", "variables-alarms.tf", "var.max_age_hours <= 168 ", "var.max_age_hours <= 169 "),
    ("refused_silence", "variables.tf", 'contains(var.event_fields, "scheduled_time")', "true"),
    ("refused_silence", "variables-alarms.tf", "|| length(var.alarm_emails) > 0", "|| true"),
    ("refused_silence", "variables-alarms.tf", ": drill.database != null ||", ": true ||"),
    ("refused_silence", "variables-alarms.tf", '["*", drill.database])) > 0', '["*", drill.database])) >= 0'),
    ("refused_silence", "variables-bucket.tf", 'coalesce(var.lock_mode, "NONE") == "NONE" ||', 'coalesce(var.lock_mode, "NONE") != "" ||'),
    ("refused_silence", "variables-bucket.tf", "max(values(var.retention_days)...) + 2", "0"),
    ("alarms", "topic.tf", 'name     = ["pgseal"]', ""),
    ("alarms", "environment.tf", 'urlencode(name), "+", "%20"', 'urlencode(name), "+", "+"'),
    ("alarms", "environment.tf", ', "~", "%7E")', ', "~", "~")'),
    ("alarms", "alarms.tf", "local.encoded[database]", "database"),
    ("alarms", "alarms.tf", "  period              = 300\n  evaluation_periods  = 1\n  threshold           = 1\n  comparison_operator = \"Less",
     "  period              = 3600\n  evaluation_periods  = 1\n  threshold           = 1\n  comparison_operator = \"Less"),
    ("rights", "policies.tf", '"${var.prefix}/${local.encoded[local.servers[key]]}"', "var.prefix"),
    ("rights", "policies.tf", "/*.drill-*", "/*"),
    ("rights", "policies.tf", ', "${local.objects}/${var.report_prefix}/*.drill-*"', ""),
    ("rights", "policies.tf", '["host", "instance", "prefix"]', "[]"),
    ("rights", "policies.tf", "Condition = local.via_s3", "Condition = {}"),
    ("rights", "policies.tf", '["secretsmanager", "ssm"] : "${service}', '["secretsmanager", "ssm"] : "*${service}'),
    ("made", "main.tf", "var.container_insights", '"enabled"'),
    ("made", "network.tf", 'for protocol in ["tcp", "udp"]', 'for protocol in ["tcp"]'),
    ("made", "bucket.tf", "= var.expiration_days", "= length(local.backups) == 0 ? 90 : var.expiration_days"),
    ("made", "bucket.tf", "= var.bucket_policy_statements", '= "[]"'),
    ("plans", "bucket.tf", "count  = var.create && var.create_bucket ? 1 : 0", "count  = var.create && local.bucket != null ? 1 : 0"),
    ("plans", "network.tf", "tostring(index) => cidr }", "cidr => cidr }"),
]
FLEET = [
    ("fleet", "policies.tf", '["s3:PutObject", "s3:AbortMultipartUpload"]', '["s3:PutObject", "s3:DeleteObject"]'),
    ("fleet", "policies.tf", "*.manifest*.jsonl", "*"),
    ("fleet", "policies.tf", "dkr[.-]ecr", "dkr[.]ecr"),
    ("fleet", "policies.tf", "dbuser:*/${var.database_user}", "dbuser:*/*"),
    ("fleet", "policies.tf", '"states:SendTaskHeartbeat", ', ""),
    ("fleet", "policies.tf", 'Action   = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]\n      Resource = [local.state_machine, "${local.state_machine}/*"]',
     'Action   = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]\n      Resource = [local.state_machine]'),
    ("fleet", "policies.tf", 'Condition = { ArnEquals = { "ecs:cluster" = one(aws_ecs_cluster.this[*].arn) } }', "Condition = {}"),
    ("fleet", "policies.tf", "task-definition/${var.name}:*", "task-definition/*"),
    ("fleet", "main.tf", "aws_ecs_task_definition.this[0].family", "aws_ecs_task_definition.this[0].arn"),
    ("fleet", "policies.tf", "concat(aws_iam_role.task[*].arn, aws_iam_role.execution[*].arn)", '["*"]'),
    ("fleet", "policies.tf", 'Sid       = "NotByTheCode"\n      Effect    = "Deny"', 'Sid       = "NotByTheCode"\n      Effect    = "Allow"'),
    ("fleet", "policies.tf", '["s3:PutObjectRetention"]', "[]"),
    ("fleet", "main.tf", 'locks_by_class = var.retention != "none" &&', "locks_by_class = false &&"),
    ("fleet", "main.tf", '&& var.lock_mode != "NONE"', ""),
    ("fleet", "main.tf", "${var.retention_days[class]}", "14"),
    ("fleet_refused", "variables.tf", 'var.lock_mode != "COMPLIANCE" ||', "true ||"),
    ("fleet", "roles.tf", 'length(var.rds_event_ids) > 0 ? ["events"] : []', '["events"]'),
    ("fleet", "roles.tf", "permissions_boundary = var.permissions_boundary", "permissions_boundary = null"),
    ("fleet", "alarms.tf", "evaluation_periods  = var.max_age_hours", "evaluation_periods  = 36"),
    ("fleet", "alarms.tf", '"pgseal"\n  metric_name         = "ScheduledRuns"', '"AWS/States"\n  metric_name         = "ExecutionsSucceeded"'),
    ("fleet", "main.tf", '",${substr(local.discover, 1, -1)}"', '"}"'),
    ("fleet", "main.tf", ', "RDS DB Cluster Event"', ""),
    ("fleet", "policies.tf", 'Condition = { StringEquals = { "cloudwatch:namespace" = "pgseal" } }', "Condition = {}"),
    ("fleet_refused", "variables.tf", "var.max_age_hours <= 168 ", "var.max_age_hours <= 169 "),
    ("fleet", "alarms.tf", '"breaching"', '"notBreaching"'),
    ("fleet", "alarms.tf", '  threshold           = 1\n  comparison_operator = "Gr', '  threshold           = 10\n  comparison_operator = "Gr'),
    ("fleet", "main.tf", "discover,exclude_databases", "discover,prefix,exclude_databases"),
    ("fleet", "main.tf", "jsonencode(jsondecode(var.discover))", "var.discover"),
    ("fleet", "main.tf", ",*.rds.${local.region}.${local.dns_suffix}", ""),
    ("fleet", "main.tf", "<aws.scheduler.scheduled-time>", "<aws.scheduler.execution-id>"),
    ("fleet", "main.tf", "Partition       = local.partition", 'Partition       = "aws-cn"'),
    ("fleet", "main.tf", "AssignPublicIp  = ", "AssignIp        = "),
    ("fleet", "main.tf", '{ ArnEquals = { "aws:SourceArn" = rule.arn } }', "{}"),
    ("fleet", "main.tf", "ServersAtOnce   = var.servers_at_once", "ServersAtOnce   = var.databases_at_once"),
    ("fleet", "plans.tf", 'count = var.create ? 1 : 0\n\n  bucket_prefix', "count = 1\n\n  bucket_prefix"),
    ("fleet_refused", "variables.tf", "var.last_port >= var.first_port", "var.last_port >= 1"),
    ("fleet_refused", "variables.tf", "!var.create || length(var.allowed_fingerprints) > 0", "true"),
]
BUCKET = [
    ("bucket", "main.tf", "object_lock_enabled = true", "object_lock_enabled = local.is_locked"),
    ("bucket", "main.tf", "days = days + 2", "days = days"),
    ("bucket", "main.tf", "local.last_class + 3", "90"),
    ("bucket", "main.tf", "statement if !local.takes_classes", "statement if false"),
    ("bucket", "main.tf", "tostring(local.longest_lock)", '"36500"'),
    ("bucket", "main.tf", "<= 20480", "<= 204800"),
    ("bucket", "main.tf", '"s3:if-none-match" = "true"', '"s3:if-none-match" = "false"'),
    ("bucket", "variables.tf", "var.lock_days < min(", "var.lock_days <= min("),
    ("vault", "main.tf", "/$${aws:PrincipalAccount}\"\n", "\"\n"),
    ("vault", "main.tf", "NotResource = local.reports", 'Resource = "BUCKET_ARN/*"'),
    ("vault", "main.tf", 'concat([local.account], var.reader_accounts)', "var.reader_accounts"),
    ("vault", "main.tf", 'NotResource = concat(["BUCKET_ARN/${local.own_number}/*"]', 'NotResource = concat(["BUCKET_ARN/*"]'),
    ("bucket", "main.tf", '{ "s3:object-lock-mode" = var.lock_mode }', '{ "s3:object-lock-mode" = "COMPLIANCE" }'),
    ("bucket", "main.tf", '{ Null = { "s3:object-lock-mode" = "false" } }', '{ Null = { "s3:object-lock-mode" = "true" } }'),
    ("bucket", "main.tf", "local.is_locked ? { StringNotEquals", "true ? { StringNotEquals"),
    ("vault", "main.tf", 'var.lock_mode == "NONE" ? [] : ["s3:PutObjectRetention"]', '["s3:PutObjectRetention"]'),
    ("vault", "main.tf", "statement if length(var.reader_accounts) > 0", "statement if false"),
    ("vault", "main.tf", "account if writer.prefix == null]", "account if false]"),
    ("vault", "main.tf", 'Condition = { StringEquals = { "kms:ViaService"', 'Condition = { StringLike = { "kms:ViaService"'),
    ("vault", "variables.tf", "var.expiration_days == null || try(", "true || try("),
    ("vault", "main.tf", '"BUCKET_ARN/${prefix}/*"], local.reports)', '"BUCKET_ARN/${prefix}/*"], [])'),
    ("vault", "main.tf", "[for report in local.reports :", "[for report in [] :"),
    ("vault", "main.tf", "/*.manifest*.jsonl", "/*"),
    ("vault", "main.tf", 'Sid         = "NobodyElseWrites"\n        Effect      = "Deny"', 'Sid         = "NobodyElseWrites"\n        Effect      = "Allow"'),
]


def check(kind, deploy, schema):
    """The command that must not end with 0."""
    root = deploy / "terraform"
    if kind == "floor":
        return [sys.executable, HERE / "floor.py", schema, root]
    if kind == "readme":
        return [sys.executable, HERE / "readme.py", root]
    if kind in ("fmt", "validate"):
        return [sys.executable, HERE / "whole.py", kind, deploy]
    if kind in MODULES:
        return [sys.executable, HERE / "whole.py", "test", deploy, *MODULES[kind]]
    return [sys.executable, HERE / "whole.py", "test", deploy, ".", f"-filter=tests/{kind}.tftest.hcl"]


def missed(fault, schema):
    """What is wrong with the check, if it does not find this fault."""
    kind, file, there, planted = fault
    with tempfile.TemporaryDirectory() as place:
        deploy = Path(shutil.copytree("deploy", Path(place) / "deploy"))
        folder = MODULES[kind][0] + "/" if kind in MODULES else ""
        path = deploy / "terraform" / (folder + file)
        text = path.read_text()
        if there not in text:
            return f"{file}: {there!r} is not there to be changed"
        path.write_text(text.replace(there, planted))
        done = subprocess.run(check(kind, deploy, schema), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        # A check that could not run has found nothing: it ends with something else.
        if done.returncode != 1:
            return f"{kind} does not find {planted!r} in {file} (it ended with {done.returncode}):\n{done.stdout[-600:]}"
        # Nor has one whose tools are broken.
        if "Traceback" in done.stdout or "Plugin error" in done.stdout:
            return f"{kind} broke on {planted!r} in {file}:\n{done.stdout[-600:]}"
    return None


def main(schema, which="fast"):
    # The few need no Terraform, which takes seconds for each.
    few = [fault for fault in FAST if fault[0] in ("floor", "readme")]
    faults = {"fast": FAST, "few": few, "slow": SLOW + BUCKET + FLEET}[which]
    if not shutil.which("terraform"):
        faults = [fault for fault in faults if fault[0] in ("floor", "readme")]
        print("there is no terraform on this machine: only the checks that need none were looked at")
        if not faults:
            return 75
    # Each waits for Terraform, which waits for the stand-in.
    with ThreadPoolExecutor(max_workers=3) as pool:
        said = [fault for fault in pool.map(lambda fault: missed(fault, schema), faults) if fault]
    print("\n".join(said) or f"all {len(faults)} faults were found")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
