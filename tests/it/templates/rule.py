"""The rules of EventBridge in template.yaml against events as ECS and Lambda send them: what failed is heard of, nothing else."""

import copy

import cfn

DEFINITIONS = "arn:aws:ecs:eu-west-1:111122223333:task-definition/"
OURS = f"{DEFINITIONS}pgseal-backup:7"


def matches(pattern, event):
    """As EventBridge does: lists are alternatives; of a list in the event one element is enough, which must fit as a whole."""
    if isinstance(pattern, dict):
        events = event if isinstance(event, list) else [event]
        return any(all(matches(inner, one.get(name)) for name, inner in pattern.items()) for one in events)

    def fits(rule):
        if isinstance(rule, dict) and "anything-but" in rule:
            return event is not None and event != rule["anything-but"]
        if isinstance(rule, dict) and "prefix" in rule:
            return event is not None and event.startswith(rule["prefix"])
        if isinstance(rule, dict) and "exists" in rule:
            return (event is not None) == rule["exists"]
        return event == rule

    assert isinstance(pattern, list) and pattern, pattern
    return any(fits(rule) for rule in pattern)


def task(status, code, of, reason=None, stop_code="EssentialContainerExited", **container):
    """One event as ECS sends it (the developer guide's `ECS task state change events`)."""
    cluster, identity = "arn:aws:ecs:eu-west-1:111122223333:cluster/backups", "0d9a7d3b4c5e4f60a1b2c3d4e5f60718"
    arn = f"arn:aws:ecs:eu-west-1:111122223333:task/backups/{identity}"
    event = {
        "version": "0",
        "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": cfn.ACCOUNT,
        "time": "2026-11-24T02:03:17Z",
        "region": cfn.REGION,
        "resources": [arn],
        "detail": {
            "attachments": [{"id": "a1", "type": "eni", "status": "DELETED", "details": []}],
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": "eu-west-1a",
            "clusterArn": cluster,
            "connectivity": "CONNECTED",
            "containers": [
                {
                    "containerArn": f"arn:aws:ecs:eu-west-1:111122223333:container/backups/{identity}/c1",
                    "lastStatus": status,
                    "name": "pgseal",
                    "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs",
                    "taskArn": arn,
                    "networkInterfaces": [{"attachmentId": "a1", "privateIpv4Address": "10.0.1.5"}],
                    "cpu": "0",
                    **container,
                }
            ],
            "cpu": "1024",
            "createdAt": "2026-11-24T02:00:03.241Z",
            "desiredStatus": "STOPPED" if status == "STOPPED" else "RUNNING",
            "group": "family:pgseal-backup",
            "launchType": "FARGATE",
            "lastStatus": status,
            "memory": "2048",
            "overrides": {"containerOverrides": [{"name": "pgseal", "environment": [{"name": "BACKUP_EVENT"}]}]},
            "platformVersion": "1.4.0",
            "startedBy": "chronos-schedule/pgseal",
            "taskArn": arn,
            "taskDefinitionArn": of,
            "updatedAt": "2026-11-24T02:03:17.011Z",
            "version": 5,
        },
    }
    if code is not None:
        event["detail"]["containers"][0]["exitCode"] = code
    if status == "STOPPED":
        event["detail"] |= {"stopCode": stop_code, "stoppedReason": reason or "Essential container in task exited"}
    return event


def with_agent(event, code):
    """The same with a container beside ours, as GuardDuty's runtime monitoring puts one there."""
    agent = {"name": "aws-guardduty-agent-x1", "lastStatus": "STOPPED"} | ({} if code is None else {"exitCode": code})
    event["detail"]["containers"].append(agent)
    return event


def result(condition, function, kind="Failure"):
    """One event as Lambda's destinations send it."""
    return {
        "version": "0",
        "id": "2f8147ab-0000-4c6f-9d1e-b3f1a2c3d4e5",
        "detail-type": f"Lambda Function Invocation Result - {kind}",
        "source": "lambda",
        "account": cfn.ACCOUNT,
        "time": "2026-11-24T02:00:51Z",
        "region": cfn.REGION,
        "resources": ["arn:aws:events:eu-west-1:111122223333:event-bus/default", function],
        "detail": {
            "version": "1.0",
            "timestamp": "2026-11-24T02:00:51.044Z",
            "requestContext": {
                "requestId": "e4b46cbf-b738-4f98-8c81-c0bdb7f3c8a2",
                "functionArn": function,
                "condition": condition,
                "approximateInvokeCount": 2,
            },
            "requestPayload": {"scheduled_time": "2026-11-24T02:00:00Z"},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorType": "pgseal.db_unreachable", "errorMessage": "{}"},
        },
    }


def main():
    stack = cfn.template(**cfn.ECS, **cfn.DRILL, SuccessEvents="true")
    pattern = copy.deepcopy(stack.properties("FailedTask")["EventPattern"])
    # The families are what CloudFormation gives the definitions; a stack with another name has others.
    families = [stack.properties(task)["Family"] for task in ("BackupTask", "DrillTask")]
    assert families == ["pgseal-backup", "pgseal-drill"], families
    for given, of in [(cfn.ECS, ["backup"]), (cfn.DRILL, ["drill"])]:
        named = cfn.template(**given).properties("FailedTask")["EventPattern"]["detail"]["taskDefinitionArn"]
        assert named == [{"prefix": f"{DEFINITIONS}pgseal-{name}:"} for name in of], named

    no_image = "CannotPullContainerError: pull image manifest has been retried 1 time(s): pgseal:ecs: not found"
    no_start = "ResourceInitializationError: unable to pull secrets or registry auth: context deadline exceeded"
    memory = {"reason": "OutOfMemoryError: Container killed due to memory usage"}
    for heard, what, event in [
        (False, "exit 0", task("STOPPED", 0, OURS)),
        (True, "exit 3", task("STOPPED", 3, OURS)),
        (True, "exit 137", task("STOPPED", 137, OURS, **memory)),
        (True, "no image", task("STOPPED", None, OURS, no_image, "TaskFailedToStart")),
        (True, "no start", task("STOPPED", None, OURS, no_start, "TaskFailedToStart")),
        (True, "stopped by hand", task("STOPPED", None, OURS, "by hand", "UserInitiated")),
        (False, "running", task("RUNNING", None, OURS)),
        (False, "pending", task("PENDING", None, OURS)),
        (False, "another task", task("STOPPED", 3, OURS.replace("pgseal", "web"))),
        # A task runs on when the stack gets a new image, and a definition may be registered by hand.
        (True, "an older revision", task("STOPPED", 3, OURS.replace(":7", ":6"))),
        (True, "a revision of two digits", task("STOPPED", 3, OURS.replace(":7", ":12"))),
        (True, "a drill", task("STOPPED", 7, OURS.replace("-backup", "-drill"))),
        (False, "a stack whose name goes on", task("STOPPED", 3, OURS.replace("-backup", "-backup-2"))),
        (False, "another stack", task("STOPPED", 3, OURS.replace("/pgseal", "/my-pgseal"))),
        (False, "exit 0 beside an agent that failed", with_agent(task("STOPPED", 0, OURS), 137)),
        (False, "exit 0 beside an agent without a code", with_agent(task("STOPPED", 0, OURS), None)),
        (True, "exit 3 beside an agent", with_agent(task("STOPPED", 3, OURS), 0)),
        (False, "another kind", task("STOPPED", 3, OURS) | {"detail-type": "ECS Service Action"}),
        (False, "another source", task("STOPPED", 3, OURS) | {"source": "my.own"}),
    ]:
        assert matches(pattern, event) == heard, f"{what} is {'not ' if heard else ''}heard of"

    function = "arn:aws:lambda:eu-west-1:111122223333:function:pgseal-BackupFunction-a1B2c3D4"
    text = stack.properties("FailedFunction")["EventPattern"]
    named = text["detail"]["requestContext"]["functionArn"]
    assert named == ["<BackupFunction.Arn>", "<BackupFunction.Arn>:$LATEST"], named
    text["detail"]["requestContext"]["functionArn"] = [name.replace("<BackupFunction.Arn>", function) for name in named]
    for heard, event in [
        (True, result("RetriesExhausted", f"{function}:$LATEST")),
        (True, result("EventAgeExceeded", function)),
        (False, result("Success", f"{function}:$LATEST", "Success")),
        (False, result("RetriesExhausted", f"{function}X:$LATEST")),
    ]:
        assert matches(text, event) == heard, event

    # From each rule by the queue's one policy into the queue, and from there to the alarm.
    rules = {name for name in stack.of_type("AWS::Events::Rule")}
    assert rules == {"FailedTask", "FailedFunction"}
    assert all([target["Arn"] for target in stack.properties(rule)["Targets"]] == ["<FailedBackups.Arn>"] for rule in rules)
    for given in [{}, cfn.ECS, cfn.DRILL, {"SuccessEvents": "true"}, cfn.ECS | {"SuccessEvents": "true"}]:
        of = cfn.template(**given)
        rules = of.of_type("AWS::Events::Rule")
        policies = of.of_type("AWS::SQS::QueuePolicy")
        assert len(policies) == bool(rules), (given, "a queue has one policy")
        for policy in policies:
            (grant,) = of.properties(policy)["PolicyDocument"]["Statement"]
            assert grant["Principal"] == {"Service": "events.amazonaws.com"} and grant["Resource"] == "<FailedBackups.Arn>"
            assert set(grant["Condition"]["ArnEquals"]["aws:SourceArn"]) == {f"<{rule}.Arn>" for rule in rules}, given
        # Where the bus takes failures, the queue does not get them from Lambda, and the other way round.
        failure = of.properties("FunctionResults")["DestinationConfig"]["OnFailure"]["Destination"]
        assert (failure == "<FailedBackups.Arn>") != ("FailedFunction" in rules), given
    alarm = stack.properties("QueueAlarm")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "<FailedBackups.QueueName>"}]
    assert alarm["MetricName"] == "NumberOfMessagesSent", "a second failure must be heard of while the first lies there"
    for schedule in stack.of_type("AWS::Scheduler::Schedule"):
        assert stack.properties(schedule)["Target"]["DeadLetterConfig"]["Arn"] == "<FailedBackups.Arn>"
    print("rules: ok")


# fleet.py takes what is above.
if __name__ == "__main__":
    main()
