"""Measures the pipeline and its parts against the tools that do the same: `make bench`, see run.sh."""

import argparse
import os
import shutil
import signal
import sys
import tempfile

import aims
import codec
import memory
import plots
import pipeline
import restore
import small
import stages
from data import Data
from ground import Ground
from peers import Peers
from report import Report
from settings import CORES, PROJECT, TARGET, Settings

FIGURES = {
    "encoder": lambda on: codec.encoder(on.report, on.data, on.work, on.settings.runs),
    "decoder": lambda on: codec.decoder(on.report, on.data, on.work, on.settings.runs),
    "codec-peers": lambda on: codec.peers(on.report, on.data, on.work, on.settings.runs),
    "workers": lambda on: pipeline.workers(on.report, on.data, on.settings.runs),
    "memory": lambda on: memory.sizes(on.report, on.ground, on.data, on.settings.sizes),
    "pipeline": lambda on: pipeline.pipeline(on.report, on.ground, on.peers, on.settings.runs),
    "stages": lambda on: stages.stages(on.report, on.settings),
    "over-time": lambda on: memory.over_time(on.report, on.ground, on.peers),
    "zstd": lambda on: pipeline.other_compressions(on.report, on.ground, on.peers, on.settings.runs),
    "upload": lambda on: pipeline.upload(on.report, on.ground, on.peers, on.data, on.settings.runs),
    "decrypt": lambda on: pipeline.decrypt(on.report, on.ground, on.data, on.settings.megabytes, on.settings.runs),
    "restore": lambda on: restore.restore(on.report, on.ground, on.data, on.settings.runs),
    "throttle": lambda on: small.throttle(on.report, on.ground, on.data, on.settings),
    "start": lambda on: small.start(on.report, on.ground, 8 * on.settings.runs),
}


class Bench:
    """Everything that a figure may need."""

    def __init__(self, settings, work):
        self.settings = settings
        self.work = work
        # A trial does not write over what was measured.
        self.report = Report(TARGET / ("bench-quick" if settings.quick else "bench"))
        self.ground = Ground(work)

    def run(self):
        self.ground.start()
        self.data = Data.make(self.ground, self.settings.megabytes)
        self.peers = Peers(self.ground)
        # Cargo's benches are built for release, and the tests run them anyway.
        usual = [name for name in FIGURES if name not in ("stages", "throttle") or not self.settings.quick]
        for name in self.settings.only or usual:
            print(f"== {name}", file=sys.stderr)
            FIGURES[name](self)
        folder = PROJECT / "docs/bench" if self.settings.counts else self.report.folder
        plots.draw(self.report, folder)
        page = aims.page(self.report, self.settings)
        (folder / "AIMS.md").write_text(page)
        print(page)
        print(f"written to {folder}, the numbers to {self.report.folder}", file=sys.stderr)


def main():
    arguments = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    arguments.add_argument("--only", default="", help=f"some of the figures: {', '.join(FIGURES)}")
    only = tuple(filter(None, arguments.parse_args().only.split(",")))
    if unknown := set(only) - set(FIGURES):
        arguments.error(f"no such figure: {', '.join(unknown)}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended then, too
    work = tempfile.mkdtemp(prefix="pgseal-bench-")
    bench = Bench(Settings.read(only), work)
    try:
        bench.run()
    finally:
        bench.ground.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
