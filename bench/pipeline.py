"""The whole pipeline, against the pipelines that a user would have instead."""

import os
import subprocess

from ground import BUCKET
from peers import AWS, ENC
from settings import CORES, PROGRAMS
from usage import Rounds, run

MEASURED = [("wall", "wall, s"), ("cpu", "CPU, s"), ("sum_mib", "sum of peaks, MiB")]


def rows_of(rounds):
    return [[tool, *(rounds.median(tool, field) for field, _ in MEASURED), rounds.ratio(tool, "pgseal", "wall"), rounds.ratio("pgseal", tool, "cpu")] for tool in rounds.usages]


def columns_of(subject):
    return [subject, *(name for _, name in MEASURED), "its wall / pgseal's", "pgseal's CPU / its"]


def pipeline(report, ground, peers, runs):
    """The real database by the real pg_dump. The peaks are of pg_dump too, on either side."""
    tools = {"pgseal": lambda: ground.backup(database="bench")[1], **{name: lambda name=name: peers.pipeline(name) for name in ("lbzip2", "pbzip2", "bzip2")}}
    rounds = Rounds(report, "pipeline", "database", runs, tools)
    report.figures |= {"pipeline wall lbzip2": rounds.ratio("lbzip2", "pgseal", "wall"), "pipeline wall bzip2": rounds.ratio("bzip2", "pgseal", "wall"),
                       "pipeline cpu lbzip2": rounds.ratio("pgseal", "lbzip2", "cpu")}
    report.table("pipeline", "The whole pipeline: `pg_dump | pv | TOOL | openssl enc | aws s3 cp -`", columns_of("tool"), rows_of(rounds))


def other_compressions(report, ground, peers, runs):
    rows = []
    for compression, peer in [("zstd:3", "zstd"), ("none", "none")]:
        tools = {"pgseal": lambda: ground.backup(database="bench", compression=compression)[1], "by hand": lambda: peers.pipeline(peer)}
        rounds = Rounds(report, "pipeline", compression, runs, tools)
        report.figures[f"pipeline wall {peer}"] = rounds.ratio("by hand", "pgseal", "wall")
        rows += [[compression, *row] for row in rows_of(rounds)]
    report.table("zstd", "The same with zstd and without a compressor: `pg_dump | zstd -3 -T0 | openssl enc | aws s3 cp -`", ["compression", *columns_of("tool")], rows)


def upload(report, ground, peers, data, runs):
    """The last stage alone, from the same bytes: cut, hashed and sent."""
    tools = {"pgseal's": lambda: peers.put(data.full, [PROGRAMS / "examples/upload", BUCKET, "dump"]), "aws s3 cp -": lambda: peers.put(data.full, AWS)}
    rounds = Rounds(report, "upload", "full", runs, tools)
    report.figures["upload cpu"] = rounds.ratio("pgseal's", "aws s3 cp -", "cpu")
    rows = [[tool, *(rounds.median(tool, field) for field, _ in MEASURED)] for tool in tools]
    report.table("upload", "Upload alone, from standard input", ["tool", *(name for _, name in MEASURED)], rows)


def workers(report, data, runs):
    """The compressor alone: a database and a server would take the cores of the workers."""
    source, length, counts = data.sets["mix"], os.path.getsize(data.sets["mix"]), [1, 2, 4]
    command = [PROGRAMS / "pgseal-bzip2", "-p"]
    rounds = Rounds(report, "workers", "mix", runs, {count: lambda count=count: run([[*command, count]], stdin=source) for count in counts})
    rows = [[count, length / 1e6 / rounds.median(count, "wall"), rounds.ratio(1, count, "wall"), rounds.most(count, "peak_mib")] for count in counts]
    report.figures["scaling"] = rounds.ratio(1, 2, "wall")
    # Peaks are in MiB, the aim is in MB.
    report.figures["worker memory"] = (rounds.most(4, "peak_mib") - rounds.most(1, "peak_mib")) / 3 * 1.048576
    report.table("workers", f"Workers, on {CORES} cores, the compressor alone", ["workers", "MB/s", "times as fast as one", "peak, MiB"], rows)


def decrypt(report, ground, data, megabytes, runs):
    """The restore of one dump, against stock tools."""
    fetched = f"{ground.folder}/fetched"
    os.mkdir(fetched)
    ground.backup(ground.stand_in(data.sets["mix"], megabytes * 1_000_000), keep=fetched)
    dump, key = (next(entry.path for entry in os.scandir(fetched) if part in entry.name) for part in (".sql.bz2.enc", ".key."))
    secret = f"{ground.folder}/fetched.txt"
    subprocess.run(["openssl", "pkeyutl", "-decrypt", "-inkey", ground.private_key, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256",
                    "-in", key, "-out", secret], check=True)
    ours = [PROGRAMS / "pgseal", "decrypt", fetched, "--key", ground.private_key, "--workers", CORES]
    theirs = [[*ENC, "-d", "-pass", f"file:{secret}", "-in", dump], ["lbzip2", "-n", str(CORES), "-d"]]
    tools = {"pgseal": lambda: run([ours], env={**os.environ, "PGSEAL_LOG": "error"}), "openssl, lbzip2": lambda: run(theirs)}
    rounds = Rounds(report, "decrypt", "mix", runs, tools)
    report.table("decrypt", "The restore: `openssl enc -d | lbzip2 -d`", columns_of("tool"), rows_of(rounds))
