"""Many small databases of one server through the state machine, one of them failing."""

import json
import sys
import time

from emulator import Emulator

ORDER = json.loads(sys.argv[1])
TIME = "2026-11-24T02:00:00Z"


def main():
    emulator = Emulator(ORDER)
    machine = emulator.machine(emulator.function(dict(ORDER["variables"]), tolerated="1", seconds=300))
    order = {"discover": {"tags": {"backup": "nightly"}}, "database": "*", "exclude_databases": ["postgres"], "scheduled_time": TIME}
    states, begun = emulator.client("stepfunctions"), time.monotonic()
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps(order))["executionArn"]
    status, summary, told = emulator.ended(execution, seconds=1800)
    seconds, count = time.monotonic() - begun, ORDER["databases"]
    # One of so few is more than the tolerated percent, and then the run says so.
    assert status == ("SUCCEEDED" if count > 100 else "FAILED"), told
    _, manifests = emulator.manifests()
    names = {key.rsplit("/", 1)[1].rsplit("_", 1)[0] for key in manifests}
    assert names == {f"db{number:03}" for number in range(1, count + 1)}, sorted(names)
    if status == "SUCCEEDED":
        assert (summary["databases"], summary["complete"], summary["failed"]) == (count + 1, count, 1), summary
        assert [failure["database"] for failure in summary["failures"]] == ["locked"], summary
    print(f"many: ok, {count} backups and one failure in {seconds:.0f} s")


main()
