"""Runs pipelines and says what they cost."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

TICK = 0.001


@dataclass(frozen=True)
class Usage:
    """Of all processes of a pipeline and what they started and waited for. Servers are none of them."""

    wall: float
    user: float
    system: float
    peak_mib: float | None = None  # the largest process
    sum_mib: float | None = None  # the peaks of all, though they need not come at one time

    @property
    def cpu(self):
        return self.user + self.system


def run(pipeline, env=None, stdin=None, stdout=None, peaks=True, sampler=None):
    """One run of a list of commands, each reading what the one before it writes. Ends the program if any of them fails."""
    with tempfile.TemporaryDirectory(prefix="pgseal-usage-") as notes:
        children, source = [], open(stdin, "rb") if stdin else subprocess.DEVNULL
        sink = open(stdout, "wb") if stdout else subprocess.DEVNULL
        start = time.monotonic()
        for number, command in enumerate(pipeline):
            # Linux counts what a process held before `exec` into its peak, and of a fork of Python that is more than bzip2
            # needs. GNU time is small, and starts the command as a child of its own.
            watched = ["/usr/bin/time", "-f", "%M", "-o", f"{notes}/{number}", *command] if peaks else command
            last = number == len(pipeline) - 1
            child = subprocess.Popen([str(word) for word in watched], stdin=source, stdout=sink if last else subprocess.PIPE, env=env)
            close(source)
            source = child.stdout
            children.append(child)
        if sampler:
            sampler.start([child.pid for child in children], start)
        ended = [(child, *os.wait4(child.pid, 0)[1:]) for child in children]
        wall = time.monotonic() - start
        if sampler:
            sampler.stop()
        close(sink)
        for child, status, _ in ended:
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                sys.exit(f"status {child.returncode} of: {' '.join(child.args)}")
        kilobytes = [int(open(f"{notes}/{number}").read().split()[-1]) for number in range(len(children))] if peaks else []
    return Usage(wall, sum(usage.ru_utime for *_, usage in ended), sum(usage.ru_stime for *_, usage in ended),
                 max(kilobytes) / 1024 if peaks else None, sum(kilobytes) / 1024 if peaks else None)


def close(stream):
    if hasattr(stream, "close"):
        stream.close()


class Sampler:
    """The resident memory of some processes of a pipeline, over time."""

    def __init__(self, places=slice(None), interval=0.05):
        self.places = places
        self.interval = interval
        self.samples = []  # seconds since the start, MiB of these processes together
        self.done = threading.Event()

    def start(self, pids, start):
        self.thread = threading.Thread(target=self.watch, args=(pids[self.places], start))
        self.thread.start()

    def watch(self, pids, start):
        while not self.done.wait(self.interval):
            held = sum(resident_kib(pid) for pid in pids)
            if held:
                self.samples.append((time.monotonic() - start, held / 1024))

    def stop(self):
        self.done.set()
        self.thread.join()


def resident_kib(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmRSS:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Rounds:
    """Runs of several tools at the same work. Times vary from minute to minute, so only ratios within a round are quoted."""

    def __init__(self, report, figure, subject, runs, tools):
        """Each tool is a function that runs it once. Every round has them all, and begins with another one."""
        self.usages = {tool: [] for tool in tools}
        names = list(tools)
        for number in range(runs):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                usage = tools[name]()
                self.usages[name].append(usage)
                report.run(figure, subject, name, number + 1, usage)

    def ratio(self, over, under, field):
        """The median of the rounds' ratios. A run too short for the kernel's clock counts as its least step."""
        pairs = zip(self.usages[over], self.usages[under], strict=True)
        return statistics.median(max(getattr(a, field), TICK) / max(getattr(b, field), TICK) for a, b in pairs)

    def median(self, tool, field):
        return max(TICK, statistics.median(getattr(usage, field) for usage in self.usages[tool]))

    def most(self, tool, field):
        return max(getattr(usage, field) for usage in self.usages[tool])
