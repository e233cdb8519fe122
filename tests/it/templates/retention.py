"""Three years and more of backups, day by day, under the lifecycle rules and locks of template.yaml and deploy/vault.yaml."""

import datetime
import itertools
import json

import cfn

CLASSES = ("daily", "weekly", "monthly", "yearly")
DEFAULT_DAYS = {"daily": 14, "weekly": 60, "monthly": 400, "yearly": 2600}
START = datetime.date(2025, 6, 1)
# The manifest is written last. A dump that begins before midnight has objects of the day before: of an upload S3 counts from
# where it was begun.
ROLES = {"key": 0, "dump": 0, "inventory": 1, "instructions": 1, "manifest": 1}


def class_of(retention, day):
    """As src/plan/retention.rs."""
    if retention != "gfs":
        return retention
    if day.day == 1:
        return "yearly" if day.month == 1 else "monthly"
    return "weekly" if day.weekday() == 6 else "daily"


def rule_days(rules, tags):
    """The days of the first expiration that a current object with these tags has, of whichever rule."""
    fitting = []
    for rule in rules:
        assert rule["Status"] == "Enabled" and "Prefix" not in rule, rule
        wanted = {tag["Key"]: tag["Value"] for tag in rule.get("TagFilters", [])}
        if "ExpirationInDays" in rule and wanted.items() <= tags.items():
            fitting.append(int(rule["ExpirationInDays"]))
    return min(fitting)


def rules_of(stack, bucket):
    return stack.properties(bucket)["LifecycleConfiguration"]["Rules"]


def class_days(stack):
    return {name: int(stack.parameters[f"{name.capitalize()}Days"]) for name in CLASSES}


def lock_days(stack, bucket, kind):
    """Of a backup's own header, if the template has one made; else of the bucket."""
    if "Retention" in stack.parameters:
        variables = stack.properties("BackupFunction")["Environment"]["Variables"]
        told = dict(pair.split("=") for pair in variables["RETENTION_DAYS"].split(","))
        assert {name: int(days) for name, days in told.items()} == class_days(stack)
        lock = json.loads(variables["PGSEAL_EVENT_DEFAULTS"]).get("object_lock")
        if lock:
            assert lock == {"mode": stack.parameters["LockMode"]}
            return int(told[kind]) - 1
    elif kind:
        return class_days(stack)[kind] - 1  # as a writer's event asks
    rule = stack.properties(bucket)["ObjectLockConfiguration"].get("Rule")
    assert bool(rule) == (stack.parameters["LockMode"] != "NONE")
    return int(rule["DefaultRetention"]["Days"]) if rule else 0


def simulate(stack, bucket, retention, years):
    """Counts per class at the end, after a look at each day; `slack` days may pass between a manifest and what it names."""
    rules = rules_of(stack, bucket)
    backups = []
    for number in range(366 * years):
        day = START + datetime.timedelta(days=number)
        kind = class_of(retention, day) if retention else None
        over_midnight = number % 3 == 0
        gone = {}
        for role, written_later in ROLES.items():
            tags = {"retention": kind} if kind else {}
            if kind and role == "manifest":
                tags["role"] = "manifest"
            written = number + (written_later if over_midnight else 0)
            # From the next midnight on, whole days.
            gone[role] = written + 1 + rule_days(rules, tags)
            unlocked = written + 1 + lock_days(stack, bucket, kind)
            assert gone[role] >= unlocked, f"{kind} {role} expires {unlocked - gone[role]} days within its lock"
        backups.append((number, kind, gone))
    last_day = 366 * years
    slack = 0 if retention else 1
    for _, kind, gone in backups:
        for role in ROLES:
            assert gone[role] + slack >= gone["manifest"], f"a {kind} manifest outlives its {role}"
    for day in (last_day // 2, last_day):
        there = [kind for number, kind, gone in backups if number < day < gone["manifest"]]
        yield {kind: there.count(kind) for kind in sorted(set(there), key=str)}


def counts_are_as_meant(stack, bucket):
    days = class_days(stack)
    _, counts = simulate(stack, bucket, "gfs", 3)
    expected = {"daily": days["daily"] * 24 / 30.4, "weekly": days["weekly"] / 7.25, "monthly": days["monthly"] * 11 / 365.25}
    for kind, about in expected.items():
        assert abs(counts[kind] - about) <= 2.5, (kind, counts, about)
    assert counts["yearly"] == 3, counts


def others(stack, bucket):
    rules = {rule["Id"]: rule for rule in rules_of(stack, bucket)}
    assert rules["left-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 14
    assert rules["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    untagged = rule_days(rules_of(stack, bucket), {})
    longest = max(class_days(stack).values()) + 2
    if stack.parameters.get("Retention", "gfs"):
        assert untagged >= longest, "what has no tag must not go before what has one, which the same rule fits"
        assert untagged == longest
    else:
        assert untagged == int(stack.parameters["ExpirationDays"])


def mapping_is_right(template):
    declared = template["Parameters"]
    offered = {str(days) for name in CLASSES for days in declared[f"{name.capitalize()}Days"]["AllowedValues"]}
    assert set(template["Mappings"]["KeptDays"]) == offered
    for days, row in template["Mappings"]["KeptDays"].items():
        assert row == {"Lock": int(days) - 1, "Rest": int(days) + 2}, days
    for name, days in DEFAULT_DAYS.items():
        assert declared[f"{name.capitalize()}Days"]["Default"] == days
    yearly, rest = declared["YearlyDays"]["AllowedValues"], ("DailyDays", "WeeklyDays", "MonthlyDays")
    assert min(yearly) > max(days for name in rest for days in declared[name]["AllowedValues"])


def as_the_file_for_ones_own_bucket(stack, bucket):
    with open("deploy/lifecycle.json", encoding="utf-8") as file:
        model = json.load(file)["Rules"]
    for kind, role in itertools.product(CLASSES, ("manifest", None)):
        tags = {"retention": kind} | ({"role": role} if role else {})
        flat = []
        for rule in model:
            filters = rule["Filter"]
            listed = filters.get("And", {}).get("Tags") or ([filters["Tag"]] if "Tag" in filters else [])
            flat.append({"Status": rule["Status"], "TagFilters": listed})
            if "Expiration" in rule:
                flat[-1]["ExpirationInDays"] = rule["Expiration"]["Days"]
        assert rule_days(flat, tags) == rule_days(rules_of(stack, bucket), tags), tags


def main():
    accounts = {"WriterAccounts": "111122223333"}
    for template in (cfn.load("template.yaml"), cfn.load("deploy/vault.yaml")):
        mapping_is_right(template)
    choices = [{}, {"DailyDays": "7", "WeeklyDays": "28", "MonthlyDays": "180", "YearlyDays": "1100"}]
    choices.append({"DailyDays": "30", "WeeklyDays": "180", "MonthlyDays": "730", "YearlyDays": "3660"})
    for days in choices:
        made = [(cfn.template(Retention="gfs", **days), "BackupBucket"), (cfn.Stack("deploy/vault.yaml", accounts | days), "Vault")]
        for stack, bucket in made:
            counts_are_as_meant(stack, bucket)
            others(stack, bucket)
            for retention in CLASSES:
                list(simulate(stack, bucket, retention, 3))
    for mode in ("NONE", "COMPLIANCE"):
        unlocked = cfn.template(LockMode=mode)
        list(simulate(unlocked, "BackupBucket", "", 1))
    as_the_file_for_ones_own_bucket(cfn.template(Retention="gfs"), "BackupBucket")
    as_the_file_for_ones_own_bucket(cfn.Stack("deploy/vault.yaml", accounts), "Vault")

    # Without classes: every pair of lock and expiration that is not refused.
    declared = cfn.load("template.yaml")["Parameters"]
    pairs = itertools.product(declared["LockDays"]["AllowedValues"], declared["ExpirationDays"]["AllowedValues"])
    taken = 0
    for lock, expiration in pairs:
        given = {"LockDays": str(lock), "ExpirationDays": str(expiration)}
        refused = cfn.refused("template.yaml", cfn.NEEDED | given)
        assert (refused is None) == (lock < expiration), (given, refused)
        assert cfn.refused("template.yaml", cfn.NEEDED | given | {"LockMode": "NONE"}) is None
        if refused is None:
            taken += 1
            if lock in (1, 14, 365):
                stack = cfn.template(**given)
                others(stack, "BackupBucket")
                list(simulate(stack, "BackupBucket", "", 1))
    print(f"retention: ok, {taken} pairs of lock and expiration")


main()
