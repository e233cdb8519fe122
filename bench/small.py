"""The throttle, and how long the smallest backup takes."""

import os
import statistics

from settings import PROGRAMS
from usage import run


def throttle(report, ground, data, seconds):
    rows = []
    for rate in [1, 5, 20, 100, 200]:
        # A little compression, so that the S3 server does not take the cores that 200 MiB/s need.
        limit = {"compression": "zstd:1", "rate_limit": f"{rate}M"}
        made, _ = ground.backup(ground.stand_in(data.sets["mix"], (rate << 20) * seconds), **limit)
        # What is not the stream, such as the login and the manifest, is taken out by a dump of nearly nothing.
        empty, _ = ground.backup(ground.small_stand_in(), **limit)
        took = (made["duration_ms"] - empty["duration_ms"]) / 1000
        rows.append([f"{rate} MiB/s", took, made["throttled_ms"] / 1000, 100 * (made["dumped_bytes"] / took / (rate << 20) - 1)])
    report.table("throttle", "Throttle", ["rate", "seconds", "of which the throttle waited", "error, %"], rows)
    report.figures["throttle"] = max(abs(row["error, %"]) for row in report.rows("throttle"))


def start(report, ground, runs):
    versions = [run([[PROGRAMS / "pgseal", "--version"]], peaks=False).wall for _ in range(runs)]
    small, walls, without = ground.small_stand_in(), [], []
    for number in range(runs):
        log = os.path.getsize(ground.log)
        _, usage = ground.backup(small, peaks=False)
        report.run("start", "1 kB", "pgseal", number + 1, usage)
        walls.append(usage.wall)
        without.append(usage.wall - ground.session_seconds(log))
    report.figures["start"] = 1000 * statistics.median(without)
    rows = [["`pgseal --version`", 1000 * statistics.median(versions)], ["a backup of 1 kB", 1000 * statistics.median(walls)],
            ["the same without its session at the server", report.figures["start"]]]
    report.table("start", "From start to end", ["what", "ms, median"], rows)
