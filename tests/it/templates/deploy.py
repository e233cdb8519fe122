"""Deploys template.yaml and deploy/vault.yaml into an emulator of AWS (ministack), in several ways and twice the same way.

What the emulator cannot do, and what is asserted in its stead:
- It has no AWS::EC2::SecurityGroupIngress and no alarm with a formula: these two are taken out before, and conditions.py
  looks at them.
- It evaluates no Fn::Split in a condition: the one that has it is given as it turns out, and metrics.py looks at it.
- It does not refuse two schedules of one name, as AWS does: so physical ids of two stacks must have nothing in common.
- It ignores Object Lock of a bucket, and evaluates no alarm: retention.py and alarm.py look at these.
"""

import contextlib
import copy
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import boto3
import cfn

FULL = cfn.ECS | cfn.DRILL | {
    "EcsSchedule": "cron(0 2 * * ? *)",
    "DrillSchedule": "cron(0 6 ? * WED,SAT *)",
    "AlarmEmail": "ops@example.com",
    "SizeBandWidth": "3",
    "SuccessEvents": "true",
    "Dashboard": "true",
}
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
SETS = {
    "plain": {},
    "plain-again": {},
    "full": FULL,
    "full-again": FULL,
    "arm": FULL | {"Architecture": "arm64", "EcsSize": "16vCPU-64GB", "DrillSize": "0.5vCPU-1GB", "DrillMaxAgeHours": "0"},
    "vaulted": FULL | {
        "ExistingBucketName": "acme-vault",
        "ExistingBucketOwner": "444455556666",
        "Prefix": "backups/111122223333/eu-west-1",
        "Retention": "gfs",
        "KmsKeyArn": KEY,
    },
    "recipients": cfn.ECS | {
        "PublicKey": "",
        "RecipientsPath": "/pgseal/recipients",
        "AllowedFingerprints": "ab" * 32,
        "SigningKeyArn": KEY,
        "EventDefaults": '{"globals": true, "exclude_databases": ["scratch"]}',
        "Retention": "weekly",
        "LockMode": "COMPLIANCE",
        "AlarmTopicArn": TOPIC,
    },
    "group": {"DatabaseCidr": "", "DatabaseSecurityGroupId": "sg-0a1b2c3d"},
    "bounded": FULL | {"PermissionsBoundaryArn": POLICY, "ExtraPolicyArn": POLICY, "KmsKeyArn": KEY, "LockMode": "NONE"},
    "odd": {"DatabaseName": "*", "ScheduleState": "DISABLED", "MaxAgeHours": "168", "BucketName": "acme-odd", "Retention": "daily"},
    "drills-only": cfn.DRILL | {"DatabaseName": "*", "DrillLocation": "s3://acme/backups/orders/latest:app"},
    "own-cluster": cfn.ECS | {
        "EcsSchedule": "rate(1 day)",
        "EcsClusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/apps",
        "AssignPublicIp": "ENABLED",
    },
}
NOT_HERE = {"DatabaseIngress", "SizeAlarm"}
REFUSED = {
    "no-network": ({"DatabaseCidr": ""}, "Give DatabaseSecurityGroupId or DatabaseCidr"),
    "private-key": ({"PublicKey": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"}, "PublicKey"),
    "long-lock": ({"LockDays": "90"}, "LockDays must be fewer"),
}


@contextlib.contextmanager
def emulator():
    cache = pathlib.Path(os.environ.get("TESTBED_CACHE") or pathlib.Path.home() / ".cache/pgseal")
    program = cache / "venv-ministack/bin/ministack"
    assert program.exists(), f"{program} is missing: run testbed/aws.sh install"
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        own = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": cfn.REGION,
            "S3_DATA_DIR": f"{folder}/s3",
            "STATE_DIR": f"{folder}/state",
            "TMPDIR": folder,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }
        with open(f"{folder}/log", "wb") as log:
            server = subprocess.Popen(
                [program], env=os.environ | own, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                assert server.poll() is None, pathlib.Path(folder, "log").read_text(encoding="utf-8")
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/_ministack/health", timeout=5)
                    break
                time.sleep(0.1)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def deploy(cloud, name, address, parameters):
    listed = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    cloud.create_stack(StackName=name, TemplateURL=address, Parameters=listed, Capabilities=capabilities)
    for _ in range(600):
        stack = cloud.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.1)
    events = cloud.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if "FAILED" in event["ResourceStatus"]]
    assert stack["StackStatus"] == "CREATE_COMPLETE", (name, stack["StackStatus"], failed[-3:])
    found = cloud.get_paginator("list_stack_resources").paginate(StackName=name)
    return {item["LogicalResourceId"]: item["PhysicalResourceId"] for page in found for item in page["StackResourceSummaries"]}


def main():
    template = copy.deepcopy(cfn.load("template.yaml"))
    for name in NOT_HERE:
        del template["Resources"][name]
    vault = cfn.load("deploy/vault.yaml")
    with emulator() as url:
        options = {"endpoint_url": url, "region_name": cfn.REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        cloud, ec2, s3 = (boto3.client(service, **options) for service in ("cloudformation", "ec2", "s3"))
        # As `sam deploy` does: a call takes no text of more than 51,200 bytes.
        s3.create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": cfn.REGION})
        addresses = iter(range(1000))

        def put(body):
            name = f"template-{next(addresses)}"
            s3.put_object(Bucket="templates", Key=name, Body=json.dumps(body))
            return f"{url}/templates/{name}"

        def with_conditions(stack):
            known = {"WatchesDatabase": {"Fn::Equals": [str(stack.conditions["WatchesDatabase"]), "True"]}}
            return put(template | {"Conditions": template["Conditions"] | known})

        vault = put(vault)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        needed = cfn.NEEDED | {"VpcId": vpc, "SubnetIds": subnet}

        owners = {}
        for name, given in SETS.items():
            stack = cfn.Stack("template.yaml", cfn.NEEDED | given)
            made = deploy(cloud, f"pgseal-{name}", with_conditions(stack), needed | given)
            expected = stack.made - NOT_HERE
            # SAM makes one more of the function's event.
            assert set(made) == expected | {"BackupFunctionNightly"}, (name, set(made) ^ expected)
            for logical, physical in made.items():
                mine = (logical, physical)
                assert owners.setdefault(mine, name) == name, f"{mine} is of {owners[mine]} and of {name}"
                assert not physical.endswith("-noop"), mine
        for name, (given, reason) in REFUSED.items():
            try:
                deploy(cloud, f"pgseal-{name}", with_conditions(cfn.template()), needed | given)
            except cloud.exceptions.ClientError as error:
                assert reason in str(error), error
            else:
                raise AssertionError(f"{name} was not refused")

        vaults = [
            deploy(cloud, "vault", vault, {"WriterAccounts": "111122223333"}),
            deploy(cloud, "vault-2", vault, {"OrganizationId": "o-a1b2c3d4e5", "KmsKey": "true", "LockMode": "COMPLIANCE"}),
        ]
        assert not set(vaults[0].values()) & set(vaults[1].values())
    print(f"deploy: ok, {len(SETS)} stacks and {len(vaults)} vaults were made, {len(REFUSED)} refused")


main()
