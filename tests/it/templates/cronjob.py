"""deploy/cronjob.yaml: nothing that a cluster's policies refuse, and the scheduled time out of a Job's name.

The command is run as it stands, with a stand-in for pgseal. That the label is on the pod is Kubernetes' own documentation
(labels, annotations and taints: `batch.kubernetes.io/job-name`), and that a name ends with the minute is the source of its
controller (getJobName in cronjob_controllerv2.go): no cluster is here to ask.
"""

import datetime
import json
import os
import pathlib
import subprocess
import tempfile

import yaml


def run(script, name):
    """What pgseal finds in BACKUP_EVENT, or None."""
    with tempfile.TemporaryDirectory() as folder:
        stand_in = pathlib.Path(folder, "pgseal")
        stand_in.write_text('#!/bin/sh\necho "${BACKUP_EVENT-none} $#"\n', encoding="utf-8")
        stand_in.chmod(0o755)
        path = f"{folder}:{os.environ['PATH']}"
        done = subprocess.run(["/bin/sh", "-ec", script], env={"PATH": path, "JOB_NAME": name}, capture_output=True, check=True)
        event, arguments = done.stdout.decode().strip().rsplit(" ", 1)
        assert arguments == "0" and not done.stderr, done
        return None if event == "none" else json.loads(event)


def main():
    with open("deploy/cronjob.yaml", encoding="utf-8") as file:
        space, account, job = yaml.safe_load_all(file)
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (account["kind"], job["kind"]) == ("ServiceAccount", "CronJob")
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    # The namespace is made first, or `kubectl apply` would fail on a cluster that has none of the name.
    assert space["kind"] == "Namespace"
    assert space["metadata"]["name"] == account["metadata"]["namespace"] == job["metadata"]["namespace"]
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")
    assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] <= 2 and spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 86400
    assert spec["startingDeadlineSeconds"] >= 600 and pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"] and own["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    text = json.dumps([account, job]).lower()
    assert not any(word in text for word in ("secretkeyref", "secretref", "password", "aws_secret")), "no secrets"
    variables = {item["name"]: item for item in container["env"]}
    assert variables["JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"
    needed = {"POSTGRES_DATABASE", "POSTGRES_HOST", "POSTGRES_USER", "REGION", "S3_BUCKET", "S3_PREFIX", "OPENSSL_PUBLIC_KEY"}
    assert needed <= set(variables)
    assert {"action", "scheduled_time"} == set(variables["PGSEAL_EVENT_FIELDS"]["value"].split(","))

    shell, flags, script = container["command"]
    assert (shell, flags) == ("/bin/sh", "-ec")
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    for ago in (0, 1, 119, 2000):
        time = now - datetime.timedelta(minutes=ago)
        event = run(script, f"pgseal-orders-{int(time.timestamp()) // 60}")
        assert event == {"scheduled_time": time.strftime("%Y-%m-%dT%H:%M:%SZ")}, event
    days = [f"x-{int(now.timestamp()) // 60 + minutes}" for minutes in (-3000, 60)]
    for name in ["pgseal-orders", "by-hand", "pgseal-test-1", "x-20261124", "x-2026112402", "orders-manual-abc", "", "x-", *days]:
        assert run(script, name) is None, name
    print("cronjob: ok")


main()
