"""What template.yaml and deploy/vault.yaml make of their parameters: which resources, with which settings, and what is refused."""

import itertools
import json

import cfn

ALWAYS = {
    "BackupPolicy", "ReaderPolicy", "BackupSecurityGroup", "FunctionRole", "BackupFunction", "FunctionScheduleRole",
    "FunctionResults", "FunctionLogs", "FailedBackups", "ErrorAlarm", "QueueAlarm",
}
BUCKET = {"BackupBucket", "BackupBucketPolicy"}
# Without any schedule nothing is overdue.
OFF = {"ScheduleState": "DISABLED"}
TASKS = {"TaskExecutionRole", "TaskLogs", "FailedTask", "FailedTaskToQueue"}
ECS = TASKS | {"TaskRole", "BackupTask"}
DRILL = TASKS | {"DrillRole", "DrillTask", "DrillSecurityGroup", "DrillAlarm"}
TOPIC = {"AlarmTopic", "AlarmTopicKey", "AlarmTopicPolicy"}
NIGHTLY, CLUSTER = {"EcsSchedule": "cron(0 2 * * ? *)"}, "arn:aws:ecs:eu-west-1:111122223333:cluster/apps"
TOPIC_ARN = "arn:aws:sns:eu-west-1:111122223333:alarms"
KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
POLICY_ARN = "arn:aws:iam::111122223333:policy/own"
GROUP = {"DatabaseCidr": "", "DatabaseSecurityGroupId": "sg-0a1b2c3d"}
SCHEDULED_DRILL = cfn.DRILL | {"DrillSchedule": "rate(2 days)"}
# Parameters, and what is made of them beside what always is.
SETS = [
    ({}, BUCKET),
    ({"ExistingBucketName": "acme-vault", "ExistingBucketOwner": "444455556666"}, set()),
    (GROUP, BUCKET | {"DatabaseIngress"}),
    (cfn.ECS, BUCKET | ECS),
    (cfn.ECS | NIGHTLY, BUCKET | ECS | {"Cluster", "TaskSchedule", "TaskScheduleRole"}),
    (cfn.ECS | NIGHTLY | {"EcsClusterArn": CLUSTER}, BUCKET | ECS | {"TaskSchedule", "TaskScheduleRole"}),
    (cfn.DRILL, BUCKET | DRILL),
    (SCHEDULED_DRILL, BUCKET | DRILL | {"Cluster", "ScheduledDrill", "DrillScheduleRole", "NoDrillAlarm"}),
    (
        SCHEDULED_DRILL | {"DrillMaxAgeHours": "0", "EcsClusterArn": CLUSTER},
        BUCKET | DRILL | {"ScheduledDrill", "DrillScheduleRole"},
    ),
    ({"AlarmEmail": "ops@example.com"}, BUCKET | TOPIC),
    ({"AlarmTopicArn": TOPIC_ARN}, BUCKET),
    ({"SizeBandWidth": "2.5"}, BUCKET | {"SizeAlarm"}),
    ({"SuccessEvents": "true"}, BUCKET | {"FailedFunction", "FailedTaskToQueue"}),
    ({"Dashboard": "true"}, BUCKET | {"Overview"}),
    (OFF, BUCKET),
    (OFF | cfn.ECS, BUCKET | ECS),
    (OFF | cfn.ECS | NIGHTLY, BUCKET | ECS | {"Cluster", "TaskSchedule", "TaskScheduleRole"}),
]
REFUSED = [
    ({"DatabaseCidr": ""}, "DatabaseIsReachedOneWay"),
    (GROUP | {"DatabaseCidr": "10.0.0.0/8"}, "DatabaseIsReachedOneWay"),
    ({"PublicKey": ""}, "BackupsHaveRecipients"),
    ({"RecipientsPath": "/r", "AllowedFingerprints": "ab" * 32}, "BackupsHaveRecipients"),
    ({"PublicKey": "", "RecipientsPath": "/r"}, "BackupsHaveRecipients"),
    ({"BucketName": "acme-one", "ExistingBucketName": "acme-two"}, "BucketIsNewOrThere"),
    ({"ExistingBucketOwner": "444455556666"}, "BucketIsNewOrThere"),
    ({"ExistingBucketName": "acme-vault", "LockMode": "COMPLIANCE"}, "LocksAreAskedFor"),
    ({"AlarmEmail": "ops@example.com", "AlarmTopicArn": TOPIC_ARN}, "AlarmsHaveOneTopic"),
    (NIGHTLY, "TasksHaveImages"),
    ({"DrillSchedule": "rate(2 days)"}, "TasksHaveImages"),
    ({"DrillImageUri": "pgseal:drill"}, "TasksHaveImages"),
    (cfn.DRILL | {"DatabaseName": "*"}, "TasksHaveImages"),
    ({"DatabaseUser": "*"}, "DatabaseUser"),
    ({"DatabaseHost": "10.0.0.5"}, "DatabaseHost"),
    ({"DatabaseHost": "*.rds.amazonaws.com"}, "DatabaseHost"),
    ({"EventFields": "action"}, "EventFields"),
    ({"EventDefaults": "globals"}, "EventDefaults"),
    ({"EventDefaults": "{}"}, "EventDefaults"),
    ({"EventDefaults": '{"a":"|{"}'}, "EventDefaults"),
    ({"RateLimit": "10MB"}, "RateLimit"),
    ({"Compression": "gzip"}, "Compression"),
    ({"Compression": "zstd:20"}, "Compression"),
    ({"MaxAgeHours": "169"}, "MaxAgeHours"),
    ({"DailyDays": "15"}, "DailyDays"),
    ({"EcsSize": "0.5vCPU-8GB"}, "EcsSize"),
]
# A second value for each parameter, over what it needs to count: no parameter is without effect.
EFFECTS = {
    "DatabaseHost": ({}, "billing.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"), "DatabasePort": ({}, "5433"),
    "DatabaseName": ({}, "billing"), "DatabaseUser": ({}, "dumper"), "DatabaseResourceId": ({}, "cluster-X1"),
    "VpcId": ({}, "vpc-1"), "SubnetIds": ({}, "subnet-1"), "DatabaseCidr": ({}, "10.1.0.0/16"),
    "DatabaseSecurityGroupId": (GROUP, "sg-1"), "PublicKey": ({}, cfn.PUBLIC_KEY + "\\n"),
    "RecipientsPath": ({"PublicKey": "", "RecipientsPath": "/r", "AllowedFingerprints": "ab" * 32}, "/s"),
    "AllowedFingerprints": ({}, "cd" * 32), "SigningKeyArn": ({}, KEY_ARN), "BucketName": ({}, "acme-backups"),
    "ExistingBucketName": ({}, "acme-vault"),
    "ExistingBucketOwner": ({"ExistingBucketName": "acme-vault"}, "444455556666"), "Prefix": ({}, "b"),
    "KmsKeyArn": ({}, KEY_ARN), "LockMode": ({}, "COMPLIANCE"), "LockDays": ({}, "7"), "ExpirationDays": ({}, "60"),
    "Retention": ({}, "gfs"), "RetentionTimezone": ({}, "Europe/Berlin"), "DailyDays": ({}, "7"), "WeeklyDays": ({}, "28"),
    "MonthlyDays": ({}, "180"), "YearlyDays": ({}, "1100"), "RateLimit": ({}, "0"), "Compression": ({}, "zstd"),
    "EventDefaults": ({}, '{"globals":true}'), "EventFields": ({}, "scheduled_time"), "Schedule": ({}, "rate(1 day)"),
    "ScheduleTimezone": ({}, "Europe/Berlin"), "ScheduleState": ({}, "DISABLED"), "MemorySize": ({}, "3008"),
    "Timeout": ({}, "300"), "Retries": ({}, "0"), "Architecture": ({}, "arm64"), "LogRetentionDays": ({}, "365"),
    "AlarmTopicArn": ({}, TOPIC_ARN), "AlarmEmail": ({}, "ops@example.com"), "MaxAgeHours": ({}, "50"),
    "SizeBandWidth": ({}, "3"), "SuccessEvents": ({}, "true"), "Dashboard": ({}, "true"),
    "EcsImageUri": ({}, "x/pgseal:ecs"), "EcsSize": (cfn.ECS, "4vCPU-8GB"), "EcsSchedule": (cfn.ECS, "rate(1 day)"),
    "EcsClusterArn": (cfn.ECS | NIGHTLY, CLUSTER), "AssignPublicIp": (cfn.ECS | NIGHTLY, "ENABLED"),
    "DrillImageUri": (cfn.DRILL, "x/pgseal:drill"),
    "DrillKeySecretArn": (cfn.DRILL, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:other-AbCdEf"),
    "DrillSchedule": (cfn.DRILL, "rate(2 days)"), "DrillMaxAgeHours": (SCHEDULED_DRILL, "100"),
    "DrillSize": (cfn.DRILL, "2vCPU-4GB"), "DrillStorage": (cfn.DRILL, "100"),
    "DrillLocation": (cfn.DRILL, "s3://acme/backups/x"), "ReportPrefix": (cfn.DRILL, "reports"),
    "PermissionsBoundaryArn": ({}, POLICY_ARN), "ExtraPolicyArn": ({}, POLICY_ARN),
}
# GiB by CPU units: the developer guide's table of task sizes on Fargate.
FARGATE = {
    512: range(1, 5), 1024: range(2, 9), 2048: range(4, 17), 4096: range(8, 31), 8192: range(16, 61, 4), 16384: range(32, 121, 8)
}
NAMES = {
    "AWS::S3::Bucket": "BucketName", "AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::Serverless::Function": "FunctionName", "AWS::SQS::Queue": "QueueName", "AWS::SNS::Topic": "TopicName",
    "AWS::Logs::LogGroup": "LogGroupName", "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName", "AWS::Events::Rule": "Name", "AWS::Scheduler::Schedule": "Name",
    "AWS::ECS::TaskDefinition": "Family", "AWS::ECS::Cluster": "ClusterName", "AWS::EC2::SecurityGroup": "GroupName",
}
NAMELESS = {
    "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::KMS::Key",
    "AWS::EC2::SecurityGroupIngress", "AWS::Lambda::EventInvokeConfig",
}


def whole(stack):
    return json.dumps([stack.resources, stack.outputs], sort_keys=True, default=str)


def what_is_made():
    for given, more in SETS:
        made = cfn.template(**given).made
        watched = set() if given.items() >= OFF.items() and "EcsSchedule" not in given else {"NoBackupAlarm"}
        expected = ALWAYS | watched | more
        assert made == expected, (given, made ^ expected)
    assert set().union(*(cfn.template(**given).made for given, _ in SETS)) == set(cfn.load("template.yaml")["Resources"])


def nothing_dangles():
    """Every combination of what turns resources on: a reference to one that is not made fails where it is resolved."""
    switches = [
        {"ExistingBucketName": "acme-vault"}, GROUP, {"KmsKeyArn": KEY_ARN}, {"Retention": "gfs"}, {"LockMode": "NONE"},
        {"AlarmEmail": "a@b"}, {"SuccessEvents": "true"}, cfn.ECS | NIGHTLY, SCHEDULED_DRILL, {"EcsClusterArn": CLUSTER},
    ]
    for number, chosen in enumerate(itertools.product((False, True), repeat=len(switches))):
        given = {key: value for on, switch in zip(chosen, switches) if on for key, value in switch.items()}
        texts = whole(cfn.template(**given))
        assert "AWS::" not in texts.replace('"Type": "AWS::', ""), "a pseudo parameter that is not filled in"
    return number + 1


def what_is_refused():
    for given, reason in REFUSED:
        told = cfn.refused("template.yaml", cfn.NEEDED | given)
        assert told and told.startswith(reason), (given, told)
    for given in ({}, {"WriterAccounts": "111122223333", "OrganizationId": "o-a1b2c3d4e5"}):
        assert cfn.refused("deploy/vault.yaml", given).startswith("SomebodyWrites"), given


def what_is_taken():
    """Beside what is refused: near it."""
    for given in [
        {"ExistingBucketName": "acme-vault", "LockMode": "COMPLIANCE", "Retention": "gfs"},
        {"ExistingBucketName": "acme-vault", "LockMode": "NONE"},
        {"ExistingBucketName": "acme-vault"},
        {"LockMode": "COMPLIANCE"},
    ]:
        assert cfn.refused("template.yaml", cfn.NEEDED | given) is None, given


def each_parameter_counts():
    assert set(EFFECTS) == set(cfn.load("template.yaml")["Parameters"]), "a parameter without a second value here"
    for name, (needed, value) in EFFECTS.items():
        before, after = cfn.template(**needed), cfn.template(**needed | {name: value})
        assert whole(before) != whole(after), f"{name} has no effect"
    # The days of locks and expirations count where they say, and nowhere else.
    gfs = {"Retention": "gfs"}
    for name in ("LockDays", "ExpirationDays"):
        _, value = EFFECTS[name]
        assert whole(cfn.template(**gfs)) == whole(cfn.template(**gfs | {name: value})), f"{name} counts with classes"


def sizes_are_of_fargate():
    template = cfn.load("template.yaml")
    offered = template["Parameters"]["EcsSize"]["AllowedValues"]
    assert offered == template["Parameters"]["DrillSize"]["AllowedValues"] == list(template["Mappings"]["Sizes"])
    for size in offered:
        row = template["Mappings"]["Sizes"][size]
        cpu, memory = int(row["Cpu"]), int(row["Memory"])
        assert memory % 1024 == 0 and memory // 1024 in FARGATE[cpu], size
        assert size == f"{cpu / 1024:g}vCPU-{memory // 1024}GB", size
    task = cfn.template(**cfn.ECS, EcsSize="8vCPU-16GB", Architecture="arm64").properties("BackupTask")
    assert (task["Cpu"], task["Memory"], task["RuntimePlatform"]["CpuArchitecture"]) == ("8192", "16384", "ARM64")


def no_name_is_fixed():
    template = cfn.load("template.yaml")
    for name, resource in (template["Resources"] | cfn.load("deploy/vault.yaml")["Resources"]).items():
        kind = resource["Type"]
        assert kind in NAMES or kind in NAMELESS, f"{kind}: is its name fixed?"
        given = resource["Properties"].get(NAMES.get(kind))
        of_stack = kind == "AWS::ECS::TaskDefinition" and given["Fn::Sub"].startswith("${AWS::StackName}-")
        chosen = {"Fn::If": ["NamesBucket", {"Ref": "BucketName"}, {"Ref": "AWS::NoValue"}]}
        assert given is None or given == chosen or of_stack, name
    (event,) = template["Resources"]["BackupFunction"]["Properties"]["Events"].values()
    assert event["Type"] == "ScheduleV2" and event["Properties"]["OmitName"] is True, "SAM would name it alike in every stack"


def what_stays():
    """When the stack goes; but what a failed first creation made goes with it, or the next try finds its names taken."""
    of_template = {"BackupBucket", "BackupBucketPolicy", "FunctionLogs", "TaskLogs"}
    for path, names in [("template.yaml", of_template), ("deploy/vault.yaml", {"VaultKey", "Vault", "VaultPolicy"})]:
        resources = cfn.load(path)["Resources"]
        kept = {name for name, resource in resources.items() if resource.get("DeletionPolicy", "Delete") != "Delete"}
        assert kept == names, kept ^ names
        for name in kept:
            policies = resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]
            assert policies == ("RetainExceptOnCreate", "Retain"), (name, policies)


def function_and_task_are_told_the_same():
    extra = {"SigningKeyArn": KEY_ARN, "AllowedFingerprints": "ab" * 32, "EventDefaults": '{ "globals": true }'}
    for given in ({}, extra, extra | {"Retention": "gfs"}, {"Retention": "daily", "LockMode": "NONE"}):
        stack = cfn.template(**cfn.ECS | given)
        function = stack.properties("BackupFunction")["Environment"]["Variables"]
        (container,) = stack.properties("BackupTask")["ContainerDefinitions"]
        assert function == {item["Name"]: item["Value"] for item in container["Environment"]}, given
        defaults = json.loads(function["PGSEAL_EVENT_DEFAULTS"])
        by_class = bool(given.get("Retention")) and given.get("LockMode") != "NONE"
        expected = {"object_lock": {"mode": "GOVERNANCE"}} if by_class else {}
        assert defaults == expected | ({"globals": True} if "EventDefaults" in given else {}), given
        # An empty pin is refused by the program.
        assert not any(value == "" for name, value in function.items() if name.startswith("PGSEAL_")), function
    nested = '{"tags": {"a": "{b}"}, "tables": ["x|y"]}'
    stack = cfn.template(Retention="gfs", EventDefaults=nested)
    defaults = json.loads(stack.properties("BackupFunction")["Environment"]["Variables"]["PGSEAL_EVENT_DEFAULTS"])
    assert defaults == {"object_lock": {"mode": "GOVERNANCE"}} | json.loads(nested)
    # Lambda's limit for all variables is 4 KB: three keys of 4,096 bits (736 characters and JSON's quotes) fit beside the rest,
    # five never do, and who gives keys is told what is for more.
    function = cfn.template(**extra).properties("BackupFunction")["Environment"]["Variables"]
    assert sum(len(name) + len(str(value)) for name, value in function.items()) < 4096 - 2 * 740
    least = cfn.template().properties("BackupFunction")["Environment"]["Variables"]
    assert sum(len(name) + len(str(value)) for name, value in least.items()) - len(cfn.PUBLIC_KEY) + 5 * 740 > 4096
    told = cfn.load("template.yaml")["Parameters"]["PublicKey"]["Description"]
    assert "three keys of 4,096 bits" in told and "RecipientsPath" in told, told


def schedules_and_network():
    for given, state in [({}, "ENABLED"), ({"ScheduleState": "DISABLED"}, "DISABLED"), (cfn.ECS | NIGHTLY, "DISABLED")]:
        event = cfn.template(**given).properties("BackupFunction")["Events"]["Nightly"]["Properties"]
        assert event["State"] == state, given
        assert json.loads(event["Input"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
    stack = cfn.template(**cfn.ECS | NIGHTLY | SCHEDULED_DRILL | {"AssignPublicIp": "ENABLED"})
    (override,) = json.loads(stack.properties("TaskSchedule")["Target"]["Input"])["containerOverrides"]
    assert override["name"] == stack.properties("BackupTask")["ContainerDefinitions"][0]["Name"]
    (variable,) = override["environment"]
    assert variable["name"] == "BACKUP_EVENT"
    assert json.loads(variable["value"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
    for schedule, group in [("TaskSchedule", "BackupSecurityGroup"), ("ScheduledDrill", "DrillSecurityGroup")]:
        network = stack.properties(schedule)["Target"]["EcsParameters"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "ENABLED" and network["SecurityGroups"] == [f"<{group}.GroupId>"]
    assert len(stack.properties("DrillSecurityGroup")["SecurityGroupEgress"]) == 1, "a drill does not reach the database"
    # No group lets out DNS: that of AWS needs no rule, and other servers cannot be reached, as the subnets' parameter says.
    for group in ("BackupSecurityGroup", "DrillSecurityGroup"):
        ports = {rule["FromPort"] for rule in stack.properties(group)["SecurityGroupEgress"]}
        assert ports <= {"5432", 443}, (group, ports)
    assert "DNS" in cfn.load("template.yaml")["Parameters"]["SubnetIds"]["Description"]

    inside, outside = cfn.template(**GROUP), cfn.template()
    database = inside.properties("BackupSecurityGroup")["SecurityGroupEgress"][0]
    assert database["DestinationSecurityGroupId"] == "sg-0a1b2c3d" and "CidrIp" not in database
    assert inside.properties("DatabaseIngress") == {
        "Description": "Backups by pgseal", "GroupId": "sg-0a1b2c3d", "IpProtocol": "tcp", "FromPort": "5432", "ToPort": "5432",
        "SourceSecurityGroupId": "<BackupSecurityGroup.GroupId>",
    }
    database = outside.properties("BackupSecurityGroup")["SecurityGroupEgress"][0]
    assert database["CidrIp"] == "10.0.0.0/16" and "DestinationSecurityGroupId" not in database


def what_the_runbook_asks_for_is_told():
    full = cfn.template(**cfn.ECS | NIGHTLY | SCHEDULED_DRILL).outputs
    told = {
        "FunctionScheduleName": "<BackupFunctionNightly>", "EcsScheduleName": "<TaskSchedule>",
        "DrillScheduleName": "<ScheduledDrill>", "FunctionLogGroup": "<FunctionLogs>", "TaskLogGroup": "<TaskLogs>",
        "FailedBackupsUrl": "<FailedBackups>", "FunctionName": "<BackupFunction>",
    }
    assert {name: full.get(name) for name in told} == told
    assert set(told) & set(cfn.template().outputs) == {
        "FunctionScheduleName", "FunctionLogGroup", "FailedBackupsUrl", "FunctionName"
    }
    with open("docs/RUNBOOK.md", encoding="utf-8") as file:
        runbook = file.read()
    assert all(f"`{name}`" in runbook for name in told), [name for name in told if f"`{name}`" not in runbook]
    # describe-tasks forgets a task after an hour: what the queue keeps for two weeks comes first.
    section = runbook[runbook.index("## A task failed") : runbook.index("## No complete backup")]
    assert 0 < section.index("receive-message") < section.index("describe-tasks")
    assert section.index("stoppedReason") < section.index("describe-tasks")


def each_parameter_is_told_of():
    template = cfn.load("template.yaml")
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"]), "in the console's groups, each once"
    for parameter in (template["Parameters"] | cfn.load("deploy/vault.yaml")["Parameters"]).values():
        assert parameter["Description"], parameter
    assert all("Description" in output for output in template["Outputs"].values())


what_is_made()
combinations = nothing_dangles()
what_is_refused()
what_is_taken()
each_parameter_counts()
sizes_are_of_fargate()
no_name_is_fixed()
what_stays()
function_and_task_are_told_the_same()
schedules_and_network()
what_the_runbook_asks_for_is_told()
each_parameter_is_told_of()
print(f"conditions: ok, {len(SETS)} sets, {combinations} combinations, {len(REFUSED)} refused")
