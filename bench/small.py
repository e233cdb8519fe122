"""The throttle, and how long the smallest backup takes."""

import os
import re
import statistics
import subprocess
import tempfile

from settings import PROGRAMS, PROJECT
from usage import run


def throttle(report, ground, data, settings):
    """The throttle alone, from a source that is never slow (throttle.rs), and whole backups, which also send what was read last."""
    command = ["cargo", "bench", "--quiet", "--bench", "throttle", "--", str(settings.seconds)]
    said = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
    alone = {int(rate): float(error) for rate, error in re.findall(r"(\d+)M .* ([-+][\d.]+) %", said)}
    rows = []
    for rate, error in alone.items():
        # A little compression, so that the S3 server does not take the cores that 200 MiB/s need.
        limit = {"compression": "zstd:1", "rate_limit": f"{rate}M"}
        made, _ = ground.backup(ground.stand_in(data.sets["mix"], (rate << 20) * settings.seconds), **limit)
        rows.append([f"{rate} MiB/s", error, made["duration_ms"] / 1000, made["throttled_ms"] / 1000])
    columns = ["rate", "error of the throttle, %", f"a backup of {settings.seconds} seconds' bytes, s", "of which the throttle waited"]
    report.table("throttle", "Throttle", columns, rows)
    report.figures["throttle"] = max(map(abs, alone.values()))


def start(report, ground, runs):
    """Milliseconds drown in what a disk still has to write from other figures, and in an S3 server that hands each request
    round its threads: this one has one, and its objects are in memory."""
    os.sync()
    usual = ground.aws_env, ground.bucket
    with tempfile.TemporaryDirectory(prefix="pgseal-bench-", dir="/dev/shm") as memory:
        ground.start_s3(f"{memory}/s3", TOKIO_WORKER_THREADS="1")
        measure_start(report, ground, runs)
    ground.aws_env, ground.bucket = usual


def measure_start(report, ground, runs):
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
