"""deploy/fleet.yaml: its definition is deploy/fleet.asl.json, function and task are told the same, its policies against requests."""

import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import cfn
import rule as rules
from fleet_stack import NEEDED, TEMPLATE, fleet
from iam import IF_NONE_MATCH, KEY, allowed, listed, request, statements

DEFINITION = "deploy/fleet.asl.json"
TOPIC, BOUNDARY = "arn:aws:sns:eu-west-1:111122223333:alarms", "arn:aws:iam::111122223333:policy/boundary"
EVENTS = {"RdsEventIds": "RDS-EVENT-0043,RDS-EVENT-0019"}
FIELDS = "action,scheduled_time,database,instance,host,port,discover,exclude_databases"
OF_THE_FUNCTION = {"PGSEAL_PLAN_LOCATION", "PGSEAL_TOLERATED_FAILURES"}
MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:pgseal-fleet"
DEFINITIONS = "arn:aws:ecs:eu-west-1:111122223333:task-definition/"
EXECUTION = "arn:aws:states:eu-west-1:111122223333:execution:pgseal-fleet"
ALARMS = {"FailedRunAlarm", "NoRunAlarm", "NotStartedAlarm"}
# A second value for each parameter: none is without effect.
EFFECTS = {
    "ImageUri": "x/pgseal:lambda", "EcsImageUri": "x/pgseal:ecs", "Architecture": "arm64", "Discover": "{}", "Database": '"app"',
    "ExcludeDatabases": '["scratch"]', "DatabaseUser": "dumper", "AllowedHosts": "*.internal.example", "VpcId": "vpc-1",
    "SubnetIds": "subnet-1", "DatabaseCidr": "10.1.0.0/16", "FirstPort": "5431", "LastPort": "5433", "AssignPublicIp": "ENABLED",
    "BucketName": "acme-vault", "BucketOwner": "444455556666", "Prefix": "backups/111122223333", "KmsKeyArn": KEY,
    "RecipientsPath": "/r", "AllowedFingerprints": "cd" * 32, "SigningKeyArn": KEY, "RateLimit": "0", "Compression": "zstd:19",
    "Retention": "gfs", "RetentionTimezone": "Europe/Berlin", "DailyDays": "7", "WeeklyDays": "28", "MonthlyDays": "180", "YearlyDays": "1100", "MemorySize": "3008", "ServersAtOnce": "20", "DatabasesAtOnce": "2", "ToleratedFailures": "5",
    "Schedule": "rate(1 day)", "ScheduleTimezone": "Europe/Berlin", "ScheduleState": "DISABLED",
    "MaxAgeHours": "48", "RdsEventIds": "RDS-EVENT-0043", "AlarmTopicArn": TOPIC, "LogRetentionDays": "365", "PermissionsBoundaryArn": BOUNDARY,
}
REFUSED = {
    "ImageUri": ["pgseal"], "Discover": ["[]", "nightly", "{ }", '{"tags": {"a": "|{"}}'], "RdsEventIds": ["created", "RDS-EVENT-43", "RDS-EVENT-0043,0019"],
    "MaxAgeHours": ["0", "169"], "Database": ["app", "*", '""', '"a\\"'], "ExcludeDatabases": ["scratch"],
    "DatabaseUser": ["*", "back/up"], "AllowedHosts": ["*", "a,*", "a b"], "DatabaseCidr": ["10.0.0.0"], "FirstPort": ["0"], "LastPort": ["65536"],
    "BucketName": ["acme-*", "Acme"], "BucketOwner": ["acme"], "Prefix": ["*", "backups/", ""], "KmsKeyArn": ["alias/backups"],
    "RecipientsPath": ["/", "pgseal"], "AllowedFingerprints": ["", "45d2ebf9"], "RateLimit": ["10MB"], "Compression": ["gzip", "zstd:20"],
    "Retention": ["hourly"], "LockMode": ["FOREVER"], "DailyDays": ["13"], "MemorySize": ["128"], "ServersAtOnce": ["0"], "ToleratedFailures": ["101"], "Schedule": ["0 2 * * *"],
    "AlarmTopicArn": ["alarms"],
}


def the_definition_is_that_of_the_file():
    with open(DEFINITION, encoding="utf-8") as file:
        text = file.read()
    with open(TEMPLATE, encoding="utf-8") as file:
        template = file.read()
    begin = template.index("      Definition:\n") + len("      Definition:\n")
    end = template.index("\n  ScheduleRole:", begin)
    # Indented by half, of which CloudFormation's limit for a call leaves room.
    copied = "".join(" " * (8 + (len(line) - len(line.lstrip())) // 2) + line.lstrip() + "\n" for line in text.splitlines())
    if "--write" in sys.argv:
        with open(TEMPLATE, "w", encoding="utf-8") as file:
            file.write(template[:begin] + copied + template[end:])
        cfn.load.cache_clear()
    else:
        assert template[begin:end] == copied, f"{TEMPLATE} is behind {DEFINITION}; run this with --write"
    machine = cfn.load(TEMPLATE)["Resources"]["StateMachine"]["Properties"]
    assert machine["Definition"] == json.loads(text), f"{TEMPLATE} and {DEFINITION} have two definitions"
    named = set(re.findall(r"\$\{(\w+)\}", text))
    assert named == set(machine["DefinitionSubstitutions"]), named ^ set(machine["DefinitionSubstitutions"])
    values = fleet().properties("StateMachine")["DefinitionSubstitutions"]
    filled = re.sub(r"\$\{(\w+)\}", lambda match: str(values[match.group(1)]), text)
    assert "${" not in filled
    states = json.loads(filled)["States"]
    assert states["Limits"]["Parameters"] == {"servers.$": "States.StringToJson('10')", "databases.$": "States.StringToJson('1')"}
    item = states["Servers"]["ItemProcessor"]["States"]["Databases"]["ItemProcessor"]["States"]
    task = item["Task"]["Parameters"]
    assert task["Cluster"] == "<Cluster.Arn>" and task["TaskDefinition"] == fleet().properties("FleetTask")["Family"], task
    # The name alone makes no order between the two.
    assert cfn.load(TEMPLATE)["Resources"]["StateMachine"]["DependsOn"] == "FleetTask"
    network = task["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["Subnets.$"] == f"States.StringSplit('{NEEDED['SubnetIds']}', ',')", network
    assert network["AssignPublicIp"] == "DISABLED", network
    (container,) = task["Overrides"]["ContainerOverrides"]
    assert container["Name"] == fleet().properties("FleetTask")["ContainerDefinitions"][0]["Name"]
    no_state_is_missing(json.loads(filled))
    the_filled_definition_is_clean(template)
    assert not has_null(cfn.load(TEMPLATE)), "CloudFormation refuses null at any depth"
    what_is_read_later_is_kept(json.loads(text)["States"])
    what_is_tried_again(json.loads(text)["States"])
    runs_of_the_schedule_are_counted(json.loads(text)["States"])
    a_server_that_is_not_meant_is_no_failure(json.loads(text)["States"])
    no_map_puts_out_more_than_it_may(json.loads(text)["States"])


def the_filled_definition_is_clean(template):
    """As cfn-lint knows a definition."""
    ignored = "      cfn-lint: { config: { ignore_checks: [E3601] } }\n"
    assert ignored in template
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(template.replace(ignored, "").replace("${Partition}", "aws"))
        file.flush()
        linter = pathlib.Path(sys.executable).with_name("cfn-lint")
        said = subprocess.run([linter, file.name], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr


def has_null(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return value is None or any(has_null(one) for one in inner)


def what_is_read_later_is_kept(states):
    """A state whose result takes the place of all else loses what the states behind it read."""
    for name, state in states.items():
        if state["Type"] in ("Task", "Map", "Parallel") and "Next" in state:
            assert state.get("ResultPath", "$").startswith("$."), f"{name} leaves nothing but its result"
            for catcher in state.get("Catch", []):
                assert catcher["ResultPath"].startswith("$."), name
    inner = [state["ItemProcessor"]["States"] for state in states.values() if "ItemProcessor" in state]
    for below in inner:
        what_is_read_later_is_kept(below)


def what_is_tried_again(states):
    """Each error that may pass by itself, of the service that a state calls, as AWS's pages of its integration name them."""
    of_lambda = {f"Lambda.{name}" for name in (
        "ServiceException", "AWSLambdaException", "SdkClientException", "TooManyRequestsException", "ClientExecutionTimeoutException")}
    # A lack of room comes as the one of a call that failed, or, of waitForTaskToken, as the other: of Failures in its answer.
    of_ecs = {"ECS.ServerException", "ECS.ThrottlingException", "ECS.AmazonECSException", "AmazonECS.Unknown"}
    # Of a function that ended without a word of its own: the plan is made again, the backup goes to a task.
    unknown = "Lambda.Unknown"
    seen = set()

    def look(states):
        for name, state in states.items():
            retried = {error for retrier in state.get("Retry", []) for error in retrier["ErrorEquals"]}
            caught = {error for catcher in state.get("Catch", []) for error in catcher["ErrorEquals"]}
            resource = state.get("Resource", "")
            if "ItemProcessor" in state:
                assert "States.ItemReaderFailed" in retried, name
                look(state["ItemProcessor"]["States"])
            elif "lambda:invoke" in resource:
                assert of_lambda <= retried, (name, of_lambda - retried)
                assert unknown in (caught if name == "Function" else retried), name
                assert name == "Function" or "States.ALL" in caught, name
            elif "ecs:runTask" in resource:
                assert of_ecs <= retried, (name, of_ecs - retried)
                (start,) = [retrier for retrier in state["Retry"] if "AmazonECS.Unknown" in retrier["ErrorEquals"]]
                waits = [min(60 * 2**number, start["MaxDelaySeconds"]) for number in range(start["MaxAttempts"])]
                # Until others have ended; half of it by jitter.
                assert 20 * 3600 < sum(waits) < 40 * 3600, waits
            elif "events:putEvents" in resource:
                assert retried == {"States.TaskFailed"}, name
            elif "cloudwatch:putMetricData" in resource:
                assert retried == {"States.TaskFailed"}, name
            else:
                assert "Resource" not in state, f"{name} calls something that this test does not know"
            seen.add(name)

    look(states)
    assert {"Plan", "Function", "Task", "Summarize", "Tell", "Servers", "Databases"} <= seen, seen


def path(value, name):
    for part in name.removeprefix("$.").split(".") if name != "$" else []:
        value = value[part]
    return value


def runs_of_the_schedule_are_counted(states):
    """By what the alarm watches, and no others: a run by hand or of an event would hide a schedule that is off."""
    order = {"discover": {}, "database": "*"}
    schedule = json.loads(fleet().properties("FleetSchedule")["Target"]["Input"])
    event = json.loads(fleet(**EVENTS).properties("RdsEvents")["Targets"][0]["InputTransformer"]["InputTemplate"])
    for given, meant, is_counted in [(schedule, schedule.get("scheduled"), True), (event, event, False), (order, order, False)]:
        state = states[chosen(states["IsScheduled"], given)]
        now = {name.removesuffix(".$"): path(given, value) if name.endswith(".$") else value for name, value in state["Parameters"].items()}
        assert now["order"] == meant, now
        assert chosen(states["WasScheduled"], now) == ("CountRun" if is_counted else "Succeeded"), given
    assert "$.order," in states["Plan"]["Parameters"]["Payload.$"], "the function knows no other field"
    assert states["Tell"]["Next"] == "WasScheduled" and states["CountRun"]["Next"] == "Succeeded"
    counted = states["CountRun"]["Parameters"]
    (metric,) = counted["MetricData"]
    alarm = fleet().properties("NoRunAlarm")
    assert (counted["Namespace"], metric["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])
    assert metric["Dimensions"] == [{"Name": "StateMachine", "Value.$": "$$.StateMachine.Name"}]
    assert alarm["Dimensions"] == [{"Name": "StateMachine", "Value": "<StateMachine.Name>"}]
    assert (metric["Value"], alarm["Statistic"], alarm["Threshold"], alarm["Period"]) == (1, "Sum", 1, 3600)


def a_server_that_is_not_meant_is_no_failure(states):
    of_one = json.loads(fleet(**EVENTS).properties("RdsEvents")["Targets"][0]["InputTransformer"]["InputTemplate"])
    for groups, order, expected in [
        (0, of_one, "NotMeant"), (1, of_one, "Limits"), (0, {"discover": {}}, "Summarize"), (0, {}, "Summarize"), (3, {}, "Limits"),
    ]:
        assert chosen(states["HasGroups"], {"order": order, "plan": {"groups": groups}}) == expected, (groups, order)
    assert states["NotMeant"] == {"Type": "Succeed"}


def chosen(state, given):
    """What comes after a choice, as much of it as is used here."""

    def fits(rule):
        if "And" in rule:
            return all(fits(inner) for inner in rule["And"])
        try:
            found = path(given, rule["Variable"])
        except KeyError:
            return rule.get("IsPresent") is False
        if "IsString" in rule:
            return isinstance(found, str) == rule["IsString"]
        return rule.get("IsPresent", True) and rule.get("NumericEquals", found) == found

    return next((rule["Next"] for rule in state["Choices"] if fits(rule)), state["Default"])


def no_map_puts_out_more_than_it_may(states):
    """A map holds what its items put out, 256 KiB of it, before ResultPath drops it; what States.ALL does not catch."""
    # Beside what came in, of which it is the smaller part.
    assert states["Servers"]["ResultPath"] == "$.done"
    of_server = states["Servers"]["ItemProcessor"]["States"]
    ends = [state for state in of_server.values() if state.get("End")]
    assert [(state["Type"], state["Result"], "ResultPath" in state) for state in ends] == [("Pass", {}, False)], ends
    of_database = of_server["Databases"]["ItemProcessor"]["States"]
    for state in of_database.values():
        # {"status":"already_complete"} a database: 8,000 of one server.
        if state.get("End"):
            assert set(state["ResultSelector"]) == {"status.$"} and "ResultPath" not in state, state


def no_state_is_missing(machine):
    """Each state that is named is there, and each that is there is named."""
    states = machine["States"]
    named = {machine["StartAt"]}
    for state in states.values():
        named |= {branch["Next"] for branch in [state, *state.get("Choices", []), *state.get("Catch", [])] if "Next" in branch}
        named |= {state["Default"]} if "Default" in state else set()
        if "ItemProcessor" in state:
            no_state_is_missing(state["ItemProcessor"])
    assert named == set(states), named ^ set(states)


def function_and_task_are_told_the_same():
    for given in ({}, {"SigningKeyArn": KEY, "Retention": "gfs", "BucketOwner": "444455556666", "ToleratedFailures": "5"}):
        stack = fleet(**given)
        function = stack.properties("FleetFunction")["Environment"]["Variables"]
        (container,) = stack.properties("FleetTask")["ContainerDefinitions"]
        task = {item["Name"]: item["Value"] for item in container["Environment"]}
        assert len(task) == len(container["Environment"]), "a variable stands twice"
        assert OF_THE_FUNCTION <= set(function)
        assert task == {name: value for name, value in function.items() if name not in OF_THE_FUNCTION}, given
        assert function["PGSEAL_EVENT_FIELDS"] == FIELDS
        assert function["PGSEAL_PLAN_LOCATION"] == "s3://<PlanBucket>/plans"
        assert function["S3_PREFIX"] == "backups/{host}"
        assert function["S3_BUCKET_OWNER"] == given.get("BucketOwner", cfn.ACCOUNT)
        # An empty pin is refused by the program.
        assert not any(value == "" for name, value in function.items() if name.startswith("PGSEAL_")), function
        # Lambda's limit for all variables is 4 KB.
        assert sum(len(name) + len(str(value)) for name, value in function.items()) < 4096 - 10 * 65


def each_class_has_its_own_lock():
    """As of template.yaml, with the days of the vault: else a yearly backup would have the bucket's lock, which is of days."""
    offered = ("RetentionTimezone", "DailyDays", "WeeklyDays", "MonthlyDays", "YearlyDays")
    declared, ours = cfn.load("template.yaml")["Parameters"], cfn.load(TEMPLATE)["Parameters"]
    for name in offered:
        assert {**declared[name], "Description": ""} == {**ours[name], "Description": ""}, name
    for name in ("LockMode", "Retention"):
        assert set(declared[name]["AllowedValues"]) == set(ours[name]["AllowedValues"]) and declared[name]["Default"] == ours[name]["Default"], name
    days = {"DailyDays": "7", "WeeklyDays": "28", "MonthlyDays": "180", "YearlyDays": "3660"}
    for retention, mode in itertools.product(ours["Retention"]["AllowedValues"], ours["LockMode"]["AllowedValues"]):
        given = {"Retention": retention, "LockMode": mode, "RetentionTimezone": "Europe/Berlin"} | days
        if mode == "COMPLIANCE" and not retention:
            assert "needs Retention" in cfn.refused(TEMPLATE, NEEDED | given)
            continue
        model = cfn.template(**given).properties("BackupFunction")["Environment"]["Variables"]
        told = fleet(**given).properties("FleetFunction")["Environment"]["Variables"]
        lock = json.loads(told.get("PGSEAL_EVENT_DEFAULTS", "{}"))
        assert lock == json.loads(model["PGSEAL_EVENT_DEFAULTS"]) and bool(lock) == bool(retention and mode != "NONE"), (given, lock)
        for name in ("RETENTION", "RETENTION_DAYS", "RETENTION_TIMEZONE"):
            assert told[name] == model[name], (given, name)
        role = statements(fleet(**given), "BackupPolicy")
        for action, is_needed in [("s3:PutObjectRetention", bool(lock)), ("s3:PutObjectTagging", bool(retention))]:
            assert allowed(request(action, "acme-backups", "backups/orders/x"), role, [], True) == is_needed, (given, action)


def asks(action, resource, **context):
    return {"action": action, "resource": resource, "context": {"aws:PrincipalAccount": cfn.ACCOUNT} | context}


def what_a_backup_may_do(function, task):
    """The function and the task alike."""
    bucket, stem = "acme-backups", "backups/orders/app_20261124T020000Z"
    login = "arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-ABC/"
    path = "arn:aws:ssm:eu-west-1:111122223333:parameter/pgseal/recipients"
    for expected, asked in [
        (True, asks("rds-db:connect", login + "backup")),
        (False, asks("rds-db:connect", login + "postgres")),
        (True, request("s3:PutObject", bucket, f"{stem}.manifest.jsonl", **IF_NONE_MATCH)),
        (True, request("s3:AbortMultipartUpload", bucket, f"{stem}.3f9a12bc.sql.bz2.enc")),
        (True, request("s3:GetObject", bucket, f"{stem}.manifest.jsonl")),
        (True, request("s3:ListBucket", bucket)),
        (False, request("s3:PutObject", bucket, "elsewhere/x")),
        (False, request("s3:PutObject", bucket, "backups-2/x")),
        (False, request("s3:PutObject", "acme-backups-2", f"{stem}.manifest.jsonl")),
        (False, request("s3:GetObject", bucket, f"{stem}.3f9a12bc.sql.bz2.enc")),
        (False, request("s3:GetObject", bucket, f"{stem}.key.0a1b2c3d.enc")),
        (False, request("s3:DeleteObject", bucket, f"{stem}.manifest.jsonl")),
        (False, request("s3:DeleteObjectVersion", bucket, f"{stem}.manifest.jsonl")),
        (False, request("s3:BypassGovernanceRetention", bucket, f"{stem}.manifest.jsonl")),
        (False, request("s3:PutBucketPolicy", bucket)),
        (True, request("s3:PutObjectTagging", bucket, f"{stem}.manifest.jsonl")),
        (True, request("s3:PutObjectRetention", bucket, f"{stem}.manifest.jsonl")),
        (False, request("s3:PutObjectRetention", bucket, "elsewhere/x")),
        (True, asks("ssm:GetParametersByPath", path)),
        (False, asks("ssm:GetParametersByPath", path + "2")),
        (False, asks("ssm:PutParameter", path + "/x")),
        (True, asks("kms:GenerateDataKey", KEY, **{"kms:ViaService": "s3.eu-west-1.amazonaws.com"})),
        (False, asks("kms:Decrypt", KEY)),
        (True, asks("kms:Sign", KEY.replace("0f1e", "aaaa"))),
        (False, asks("kms:Sign", KEY)),
        (False, asks("iam:PassRole", "<TaskRole.Arn>")),
        (False, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet:1")),
        (False, asks("lambda:InvokeFunction", "<FleetFunction.Arn>")),
        (False, asks("states:StartExecution", MACHINE)),
        (False, asks("events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default")),
    ]:
        for name, role in [("the function", function), ("the task", task)]:
            assert allowed(asked, role, [], True) == expected, (name, expected, asked)


def each_role():
    stack = fleet(Retention="gfs", KmsKeyArn=KEY, SigningKeyArn=KEY.replace("0f1e", "aaaa"), **EVENTS)
    for name in ("FunctionRole", "TaskRole"):
        assert stack.properties(name)["ManagedPolicyArns"] == ["<BackupPolicy>"], name
    function, task = statements(stack, "BackupPolicy", "FunctionRole"), statements(stack, "BackupPolicy", "TaskRole")
    what_a_backup_may_do(function, task)
    ours = {"lambda:SourceFunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:pgseal-FleetFunction-a1B2"}
    plan, log = "<PlanBucket.Arn>/plans/20261124T020000Z/1a2b3c4d/groups.jsonl", "<FunctionLogs.Arn>"
    token = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]
    interface = "arn:aws:ec2:eu-west-1:111122223333:network-interface/*"
    # Who of the two may.
    for of_function, of_task, asked in [
        (True, False, asks("rds:DescribeDBInstances", "arn:aws:rds:eu-west-1:111122223333:db:*")),
        (True, False, asks("rds:DescribeDBClusters", "arn:aws:rds:eu-west-1:111122223333:cluster:*")),
        (False, False, asks("rds:DeleteDBInstance", "arn:aws:rds:eu-west-1:111122223333:db:orders")),
        (False, False, asks("rds:AddTagsToResource", "arn:aws:rds:eu-west-1:111122223333:db:orders")),
        (True, False, asks("s3:PutObject", plan)),
        (True, False, asks("s3:GetObject", plan)),
        (True, False, asks("s3:ListBucket", "<PlanBucket.Arn>")),
        (False, False, asks("s3:DeleteObject", plan)),
        (False, False, asks("s3:PutObject", "<PlanBucket.Arn>/elsewhere")),
        (True, False, asks("logs:PutLogEvents", log)),
        (False, False, asks("logs:PutLogEvents", "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/other:*")),
        (True, False, asks("ec2:CreateNetworkInterface", interface)),
        (False, False, asks("ec2:CreateNetworkInterface", "*", **ours)),
        *[(False, True, asks(action, MACHINE)) for action in token],
        # The machine of a map that is in another.
        *[(False, True, asks(action, f"{MACHINE}/Databases")) for action in token],
        *[(False, False, asks(action, f"{MACHINE}-2")) for action in token],
        (False, False, asks("states:StopExecution", f"{EXECUTION}:1a2b")),
    ]:
        assert allowed(asked, function, [], True) == of_function, ("the function", asked)
        assert allowed(asked, task, [], True) == of_task, ("the task", asked)

    here, to_tasks = {"ecs:cluster": "<Cluster.Arn>"}, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    of_task = stack.properties("FleetTask")
    assert (of_task["TaskRoleArn"], of_task["ExecutionRoleArn"]) == ("<TaskRole.Arn>", "<TaskExecutionRole.Arn>")
    machine, starter = statements(stack, "StateMachineRole"), statements(stack, "ScheduleRole")
    tagged = "arn:aws:ecs:eu-west-1:111122223333:task/<Cluster>/0a1b"
    for expected, asked in [
        (True, asks("lambda:InvokeFunction", "<FleetFunction.Arn>")),
        (False, asks("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:111122223333:function:other")),
        (False, asks("lambda:UpdateFunctionCode", "<FleetFunction.Arn>")),
        # Whichever revision is the newest when a task begins: those before it are gone.
        *[(True, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet:{revision}", **here)) for revision in (1, 12)],
        (False, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet-2:1", **here)),
        (False, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet:1", **{"ecs:cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/other"})),
        (False, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet:1")),
        (False, asks("ecs:RunTask", f"{DEFINITIONS}other:1", **here)),
        (False, asks("ecs:RegisterTaskDefinition", "*")),
        (True, asks("ecs:TagResource", tagged, **{"ecs:CreateAction": "RunTask"})),
        (False, asks("ecs:TagResource", tagged)),
        (False, asks("ecs:TagResource", f"{DEFINITIONS}pgseal-fleet:1", **{"ecs:CreateAction": "RunTask"})),
        *[(True, asks("iam:PassRole", f"<{role}.Arn>", **to_tasks)) for role in ("TaskRole", "TaskExecutionRole")],
        *[(False, asks("iam:PassRole", f"<{role}.Arn>", **to_tasks)) for role in ("FunctionRole", "StateMachineRole", "ScheduleRole")],
        (False, asks("iam:PassRole", "arn:aws:iam::111122223333:role/admin", **to_tasks)),
        (False, asks("iam:PassRole", "<TaskRole.Arn>", **{"iam:PassedToService": "lambda.amazonaws.com"})),
        (False, asks("iam:PassRole", "<TaskRole.Arn>")),
        (True, asks("s3:GetObject", plan)),
        (False, asks("s3:PutObject", plan)),
        (False, request("s3:GetObject", "acme-backups", "backups/orders/app_20261124T020000Z.manifest.jsonl")),
        (True, asks("states:StartExecution", MACHINE)),
        (True, asks("states:StartExecution", f"{MACHINE}/Servers")),
        (False, asks("states:StartExecution", f"{MACHINE}-2")),
        (True, asks("states:DescribeExecution", f"{EXECUTION}:1a2b")),
        (True, asks("states:StopExecution", f"{EXECUTION}/Databases:1a2b")),
        (True, asks("states:RedriveExecution", f"{EXECUTION}/Servers:1a2b")),
        (False, asks("states:RedriveExecution", f"{EXECUTION}:1a2b")),
        (False, asks("states:StopExecution", f"{EXECUTION}-2:1a2b")),
        (False, asks("states:DeleteStateMachine", MACHINE)),
        (True, asks("events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default")),
        (False, asks("events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/other")),
        (True, asks("cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "pgseal"})),
        (False, asks("cloudwatch:PutMetricData", "*", **{"cloudwatch:namespace": "AWS/States"})),
        (False, asks("cloudwatch:PutMetricData", "*")),
        (False, asks("rds-db:connect", "arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-ABC/backup")),
    ]:
        assert allowed(asked, machine, [], True) == expected, ("the state machine", expected, asked)
    for expected, asked in [
        (True, asks("states:StartExecution", "<StateMachine>")),
        (False, asks("states:StartExecution", "arn:aws:states:eu-west-1:111122223333:stateMachine:other")),
        (True, asks("sqs:SendMessage", "<NotStarted.Arn>")),
        (False, asks("sqs:ReceiveMessage", "<NotStarted.Arn>")),
        (False, asks("ecs:RunTask", f"{DEFINITIONS}pgseal-fleet:1", **here)),
        (False, asks("iam:PassRole", "<TaskRole.Arn>", **to_tasks)),
    ]:
        assert allowed(asked, starter, [], True) == expected, ("who starts it", expected, asked)


def every_role():
    stack = fleet(PermissionsBoundaryArn=BOUNDARY, **EVENTS)
    roles = stack.of_type("AWS::IAM::Role")
    assert roles == {"FunctionRole", "TaskRole", "TaskExecutionRole", "StateMachineRole", "ScheduleRole"}, roles
    trusted = {}
    for name in sorted(roles):
        role = stack.properties(name)
        assert role.get("PermissionsBoundary") == BOUNDARY and "RoleName" not in role, name
        assert not any(":aws:policy/" in str(arn) for arn in role.get("ManagedPolicyArns", [])), f"{name}: AWS's own policy"
        trusted[name] = [statement["Principal"]["Service"].split(".")[0] for statement in role["AssumeRolePolicyDocument"]["Statement"]]
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = listed(statement["Action"])
                assert statement["Sid"] and not any("*" in action for action in actions), (name, actions)
                if statement["Resource"] == "*" and statement["Effect"] == "Allow":
                    # AWS knows no resource for these.
                    free = ("ec2:", "ecr:GetAuthorizationToken", "rds:DescribeDB", "cloudwatch:PutMetricData")
                    assert all(action.startswith(free) for action in actions), (name, actions)
    assert trusted == {
        "FunctionRole": ["lambda"], "TaskRole": ["ecs-tasks"], "TaskExecutionRole": ["ecs-tasks"], "StateMachineRole": ["states"],
        "ScheduleRole": ["scheduler", "events"],
    }, trusted
    plain = fleet()
    assert not any("PermissionsBoundary" in plain.properties(name) for name in roles)
    (trust,) = plain.properties("ScheduleRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}, "without a rule no rule takes the role"
    # What a rule could not start is let into the queue, by the queue itself, and that of no other rule.
    queue = statements(stack, "NotStartedPolicy")
    (event,) = [statement for statement in queue if statement["Effect"] == "Allow"]
    assert event["Condition"] == {"ArnEquals": {"aws:SourceArn": "<RdsEvents.Arn>"}}, event
    assert [statement["Sid"] for statement in statements(plain, "NotStartedPolicy")] == ["TlsOnly"]


def the_schedule_asks_for_what_is_meant():
    servers = ["{}", '{"tags": {"backup": "nightly"}}', '{"engine": ["postgres"], "instances": ["orders", "billing"], "reader": true}']
    databases = ['"*"', '"app"', '["app", "billing"]', '"Größe 2"']
    excluded = ["[]", '["scratch"]', '["scratch", "a b"]']
    for discover, database, exclude in itertools.product(servers, databases, excluded):
        stack = fleet(Discover=discover, Database=database, ExcludeDatabases=exclude, **EVENTS)
        target = stack.properties("FleetSchedule")["Target"]
        expected = {"database": json.loads(database), "exclude_databases": json.loads(exclude)}
        asked = {"scheduled_time": "<aws.scheduler.scheduled-time>", "discover": json.loads(discover)}
        assert json.loads(target["Input"]) == {"scheduled": asked | expected}, target["Input"]
        assert target["Arn"] == "<StateMachine>" and target["DeadLetterConfig"] == {"Arn": "<NotStarted.Arn>"}
        rule = stack.properties("RdsEvents")
        (to,) = rule["Targets"]
        words = to["InputTransformer"]["InputPathsMap"]
        assert words == {"time": "$.time", "server": "$.detail.SourceIdentifier"}
        text = to["InputTransformer"]["InputTemplate"].replace("<time>", "2026-11-24T02:00:00Z").replace("<server>", "orders")
        # Of those that are meant, and not by the name alone: a server that has not the tags is left out on purpose.
        one = {"scheduled_time": "2026-11-24T02:00:00Z", "discover": {"only": ["orders"]} | json.loads(discover)}
        assert json.loads(text) == one | expected, text
        assert to["DeadLetterConfig"] == {"Arn": "<NotStarted.Arn>"}
    for heard, kind, event in [
        (True, "RDS DB Instance Event", "RDS-EVENT-0043"),
        (True, "RDS DB Cluster Event", "RDS-EVENT-0019"),
        (False, "RDS DB Instance Event", "RDS-EVENT-0005"),
        (False, "RDS DB Snapshot Event", "RDS-EVENT-0043"),
    ]:
        sent = {"source": "aws.rds", "detail-type": kind, "detail": {"EventID": event, "SourceIdentifier": "orders"}}
        assert rules.matches(rule["EventPattern"], sent) == heard, sent
    assert "RdsEvents" not in fleet().made


def the_image_is_pulled_and_no_other():
    """Its repository alone, by whatever registry, tag or digest; as the module of Terraform."""
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    digest = "@sha256:" + "ab" * 32
    ecr, china = "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn"
    # By IPv6, too; in the European Sovereign Cloud; with FIPS.
    others = [
        "111122223333.dkr-ecr.eu-west-1.on.aws", "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
        "111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu", "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com",
        "111122223333.dkr-ecr-fips.us-east-1.on.aws",
    ]
    for image, name in [
        (f"{ecr}/pgseal:ecs", "pgseal"), (f"{ecr}/team/pgseal:ecs", "team/pgseal"), (f"{ecr}/a/b/pgseal{digest}", "a/b/pgseal"),
        (f"{ecr}/pgseal:ecs{digest}", "pgseal"), (f"{china}/team/pgseal:ecs", "team/pgseal"),
        *[(f"{host}/pgseal:ecs", "pgseal") for host in others], *[(f"{host}/a/b/pgseal{digest}", "a/b/pgseal") for host in others],
        ("ghcr.io/acme/pgseal:ecs", None), (f"registry.example:5000/pgseal{digest}", None),
    ]:
        for role in (
            statements(fleet(EcsImageUri=image), "TaskExecutionRole"),
            statements(cfn.template(EcsImageUri=image), "TaskExecutionRole"),
            statements(cfn.template(**cfn.DRILL | {"DrillImageUri": image}), "TaskExecutionRole"),
        ):
            for action, other in itertools.product(pull, ("pgseal", "team/pgseal", "a/b/pgseal", "web", "pgseal-2")):
                asked = asks(action, f"arn:aws:ecr:eu-west-1:111122223333:repository/{other}")
                assert allowed(asked, role, [], True) == (other == name), (image, other)
        assert cfn.refused(TEMPLATE, NEEDED | {"EcsImageUri": image}) is None, image
        for name, given in [("EcsImageUri", cfn.ECS), ("DrillImageUri", cfn.DRILL)]:
            assert cfn.refused("template.yaml", cfn.NEEDED | given | {name: image}) is None, image
    # The repository of another host would not be found, and no task could start.
    for host in ("111122223333.dkr.ecr.us-iso-east-1.c2s.ic.gov", "111122223333.dkr-ecr.eu-west-1.example"):
        for path, given, name in [
            (TEMPLATE, NEEDED, "EcsImageUri"), ("template.yaml", cfn.NEEDED | cfn.ECS, "EcsImageUri"),
            ("template.yaml", cfn.NEEDED | cfn.DRILL, "DrillImageUri"),
        ]:
            assert (cfn.refused(path, given | {name: f"{host}/on.aws/pgseal:ecs"}) or "").startswith(name), (path, host)


def tokens_go_to_servers_of_this_region():
    """As the module's: in China, too, where a server has one of two forms."""
    for region, suffix, host in [
        ("eu-west-1", "amazonaws.com", "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn", "orders.cxa1b2c3d4e5.cn-north-1.rds.amazonaws.com.cn"),
        ("cn-north-1", "amazonaws.com.cn", "orders.cxa1b2c3d4e5.rds.cn-north-1.amazonaws.com.cn"),
    ]:
        pseudo = cfn.PSEUDO | {"AWS::Region": region, "AWS::URLSuffix": suffix}
        before, cfn.PSEUDO = cfn.PSEUDO, pseudo
        try:
            hosts = fleet().properties("FleetFunction")["Environment"]["Variables"]["PGSEAL_ALLOWED_HOSTS"].split(",")
        finally:
            cfn.PSEUDO = before
        assert any(host.endswith(pattern.removeprefix("*")) for pattern in hosts), (host, hosts)
        assert not any("orders.cxa1b2c3d4e5.us-east-1.rds.amazonaws.com".endswith(pattern.removeprefix("*")) for pattern in hosts), hosts
    with open("deploy/terraform/modules/fleet/main.tf", encoding="utf-8") as file:
        module = file.read()
    assert '"*.${local.region}.rds.${local.dns_suffix},*.rds.${local.region}.${local.dns_suffix}"' in module


def each_parameter_counts():
    template = cfn.load(TEMPLATE)
    assert set(EFFECTS) | {"LockMode"} == set(template["Parameters"]), "a parameter without a second value here"

    def whole(stack):
        return json.dumps([stack.resources, stack.outputs], sort_keys=True, default=str)

    for name, value in EFFECTS.items():
        assert whole(fleet()) != whole(fleet(**{name: value})), f"{name} has no effect"
    # Of backups with a class alone.
    assert whole(fleet(Retention="gfs")) != whole(fleet(Retention="gfs", LockMode="COMPLIANCE"))
    assert whole(fleet()) == whole(fleet(LockMode="NONE"))
    for name, values in REFUSED.items():
        for value in values:
            told = cfn.refused(TEMPLATE, NEEDED | {name: value})
            assert told and told.startswith(name), (name, value, told)
    for each in [*template["Parameters"].values(), *template["Outputs"].values()]:
        assert each["Description"], each
    # Nothing dangles, whatever is on.
    switches = [EVENTS, {"AlarmTopicArn": TOPIC}, {"KmsKeyArn": KEY}, {"SigningKeyArn": KEY}, {"Retention": "gfs"}, {"LockMode": "NONE"}, {"ScheduleState": "DISABLED"}]
    for chosen in itertools.product((False, True), repeat=len(switches)):
        given = {key: value for on, switch in zip(chosen, switches) if on for key, value in switch.items()}
        assert "AWS::" not in whole(fleet(**given)).replace('"Type": "AWS::', ""), "a pseudo parameter that is not filled in"
    kept = {name for name, resource in template["Resources"].items() if resource.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == {"PlanBucket", "PlanBucketPolicy", "FunctionLogs", "TaskLogs"}, kept


def the_module_of_terraform_has_the_same():
    """Its own tests look at what stands in each statement; here: none is missing on either side, nor a variable."""

    def sids(value):
        if isinstance(value, dict):
            return ({value["Sid"]} if "Sid" in value else set()).union(*map(sids, value.values()))
        return set().union(*map(sids, value)) if isinstance(value, list) else set()

    def read(name):
        with open(f"deploy/terraform/modules/fleet/{name}.tf", encoding="utf-8") as file:
            return file.read()

    stack = fleet(Retention="gfs", KmsKeyArn=KEY, SigningKeyArn=KEY, **EVENTS)
    module = "".join(read(name) for name in ("main", "plans", "policies", "roles"))
    ours, theirs = sids(list(stack.resources.values())), set(re.findall(r'\bSid\s+= "(\w+)"', module))
    assert ours == theirs, ours ^ theirs
    variables = stack.properties("FleetFunction")["Environment"]["Variables"]
    missing = [name for name in variables if not re.search(rf"\b{name}\b", read("main"))]
    assert not missing, missing
    # A change makes the new revision before it takes the old one away: of no active one no run could start.
    for folder, count in [("modules/fleet/", 1), ("", 2)]:
        with open(f"deploy/terraform/{folder}main.tf", encoding="utf-8") as file:
            tasks = re.findall(r'^resource "aws_ecs_task_definition".*?^}', file.read(), re.MULTILINE | re.DOTALL)
        assert len(tasks) == count and all("create_before_destroy = true" in task for task in tasks), folder
    given = re.findall(r"^    (\w+) += ", read("main").split("templatefile(")[1].split("})")[0], re.MULTILINE)
    assert set(given) == set(stack.properties("StateMachine")["DefinitionSubstitutions"]), given


def a_network_without_nat_reaches_all_of_it():
    """Each service that the function and the task call has its row in the table of endpoints, of docs/DEPLOY.md."""
    with open("docs/DEPLOY.md", encoding="utf-8") as file:
        section = file.read().split("### Without the internet")[1].split("### Costs")[0]
    rows = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            names, _, function, task, _ = (cell.strip() for cell in line.strip("|").split("|"))
            rows |= {name.split(".")[0]: (function, task) for name in re.findall(r"`([a-z0-9.]+)`", names)}
    stack = fleet(Retention="gfs", KmsKeyArn=KEY, SigningKeyArn=KEY)
    # The database's own port; and what Lambda does for the function, not by its network.
    elsewhere = {"rds-db": 2, "ec2": 1, "logs": 1}
    for at, roles in enumerate([("BackupPolicy", "FunctionRole"), ("BackupPolicy", "TaskRole", "TaskExecutionRole")]):
        granted = [statement for statement in statements(stack, *roles) if statement["Effect"] == "Allow"]
        for service in sorted({action.split(":")[0] for statement in granted for action in listed(statement["Action"])}):
            if service not in elsewhere or elsewhere[service] == 1 and at == 1:
                assert rows.get(service, ("", ""))[at], (service, roles)
                # Of what every fleet has, not only where a parameter is given.
                if service in ("rds", "ssm", "states"):
                    assert "fleet" in rows[service][at] or rows[service][at] == "the same", (service, rows[service])
    assert "`AssignPublicIp` alone is not enough" in section
    with open("docs/FLEETS.md", encoding="utf-8") as file:
        assert "vCPU" in file.read().split("quotas that matter")[1], "a new account runs fewer tasks than there are servers at once"


def other_authorities_are_in_the_image():
    """Of GovCloud and China: what docs/DEPLOY.md builds says where they are, and nothing here says otherwise."""
    with open("docs/DEPLOY.md", encoding="utf-8") as file:
        section = file.read().split("### GovCloud and China\n")[1].split("\n### ")[0]
    copied = re.search(r"^COPY --chmod=0644 \S+ (\S+)$", section, re.MULTILINE).group(1)
    name, path = re.search(r"^ENV (\w+)=(\S+)$", section, re.MULTILINE).groups()
    assert path == copied and not path.startswith(("/proc", "/dev", "/sys", "/etc/pgseal")), path
    with open("src/variables.rs", encoding="utf-8") as file:
        assert f'("{name}", Setting)' in file.read(), name
    assert "`--build-arg IMAGE=pgseal:ecs`" in section and "ARG IMAGE=pgseal\n" in section, "one image of the two"
    modules = pathlib.Path("deploy/terraform")
    for file in [pathlib.Path("template.yaml"), *pathlib.Path("deploy").glob("*.yaml"), *modules.glob("*.tf"), *modules.glob("modules/*/*.tf")]:
        assert name not in file.read_text(encoding="utf-8"), f"{file} goes before what the image says"
    for file in ("docs/FLEETS.md", "deploy/terraform/modules/fleet/README.md"):
        assert "DEPLOY.md#govcloud-and-china" in pathlib.Path(file).read_text(encoding="utf-8"), file


def it_fits_into_a_call():
    """Of CloudFormation, which takes 51,200 bytes; a longer one needs a bucket, and docs/DEPLOY.md would have to say so."""
    with open(TEMPLATE, "rb") as file:
        assert len(file.read()) <= 51200


def alarms():
    stack = fleet(AlarmTopicArn=TOPIC)
    assert stack.of_type("AWS::CloudWatch::Alarm") == ALARMS
    assert fleet(ScheduleState="DISABLED").of_type("AWS::CloudWatch::Alarm") == ALARMS - {"NoRunAlarm"}, "nothing is overdue"
    watched = {"FailedRunAlarm": "ExecutionsFailed", "NoRunAlarm": "ScheduledRuns", "NotStartedAlarm": "ApproximateNumberOfMessagesVisible"}
    for name, metric in watched.items():
        alarm = stack.properties(name)
        assert alarm["MetricName"] == metric and alarm["Threshold"] == 1 and alarm["AlarmActions"] == [TOPIC], name
        assert fleet().properties(name)["AlarmActions"] == [], name
        is_missing = name == "NoRunAlarm"
        comparison = "LessThanThreshold" if is_missing else "GreaterThanOrEqualToThreshold"
        assert alarm["ComparisonOperator"] == comparison, name
        assert alarm["TreatMissingData"] == ("breaching" if is_missing else "notBreaching"), name
        hours = alarm["Period"] * int(alarm["EvaluationPeriods"]) / 3600
        assert hours == (36 if is_missing else 1 / 12), name
    # All that CloudWatch looks back to, and as many hours without a run as there are.
    for hours in ("1", "168"):
        alarm = fleet(MaxAgeHours=hours).properties("NoRunAlarm")
        assert str(alarm["EvaluationPeriods"]) == str(alarm["DatapointsToAlarm"]) == hours and f" {hours} hours" in alarm["AlarmDescription"]
    # The reference names each metric of the namespace; those of the program itself have a table.
    with open("docs/REFERENCE.md", encoding="utf-8") as file:
        metrics = file.read().split("<!-- test: metrics -->")[1].split("\n## ")[0]
    told = {alarm["MetricName"]: alarm["Dimensions"] for alarm in map(stack.properties, watched) if alarm["Namespace"] == "pgseal"}
    for metric, dimensions in told.items():
        assert all(f"`{word}`" in metrics for word in [metric, *(item["Name"] for item in dimensions)]), metric
    with open("docs/FLEETS.md", encoding="utf-8") as file:
        assert "two events of RDS of the\n  same second" in file.read(), "runs of one second are judged together"
    with open("docs/RUNBOOK.md", encoding="utf-8") as file:
        runbook = file.read()
    section = runbook[runbook.index("Fleet\n") : runbook.index("## Make a backup now")]
    told = ALARMS | {"StateMachineArn", "FunctionLogGroup", "TaskLogGroup", "NotStartedUrl"}
    assert all(f"`{name}`" in section for name in told), [name for name in told if f"`{name}`" not in section]
    assert told - ALARMS <= set(stack.outputs), told - ALARMS - set(stack.outputs)


the_definition_is_that_of_the_file()
function_and_task_are_told_the_same()
each_class_has_its_own_lock()
each_role()
every_role()
the_schedule_asks_for_what_is_meant()
the_image_is_pulled_and_no_other()
tokens_go_to_servers_of_this_region()
each_parameter_counts()
the_module_of_terraform_has_the_same()
a_network_without_nat_reaches_all_of_it()
other_authorities_are_in_the_image()
it_fits_into_a_call()
alarms()
print("fleet: ok")
