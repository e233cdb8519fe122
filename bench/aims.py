"""What was aimed at, and whether it was met."""

import platform
import re
import subprocess
from dataclasses import dataclass

from report import table
from settings import CORES

VERSION = re.compile(r"\d+\.[\d.]*\d")


@dataclass(frozen=True)
class Aim:
    title: str
    figure: str
    must: float | None  # without one, the figure stands beside the one before it
    stretch: float | None
    at_least: bool = False
    form: str = "{:.2f}"

    def row(self, figures, judged):
        measured = figures.get(self.figure)
        sign = "≥" if self.at_least else "≤"
        texts = [f"{sign} {self.form.format(bound)}" if bound is not None else "" for bound in (self.must, self.stretch)]
        return [self.title, *texts, "not measured" if measured is None else self.form.format(measured), self.verdict(measured) if judged else ""]

    def verdict(self, measured):
        if measured is None or self.must is None:
            return ""
        met = [bound is not None and (measured >= bound if self.at_least else measured <= bound) for bound in (self.must, self.stretch)]
        return "stretch" if met[1] else "yes" if met[0] else "**no**"


AIMS = [
    *(Aim(f"encoder, user CPU against `lbzip2 -n1`, {name}", f"encoder {name}", 0.40, 0.30) for name in ("mix", "d100")),
    *(Aim(f"the same without vector code, {name}", f"encoder, scalar {name}", 0.60, 0.45) for name in ("mix", "d100")),
    *(Aim(f"encoder on easy dumps, {name}", f"encoder {name}", 0.45, 0.35) for name in ("pgbench", "orders")),
    Aim("encoder on one row repeated", "encoder onerow", 1.0, 0.7),
    Aim("encoder on 40 rows at random", "encoder rows40", 1.0, 0.7),
    Aim("size against `bzip2 -9`, the worst set", "size bzip2", 1.0, None, form="{:.4f}"),
    Aim("size against lbzip2, mix", "size lbzip2 mix", 1.002, 1.0, form="{:.4f}"),
    Aim("two workers against one, speed", "scaling", 1.75, 1.9, at_least=True),
    Aim("memory a worker, MB", "worker memory", 11, 9, form="{:.1f}"),
    *(Aim(f"decoder, user CPU against `lbzip2 -n1 -d`, {name}", f"decoder {name}", 0.50, 0.30) for name in ("mix", "d100")),
    Aim("whole pipeline against lbzip2's, speed", "pipeline wall lbzip2", 2.2, 2.6, at_least=True),
    Aim("whole pipeline against the legacy image's, speed", "pipeline wall bzip2", 5, 6, at_least=True),
    Aim("whole pipeline, CPU against lbzip2's", "pipeline cpu lbzip2", 0.42, 0.35),
    Aim("peak memory, two workers, without pg_dump, MiB", "peak", 96, 64, form="{:.0f}"),
    # "Flat": what allocators and timing differ by from run to run is less than this.
    Aim("the same, the largest dump against the smallest", "peak growth", 1.1, None),
    Aim("upload, CPU against `aws s3 cp -`", "upload cpu", 0.5, 0.4),
    Aim("a backup of 1 kB, without the database's part, ms", "start", 25, 15, form="{:.0f}"),
    Aim("restore over two connections, wall against psql's", "restore wall psql", 0.80, 0.70),
    Aim("the same against `pg_restore -j2` of `-Fd`", "restore wall pg_restore", 1.05, 0.90),
    Aim("throttle, 1 to 200 MiB/s, largest error, %", "throttle", 1, 0.3),
    Aim("zstd pipeline against `zstd -3 -T0`'s, speed", "pipeline wall zstd", 1.2, 1.5, at_least=True),
    Aim("throttle, inventory and encryption, part of the pipeline's CPU, %", "stages", 3, None, form="{:.1f}"),
    Aim("the SHA-256 of the plain text, which is not among them, %", "plain hash", None, None, form="{:.1f}"),
]


def aims_table(figures, judged):
    return table(["figure", "must", "stretch", "measured", "met"], [aim.row(figures, judged) for aim in AIMS])


def page(report, settings):
    """The whole page: the aims, then what they were taken from."""
    return f"""# What was measured

Written by `make bench`. Every comparison is of runs that alternate on the same machine with the same data;
a ratio is the median of the ratios of {settings.runs} round{'s' if settings.runs > 1 else ''}. CPU is that of all processes of a pipeline, without PostgreSQL's server and the S3
server, which run beside it on the same {CORES} cores. The database's dump has {settings.megabytes} MB. {machine()}

{aims_table(report.figures, not settings.quick)}
"met" says `stretch` where the further aim was reached too.

{report.markdown()}"""


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    said = {name: subprocess.run(command, capture_output=True, text=True, check=True) for name, command in {
        "bzip2": ["bzip2", "--help"], "7-Zip": ["7zz"], "rapidgzip": ["rapidgzip", "--version"], "lbzip2": ["lbzip2", "--version"], "zstd": ["zstd", "--version"], "openssl": ["openssl", "version"],
        "aws": ["aws", "--version"], "pg_dump": ["pg_dump", "--version"]}.items()}
    versions = {name: VERSION.search(done.stdout or done.stderr).group() for name, done in said.items()}
    return f"Processor: {model}. Tools: {', '.join(f'{name} {version}' for name, version in versions.items())}."
