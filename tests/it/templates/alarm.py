"""Alarms on what is missing, over made-up weeks: ALARM after so many hours and not before, and back again.

CloudWatch evaluates as its user guide says in "How alarm state is evaluated when data is missing": of a range somewhat longer
than the evaluation periods it takes what is there; only if that is less than the periods, it fills in what is missing, as few
times as possible. How much longer the range is, it does not say (5 for 3 in its example): so all from none to six are tried.
"""

import cfn

HOUR, DAY = 1, 24
RANGES = range(0, 7)


def breaches(alarm, value):
    operators = {
        "LessThanThreshold": lambda: value < alarm["Threshold"],
        "GreaterThanOrEqualToThreshold": lambda: value >= alarm["Threshold"],
    }
    return operators[alarm["ComparisonOperator"]]()


def state(alarm, series, now, longer, before):
    """The alarm's state when the period `now` has ended; `series` has the values of the periods that have any."""
    periods = int(alarm["EvaluationPeriods"])
    span = range(now - periods - longer + 1, now + 1)
    there = [breaches(alarm, series[at]) for at in span if at in series]
    missing = alarm["TreatMissingData"]
    if len(there) < periods:
        if missing == "ignore" and not there:
            return before
        assert missing in ("breaching", "notBreaching"), missing
        there = [missing == "breaching"] * (periods - len(there)) + there
    recent = there[-periods:]
    return "ALARM" if all(recent) else "OK"


def states(alarm, series, hours, longer):
    result, last = [], "OK"
    for now in range(hours):
        last = state(alarm, series, now, longer, last)
        result.append(last)
    return result


def examples_of_the_user_guide():
    """Its table for 3 of 3, with breaching where data is missing: 0 is good, X is bad, - is missing."""
    for treated, told in [
        ("breaching", {"0-X-X": "OK", "----0": "OK", "-----": "ALARM", "0XX-X": "ALARM", "--X--": "ALARM"}),
        ("notBreaching", {"0-X-X": "OK", "----0": "OK", "-----": "OK", "0XX-X": "ALARM", "--X--": "OK"}),
    ]:
        for points, expected in told.items():
            alarm = {
                "EvaluationPeriods": 3,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": treated,
            }
            series = {at: int(point == "X") for at, point in enumerate(points) if point != "-"}
            assert state(alarm, series, 4, 2, "OK") == expected, (treated, points)


def fires(alarm, runs, hours, longer):
    """The hours at which the state becomes ALARM, and OK again, after the first complete backup."""
    first = min(runs)
    told, last = [], "OK"
    for now, current in enumerate(states(alarm, runs, hours, longer)):
        if now > first and current != last:
            told.append((now, current))
        if now >= first:
            last = current
    return told


def missing_backups():
    for given in (26, 1, 168, 50):
        stack = cfn.template(MaxAgeHours=str(given))
        alarm = stack.properties("NoBackupAlarm")
        assert alarm["Period"] == 3600 and alarm["Statistic"] == "Sum"
        # CloudWatch's limit for periods of an hour and more is a week.
        assert alarm["Period"] * int(alarm["EvaluationPeriods"]) <= 7 * 86400
        for longer in RANGES:
            told = fires(alarm, {10: 1}, 400, longer)
            assert len(told) == 1 and told[0][1] == "ALARM", (given, longer, told)
            silent = told[0][0] - 10
            assert given <= silent <= given + longer, f"{given} hours: ALARM after {silent}, with a range longer by {longer}"
            # With nothing yet it is an alarm too, at once.
            assert states(alarm, {}, given + 10, longer)[-1] == "ALARM"

    nightly = cfn.template().properties("NoBackupAlarm")
    weekly = cfn.template(MaxAgeHours="168", Schedule="cron(0 2 ? * SUN *)").properties("NoBackupAlarm")
    for longer in RANGES:
        nights = {2 + DAY * night: 1 for night in range(30)}
        assert fires(nightly, nights, 30 * DAY, longer) == [], "each night"
        # An hour late, as after a retry, is no reason.
        late = nights | {2 + DAY * 5 + 1: 1}
        del late[2 + DAY * 5]
        assert fires(nightly, late, 30 * DAY, longer) == [], "an hour late"
        missed = {at: one for at, one in nights.items() if at != 2 + DAY * 5}
        told = fires(nightly, missed, 30 * DAY, longer)
        assert [state for _, state in told] == ["ALARM", "OK"], told
        due = 2 + DAY * 4 + 26
        assert due <= told[0][0] <= due + longer and told[1][0] == 2 + DAY * 6, told
        failed = nights | {2 + DAY * 5: 0}
        assert [state for _, state in fires(nightly, failed, 30 * DAY, longer)] == ["ALARM", "OK"], "a night that failed"
        off = {at: one for at, one in nights.items() if at < 10 * DAY}
        (told,) = fires(nightly, off, 30 * DAY, longer)
        assert told[1] == "ALARM" and 26 <= told[0] - max(off) <= 26 + longer, "switched off"
        weeks = {2 + 7 * DAY * week: 1 for week in range(5)}
        assert fires(weekly, weeks, 4 * 7 * DAY + 3, longer) == [], "each week"
        # As docs/DEPLOY.md says: a week is all that CloudWatch looks back, so a later end may be an alarm for that time.
        late = {2: 1, 2 + 7 * DAY + 1: 1}
        expected = [] if longer else [(2 + 7 * DAY, "ALARM"), (2 + 7 * DAY + 1, "OK")]
        assert fires(weekly, late, 2 + 7 * DAY + 2, longer) == expected, (longer, "a week and an hour")
        assert fires(nightly, weeks, 4 * 7 * DAY, longer), "with 26 hours a weekly schedule is an alarm"


def other_alarms():
    full = cfn.template(**cfn.ECS, **cfn.DRILL, DrillSchedule="rate(2 days)", AlarmEmail="a@example.com", SizeBandWidth="3")
    for name in full.of_type("AWS::CloudWatch::Alarm"):
        alarm = full.properties(name)
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["<AlarmTopic>"], name
        assert "docs/RUNBOOK.md#" in alarm["AlarmDescription"], name
    topic = "arn:aws:sns:eu-west-1:111122223333:alarms"
    assert cfn.template(AlarmTopicArn=topic).properties("ErrorAlarm")["AlarmActions"] == [topic]
    assert "AlarmActions" not in cfn.template().properties("ErrorAlarm")

    for name, bad in [("ErrorAlarm", 1), ("QueueAlarm", 1), ("DrillAlarm", 0)]:
        alarm = full.properties(name)
        for longer in RANGES:
            # Two failures an hour apart are told twice, and each time it is over.
            told = [state for _, state in fires(alarm, {5: 1 - bad, 20: bad, 32: bad}, 60, longer)]
            assert told == ["ALARM", "OK", "ALARM", "OK"], (name, longer, told)
    overdue = full.properties("NoDrillAlarm")
    for longer in RANGES:
        assert fires(overdue, {2 + 2 * DAY * drill: 1 for drill in range(10)}, 20 * DAY, longer) == []
        failing = {2: 1} | {2 + 2 * DAY * drill: 0 for drill in range(1, 10)}
        (told,) = fires(overdue, failing, 20 * DAY, longer)
        assert 168 <= told[0] - 2 <= 168 + longer, told
    size = full.properties("SizeAlarm")
    assert size["ThresholdMetricId"] == "band" and size["TreatMissingData"] == "ignore"
    stored, band = size["Metrics"]
    assert band["Expression"] == "ANOMALY_DETECTION_BAND(stored, 3)" and stored["Id"] == "stored"
    assert stored["ReturnData"] and band["ReturnData"], "both are needed for an alarm on a band"


examples_of_the_user_guide()
missing_backups()
other_alarms()
print("alarms: ok")
