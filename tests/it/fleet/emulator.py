"""The emulator's side of the fleet's tests: the real function as a bootstrap, and the state machine of deploy/fleet.asl.json."""

import io
import json
import pathlib
import time
import zipfile

import boto3


class Emulator:
    """`order`: where the emulator is, and what the function has in its environment."""

    def __init__(self, order):
        self.order = order

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.order["endpoint"], region_name=self.order["region"],
            aws_access_key_id="test", aws_secret_access_key="test",
        )

    def zipped(self):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            info = zipfile.ZipInfo("bootstrap")
            info.external_attr = 0o755 << 16
            file.writestr(info, f"#!/bin/sh\nexec {self.order['program']}\n")
        return archive.getvalue()

    def function(self, variables, tolerated, seconds):
        plans = {"PGSEAL_PLAN_LOCATION": f"s3://{self.order['plans']}/plans", "PGSEAL_TOLERATED_FAILURES": tolerated}
        made = self.client("lambda").create_function(
            FunctionName="fleet", Runtime="provided.al2023", Handler="bootstrap", Role="arn:aws:iam::000000000000:role/fleet",
            Code={"ZipFile": self.zipped()}, Timeout=seconds, MemorySize=2048, Environment={"Variables": variables | plans},
        )
        return made["FunctionArn"]

    def machine(self, function):
        definition = pathlib.Path("deploy/fleet.asl.json").read_text(encoding="utf-8")
        for name, value in {
            "FunctionArn": function, "ClusterArn": "fleet", "TaskFamily": "fleet", "Subnets": "subnet-1,subnet-2", "SecurityGroups": "sg-1",
            "AssignPublicIp": "DISABLED", "ServersAtOnce": "2", "DatabasesAtOnce": "1", "EventBus": "default", "Partition": "aws",
        }.items():
            definition = definition.replace("${" + name + "}", value)
        # Waits are not what is shown here.
        definition = definition.replace('"IntervalSeconds": 60', '"IntervalSeconds": 1').replace('"IntervalSeconds": 30', '"IntervalSeconds": 1')
        made = self.client("stepfunctions").create_state_machine(
            name="fleet", definition=definition, roleArn="arn:aws:iam::000000000000:role/fleet"
        )
        return made["stateMachineArn"]

    def ended(self, execution, seconds=240):
        """What it came to, and its output."""
        states = self.client("stepfunctions")

        def done():
            told = states.describe_execution(executionArn=execution)
            return told if told["status"] != "RUNNING" else None

        told = until("the end of the execution", done, seconds)
        return told["status"], json.loads(told.get("output") or "{}"), told

    def manifests(self):
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.order["bucket"])
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return keys, sorted(key for key in keys if key.endswith(".manifest.jsonl"))


def until(what, ready, seconds=240):
    bound = time.monotonic() + seconds
    while time.monotonic() < bound:
        found = ready()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come to be")
