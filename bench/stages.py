"""The codec and the light stages of the pipeline, by Criterion (stages.rs): what they cost together of the whole."""

import json
import os
import subprocess

from settings import PROJECT, TARGET

# The rate, the tables' rows with the checksum of the whole dump, that checksum alone, the cipher.
LIGHT = ["light/throttle", "light/inventory", "light/sha256", "light/encrypt"]
# The codec's (crates/bzip2/benches), and the same block by the crate `bzip2`.
CODEC = ["bzip2/split", "bzip2/encode", "bzip2/encode-scalar", "bzip2/decode", "libbz2-rs/encode", "libbz2-rs/decode"]
STAGES = [*CODEC, *LIGHT, "pipeline/none", "pipeline/zstd", "pipeline/bzip2"]


def stages(report, settings):
    """The cipher gets what the compressor leaves; the whole is the pipeline of the figures `pipeline` and `encoder`."""
    for benches in (["--bench", "stages"], ["-p", "pgseal-bzip2", "--bench", "blocks"]):
        subprocess.run(["cargo", "bench", "--quiet", *benches], cwd=PROJECT, env=os.environ, stdout=subprocess.DEVNULL, check=True)
    seconds = {stage: seconds_per_gb(stage) for stage in STAGES}
    report.table("stages", "Stages, one thread (Criterion)", ["stage", "s per GB", "MB/s"], [[stage, spent, 1000 / spent] for stage, spent in seconds.items()])
    pipeline = next((row["CPU, s"] for row in report.rows("pipeline") if row["tool"] == "pgseal"), None)
    packed = next((row["bytes in / out"] for row in report.rows("encoder") if row["set"] == "mix"), None)
    if pipeline and packed:
        # The inventory's own work is to find the rows; the hash is the format's, no matter who takes it.
        light = seconds["light/throttle"] + seconds["light/inventory"] - seconds["light/sha256"] + seconds["light/encrypt"] / packed
        of_pipeline = 100 / (1000 * pipeline / settings.megabytes)
        report.figures |= {"stages": of_pipeline * light, "plain hash": of_pipeline * seconds["light/sha256"]}


def seconds_per_gb(stage):
    folder = TARGET / "criterion" / stage / "new"
    nanoseconds = json.loads((folder / "estimates.json").read_text())["median"]["point_estimate"]
    length = json.loads((folder / "benchmark.json").read_text())["throughput"]["Bytes"]
    return nanoseconds / length
