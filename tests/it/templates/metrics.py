"""The metrics of alarms and dashboards, of template.yaml and of the Terraform module, are those of the program.

    metrics.py NAME...    the names that the program writes, in the namespace pgseal, by Server and by Server and Database
"""

import glob
import json
import re
import sys

import cfn

# Of AWS's own services, with the dimension by which each is known.
OTHERS = {("AWS/Lambda", "Errors"): ["FunctionName"], ("AWS/SQS", "NumberOfMessagesSent"): ["QueueName"]}


def alarmed(stack):
    """Namespace, name and dimensions of each alarm's metric."""
    for name in sorted(stack.of_type("AWS::CloudWatch::Alarm")):
        alarm = stack.properties(name)
        parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part] or [alarm]
        for part in parts:
            yield name, part["Namespace"], part["MetricName"], {item["Name"]: item["Value"] for item in part["Dimensions"]}


def which_dimensions(server):
    """One database is watched by its name, so that another stack's on the same server hides nothing; several by the server."""
    app = {"Server": server, "Database": "app"}
    for given, backups, drills in [
        ({}, app, app),
        ({"EventDefaults": '{"globals":true,"exclude_databases":["scratch"]}'}, app, app),
        ({"EventDefaults": '{"database":["app","billing"]}'}, {"Server": server}, app),
        ({"EventDefaults": '{ "globals": true,  "database" : "billing" }'}, {"Server": server}, app),
        ({"Retention": "gfs", "EventDefaults": '{"database":"billing"}'}, {"Server": server}, app),
        ({"DatabaseName": "*", "DrillLocation": "s3://b/backups/orders/latest:app"}, {"Server": server}, {"Server": server}),
        ({"DrillLocation": "s3://b/backups/orders/latest:billing"}, app, {"Server": server}),
    ]:
        stack = cfn.template(**cfn.DRILL, DrillSchedule="rate(2 days)", SizeBandWidth="2", **given)
        expected = {"NoBackupAlarm": backups, "SizeAlarm": backups, "DrillAlarm": drills, "NoDrillAlarm": drills}
        found = {name: dimensions for name, namespace, _, dimensions in alarmed(stack) if namespace == "pgseal"}
        assert found == expected, (given, found)
    # The program encodes other names in the dimension, which a template cannot: an alarm on them would never be over.
    for name in ("my app", "Müller", "a/b", "a%20b", "*x"):
        assert cfn.refused("template.yaml", cfn.NEEDED | {"DatabaseName": name}), name
    for name in ("*", "app", "App_2.x-y"):
        assert cfn.refused("template.yaml", cfn.NEEDED | {"DatabaseName": name}) is None, name


def main():
    names, sets = set(sys.argv[1:]), [["Server"], ["Database", "Server"]]

    stack = cfn.template(
        **cfn.ECS, **cfn.DRILL, DrillSchedule="rate(2 days)", SizeBandWidth="2", Dashboard="true", SuccessEvents="true"
    )
    # The first label of the host's name, as the folder in the prefix.
    server = cfn.NEEDED["DatabaseHost"].split(".")[0]
    of_alarms = set()
    for alarm, namespace, metric, dimensions in alarmed(stack):
        if (namespace, metric) in OTHERS:
            assert list(dimensions) == OTHERS[namespace, metric], alarm
            continue
        assert namespace == "pgseal" and metric in names, (alarm, namespace, metric)
        assert sorted(dimensions) in sets and dimensions["Server"] == server, (alarm, dimensions)
        of_alarms.add(metric)
    assert of_alarms == {"Complete", "StoredBytes", "DrillPassed"}, of_alarms

    which_dimensions(server)

    # Those of a fleet have no server.
    of_server = {name for name in names if not name.startswith("Fleet")}
    text = stack.properties("Overview")["DashboardBody"]
    assert "${" not in text
    shown, places = set(), set()
    for widget in json.loads(text)["widgets"]:
        places.add((widget["x"], widget["y"]))
        assert widget["x"] + widget["width"] <= 24 and widget["properties"]["region"] == cfn.REGION
        for namespace, metric, *dimensions in widget["properties"]["metrics"]:
            assert namespace == "pgseal", namespace
            assert sorted(dimensions[::2]) in sets and dimensions[1::2] == [server], dimensions
            shown.add(metric)
    assert shown == of_server, shown ^ of_server
    assert len(places) == len(json.loads(text)["widgets"]), "no widget lies on another"

    module = "".join(open(name, encoding="utf-8").read() for name in sorted(glob.glob("deploy/terraform/*.tf")))
    of_module = set(re.findall(r'namespace += "pgseal"\s+metric_name += "(\w+)"', module))
    assert of_module == of_alarms, of_module ^ of_alarms
    # Whatever has a metric's form in the dashboard is one.
    with open("deploy/terraform/dashboard.tf", encoding="utf-8") as file:
        lists = re.findall(r"metrics += \[([^\]]+)\]", file.read())
    of_dashboard = {name for text in lists for name in re.findall(r'"(\w+)"', text)} - {"pgseal", "Server"}
    assert of_dashboard == of_server, of_dashboard ^ of_server
    print(f"metrics: ok, {len(names)}")


main()
