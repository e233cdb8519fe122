"""What the program asked of AWS in a fleet's run, against the roles of deploy/fleet.yaml: nothing is missing, and nothing is allowed
that was not asked, but for what a run of this kind never needs."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path("tests/it/templates")))
import cfn
from fleet_stack import fleet
from iam import allowed, like, listed, statements

ARN = "arn:aws:"
MACHINE = f"{ARN}states:eu-west-1:{cfn.ACCOUNT}:stateMachine:pgseal-fleet"
RESOURCES = {
    "states": MACHINE,
    "rds:DescribeDBInstances": f"{ARN}rds:eu-west-1:{cfn.ACCOUNT}:db:*",
    "rds:DescribeDBClusters": f"{ARN}rds:eu-west-1:{cfn.ACCOUNT}:cluster:*",
}
# Allowed, and not asked by a run of these servers: each with the reason.
NOT_HERE = {
    "rds-db:connect": "no call: the token is made here, and RDS asks",
    "s3:AbortMultipartUpload": "only of a dump that fails in its second part",
    "s3:ListBucketMultipartUploads": "only where S3 gave no answer to the beginning of an upload",
    "s3:PutObjectTagging": "only with tags", "s3:PutObjectRetention": "only with a lock",
    "kms:GenerateDataKey": "S3 asks", "kms:Decrypt": "S3 asks", "kms:Sign": "only with a signing key",
    "ssm:GetParametersByPath": "the recipients stand in a variable here",
    "secretsmanager:GetSecretValue": "only with a password",
    "logs:CreateLogStream": "Lambda's runtime asks", "logs:PutLogEvents": "Lambda's runtime asks",
    "ec2:CreateNetworkInterface": "Lambda asks", "ec2:DescribeNetworkInterfaces": "Lambda asks", "ec2:DeleteNetworkInterface": "Lambda asks",
    "ec2:AssignPrivateIpAddresses": "Lambda asks", "ec2:UnassignPrivateIpAddresses": "Lambda asks", "ec2:DescribeSubnets": "Lambda asks",
    "xray:PutTraceSegments": "Lambda asks", "xray:PutTelemetryRecords": "Lambda asks",
    "states:SendTaskFailure": "no task of this run fails by itself",
    "s3:GetBucketLocation": "only where the region is unknown",
}


# Of one of the two alone.
NOT_OF = {"TaskRole": {"s3:GetObject": "only where a manifest of this time is there: the second run's function finds it"}, "FunctionRole": {}}
# Asked by a run that finds a complete backup, and refused: checksums are compared where the role may see them, and what S3 lists
# is enough where it may not.
REFUSED = [("s3:GetObject", "arn:aws:s3:::acme-backups/*", ".manifest.jsonl")]


def is_refused_by_design(action, resource):
    return any(action == known and like(place, resource) and not resource.endswith(but) for known, place, but in REFUSED)


def hold(recorded, names):
    """`recorded`: by role, the calls; `names`: of the buckets in this run, as the template's stack has them."""
    stack = fleet(BucketName="acme-backups")
    roles = {role: statements(stack, "BackupPolicy", role) for role in ("FunctionRole", "TaskRole")}
    for role, calls in recorded.items():
        seen = set()
        for action, place, context in sorted(calls, key=str):
            bucket, _, key = place.partition("/")
            arn = names.get(bucket, "") + (f"/{key}" if key else "")
            service = action.split(":")[0]
            resource = RESOURCES.get(action) or RESOURCES.get(service) or arn
            request = {"action": action, "resource": resource, "context": {"aws:PrincipalAccount": cfn.ACCOUNT} | context}
            is_allowed = allowed(request, roles[role], [], True)
            assert is_allowed != is_refused_by_design(action, resource), f"{role} may not do what it did: {request}"
            seen.add(action)
        granted = {
            action for statement in roles[role] if statement["Effect"] == "Allow" for action in listed(statement["Action"])
        }
        superfluous = sorted(granted - seen - set(NOT_HERE) - set(NOT_OF[role]))
        assert not superfluous, f"{role} is allowed what it never did: {superfluous}"
        assert seen, f"{role}: nothing was recorded"
    return {role: sorted({action for action, *_ in calls}) for role, calls in recorded.items()}
