"""Memory of the pipeline: its peak by the size of the dump, and over time."""

from usage import Sampler


def sizes(report, ground, data, megabytes):
    rows = []
    for compression in ["bzip2", "zstd", "none"]:
        for size in megabytes:
            made, usage = ground.backup(ground.stand_in(data.sets["mix"], size * 1_000_000), compression=compression)
            report.run("memory", f"{size} MB", compression, 1, usage)
            rows.append([compression, made["dumped_bytes"], usage.peak_mib, usage.wall, usage.cpu])
    report.table("memory", "Peak memory by size, two workers, without pg_dump", ["compression", "bytes dumped", "peak, MiB", "wall, s", "CPU, s"], rows)
    peaks = [row["peak, MiB"] for row in report.rows("memory") if row["compression"] == "bzip2"]
    report.figures |= {"peak": max(peaks), "peak growth": peaks[-1] / peaks[0]}


def over_time(report, ground, peers):
    """Of one run each on the database, pg_dump left out: it is the same everywhere."""
    rows = []
    for tool in ["pgseal", "lbzip2", "bzip2"]:
        if tool == "pgseal":
            sampler = Sampler()
            ground.backup(database="bench", peaks=False, sampler=sampler)
        else:
            sampler = Sampler(slice(1, None))
            peers.pipeline(tool, sampler)
        rows += [[tool, round(seconds, 3), round(mib, 1)] for seconds, mib in sampler.samples]
    report.series("memory-over-time", ["tool", "seconds", "resident, MiB"], rows)
