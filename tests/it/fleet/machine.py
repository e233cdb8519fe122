"""Runs deploy/fleet.asl.json in an emulator of Step Functions (ministack), with the real function and the real image.

What the emulator does not do, and what is done in its stead:
- It does not enforce HeartbeatSeconds: when the heartbeats of a killed task have stopped, this program answers in the engine's
  place, with States.HeartbeatTimeout and the task's own token.
- It has no RedriveExecution: a second execution for the same time stands for it, and finds what is done.
- It knows no MaxConcurrencyPath: there all items run at once.
- Its ECS runs a task in a container of this machine's network.
"""

import json
import subprocess
import sys
import time

import roles
from emulator import Emulator, until
from recorder import Recorder

ORDER = json.loads(sys.argv[1])
EMULATOR = Emulator(ORDER)
VARIABLES = dict(ORDER["variables"])
TIME = "2026-11-24T02:00:00Z"
STAMP = "20261124T020000Z"


def docker(*arguments):
    done = subprocess.run(
        ["/usr/bin/docker", *arguments], env={"DOCKER_HOST": ORDER["docker"], "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def containers():
    return docker("ps", "--quiet", "--filter", "name=ministack-ecs-").split()


def environment_of(container):
    pairs = json.loads(docker("inspect", "--format", "{{ json .Config.Env }}", container))
    return dict(pair.split("=", 1) for pair in pairs)


def recorded():
    """The variables of one of the two who work, and recorders of what it asks, by service."""
    endpoints = {name: url for name, url in VARIABLES.items() if name.startswith("AWS_ENDPOINT_URL")}
    recorders = {name: Recorder(url) for name, url in ({"AWS_ENDPOINT_URL_SFN": ORDER["endpoint"]} | endpoints).items()}
    return VARIABLES | {name: recorder.endpoint for name, recorder in recorders.items()}, recorders


def main():
    of_function, by_function = recorded()
    of_task, by_task = recorded()
    states, ecs, events, sqs, metrics = (EMULATOR.client(name) for name in ("stepfunctions", "ecs", "events", "sqs", "cloudwatch"))
    function = EMULATOR.function(of_function, tolerated="40", seconds=20)
    ecs.create_cluster(clusterName="fleet")
    ecs.register_task_definition(
        family="fleet", networkMode="host", requiresCompatibilities=["EC2"], cpu="1024", memory="2048",
        containerDefinitions=[{
            "name": "pgseal", "image": ORDER["image"], "essential": True, "user": "10001:10001", "readonlyRootFilesystem": True,
            # The image's own clients, and not this machine's.
            "environment": [{"name": name, "value": value} for name, value in of_task.items() if name != "PGSEAL_PG_BIN"],
        }],
    )
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="fleet", EventPattern=json.dumps({"source": ["pgseal.fleet"]}))
    events.put_targets(Rule="fleet", Targets=[{"Id": "queue", "Arn": queue_arn}])
    machine = EMULATOR.machine(function)

    def said_of_tasks():
        told = by_task["AWS_ENDPOINT_URL_SFN"].told
        return [(action, json.loads(body)) for action, body in list(told)]

    order = json.dumps({"discover": {"tags": {"backup": "nightly"}}, "database": "*", "exclude_databases": ["postgres"], "scheduled_time": TIME})

    # As the schedule does.
    first = states.start_execution(stateMachineArn=machine, input=json.dumps({"scheduled": json.loads(order)}))["executionArn"]
    # The function sees that it has not the time for `large`, and the task takes over.
    victim = until("a task", lambda: containers() and containers()[0])
    token = environment_of(victim)["PGSEAL_TASK_TOKEN"]
    event = json.loads(environment_of(victim)["BACKUP_EVENT"])
    assert event["database"] == "large" and event["scheduled_time"] == TIME, event
    until("its first heartbeat", lambda: any(action == "SendTaskHeartbeat" and said["taskToken"] == token for action, said in said_of_tasks()))
    docker("kill", "--signal", "KILL", victim)
    until("its end", lambda: victim not in docker("ps", "--quiet").split())
    of_victim = [action for action, said in said_of_tasks() if said["taskToken"] == token]
    assert set(of_victim) == {"SendTaskHeartbeat"}, of_victim
    assert states.describe_execution(executionArn=first)["status"] == "RUNNING"
    # What Step Functions itself does after HeartbeatSeconds.
    states.send_task_failure(taskToken=token, error="States.HeartbeatTimeout", cause="in the engine's place")
    status, summary, told = EMULATOR.ended(first)
    assert status == "SUCCEEDED", told
    assert (summary["databases"], summary["failed"]) == (5, 2), summary
    named = sorted((failure["group"], failure.get("database")) for failure in summary["failures"])
    assert named == [("asleep", None), ("orders", "locked")], summary

    found, manifests = EMULATOR.manifests()
    assert [key.rsplit("/", 1)[1].split(f"_{STAMP}")[0] for key in manifests] == ["app", "large", "ledger"], manifests
    tasks = [action for action, _ in said_of_tasks() if action != "SendTaskHeartbeat"]
    assert tasks == ["SendTaskSuccess"], tasks
    outcome = [json.loads(said["output"]) for action, said in said_of_tasks() if action == "SendTaskSuccess"]
    assert outcome[0]["status"] == "complete" and outcome[0]["backups"][0]["database"] == "large", outcome

    told = [json.loads(message["Body"]) for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", [])]
    assert [(event["detail-type"], event["detail"]["failed"]) for event in told] == [("Fleet backed up", 2)], told

    def counted():
        counts = metrics.get_metric_statistics(
            Namespace="pgseal", MetricName="ScheduledRuns", Dimensions=[{"Name": "StateMachine", "Value": "fleet"}],
            StartTime=time.time() - 86400, EndTime=time.time() + 3600, Period=86400, Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in counts)

    assert counted() == 1, "what the alarm on missing runs watches"

    # Once more for the same time, by hand: nothing is dumped twice, and no run of the schedule is counted.
    dumps = {key for key in found if key.endswith(".sql.bz2.enc")}
    second = states.start_execution(stateMachineArn=machine, input=order)["executionArn"]
    status, _, told = EMULATOR.ended(second)
    assert status == "SUCCEEDED", told
    again, _ = EMULATOR.manifests()
    assert {key for key in again if key.endswith(".sql.bz2.enc")} == dumps
    assert counted() == 1, "a run by hand would hide a schedule that is off"
    calls = {
        role: [call for recorder in recorders.values() for call in recorder.calls]
        for role, recorders in (("FunctionRole", by_function), ("TaskRole", by_task))
    }
    asked = roles.hold(calls, {ORDER["bucket"]: "arn:aws:s3:::acme-backups", ORDER["plans"]: "<PlanBucket.Arn>"})
    print(f"machine: ok, {len(manifests)} backups, of tasks {[action for action, _ in said_of_tasks()]}, asked of AWS: {asked}")


main()
