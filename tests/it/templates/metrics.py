"""The metrics of template.yaml's alarms and dashboard are those of the program: `metrics.py [FILE]`.

FILE, or - for standard input, has what the program writes: {"namespace": "pgseal", "dimensions": [["Server"], ["Server",
"Database"]], "metrics": {"Complete": "Count", ...}}. Without it the list below counts.
"""

import json
import re
import sys

import cfn

PROGRAM = {
    "namespace": "pgseal",
    "dimensions": [["Server"], ["Server", "Database"]],
    "metrics": {
        "Complete": "Count",
        "DumpedBytes": "Bytes",
        "StoredBytes": "Bytes",
        "CompressionRatio": "None",
        "Duration": "Seconds",
        "Throttled": "Seconds",
        "Rows": "Count",
        "Warnings": "Count",
        "DrillPassed": "Count",
        "DrillDuration": "Seconds",
    },
}
# Of AWS's own services, with the dimension by which each is known.
OTHERS = {("AWS/Lambda", "Errors"): ["FunctionName"], ("AWS/SQS", "NumberOfMessagesSent"): ["QueueName"]}


def alarmed(stack):
    """Namespace, name and dimensions of each alarm's metric."""
    for name in sorted(stack.of_type("AWS::CloudWatch::Alarm")):
        alarm = stack.properties(name)
        parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part] or [alarm]
        for part in parts:
            yield name, part["Namespace"], part["MetricName"], {item["Name"]: item["Value"] for item in part["Dimensions"]}


def main():
    program = PROGRAM
    if len(sys.argv) > 1:
        with sys.stdin if sys.argv[1] == "-" else open(sys.argv[1], encoding="utf-8") as file:
            program = json.load(file)
    names, sets = set(program["metrics"]), [sorted(item) for item in program["dimensions"]]

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
        assert namespace == program["namespace"] and metric in names, (alarm, namespace, metric)
        assert sorted(dimensions) in sets and dimensions["Server"] == server, (alarm, dimensions)
        of_alarms.add(metric)
    assert of_alarms == {"Complete", "StoredBytes", "DrillPassed"}, of_alarms

    text = stack.properties("Overview")["DashboardBody"]
    assert "${" not in text
    shown, places = set(), set()
    for widget in json.loads(text)["widgets"]:
        places.add((widget["x"], widget["y"]))
        assert widget["x"] + widget["width"] <= 24 and widget["properties"]["region"] == cfn.REGION
        for namespace, metric, *dimensions in widget["properties"]["metrics"]:
            assert namespace == program["namespace"], namespace
            assert sorted(dimensions[::2]) in sets and dimensions[1::2] == [server], dimensions
            shown.add(metric)
    assert shown == names, shown ^ names
    assert len(places) == len(json.loads(text)["widgets"]), "no widget lies on another"

    with open("docs/DEPLOY.md", encoding="utf-8") as file:
        documented = set(re.findall(r"^\| `(\w+)` \| (?:Count|Bytes|Seconds|None) \|", file.read(), re.MULTILINE))
    assert documented == names, documented ^ names
    print(f"metrics: ok, {len(names)}")


main()
