"""What is asked for by variables (see run.sh), and where things are."""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
QUICK = os.environ.get("BENCH_QUICK", "") not in ("", "0")
# What is only shown to run needs no optimised build.
PROGRAMS = TARGET / ("debug" if QUICK else "release")
CACHE = Path(os.environ.get("TESTBED_CACHE", Path.home() / ".cache/pgseal")) / "bench"

# The aims are for two cores: on a larger machine everything here, servers included, is held to two of them.
CORES = 2

FULL_MB = 855
FULL_RUNS = 5


@dataclass(frozen=True)
class Settings:
    quick: bool
    megabytes: int
    runs: int
    sizes: tuple[int, ...]
    seconds: int
    only: tuple[str, ...]

    @classmethod
    def read(cls, only):
        def number(name, full, tiny):
            return int(os.environ.get(name, tiny if QUICK else full))

        sizes = os.environ.get("BENCH_SIZES", "5,10" if QUICK else "100,1000")
        return cls(QUICK, number("BENCH_MB", FULL_MB, 5), number("BENCH_RUNS", FULL_RUNS, 1),
                   tuple(int(size) for size in sizes.split(",")), number("BENCH_SECONDS", 10, 1), only)

    @property
    def counts(self):
        """Whether the result may stand in the documents: no less was measured than the aims ask for."""
        return not self.quick and not self.only and self.megabytes >= FULL_MB and self.runs >= FULL_RUNS
