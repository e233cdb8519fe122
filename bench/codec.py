"""The bzip2 coders alone, one thread each: CPU time and size by data set."""

import os
import subprocess
import sys

from data import SETS
from settings import CORES, PROGRAMS
from usage import Rounds, run

OURS = PROGRAMS / "pgseal-bzip2"
ENCODERS = {"pgseal": [OURS, "-p1"], "pgseal, scalar": [OURS, "-p1", "--scalar"], "lbzip2": ["lbzip2", "-n1", "-9"], "bzip2": ["bzip2", "-9"]}
DECODERS = {"pgseal": [OURS, "-p1", "-d"], "lbzip2": ["lbzip2", "-n1", "-d"], "bzip2": ["bzip2", "-d"]}

# With all cores, as each is meant to be used. zstd is another format: what one pays for bzip2's.
PACKERS = {
    "pgseal-bzip2": [OURS, "-p", CORES],
    "lbzip2": ["lbzip2", "-n", CORES, "-9"],
    "7-Zip": ["7zz", "a", "-tbzip2", "-mx5", f"-mmt{CORES}", "-bd", "-bso0", "-bsp0", "-si", "-so", "packed.bz2"],
    "zstd -3": ["zstd", "-q", "-3", f"-T{CORES}", "-c"],
    "zstd -9": ["zstd", "-q", "-9", f"-T{CORES}", "-c"],
}
UNPACKERS = {
    "pgseal-bzip2": [OURS, "-d", "-p", CORES],
    "lbzip2": ["lbzip2", "-n", CORES, "-d"],
    "7-Zip": ["7zz", "e", "-tbzip2", f"-mmt{CORES}", "-bd", "-bso0", "-bsp0", "-si", "-so"],
    "rapidgzip": ["rapidgzip", "-d", "-c", "-P", CORES],
}


def encoder(report, data, work, runs):
    rows = []
    for name in SETS:
        source, length = data.sets[name], os.path.getsize(data.sets[name])
        sizes = {tool: packed_size(command, source, f"{work}/packed.bz2") for tool, command in ENCODERS.items()}
        # The original is slow and its time not aimed at: once is enough.
        in_turn = {tool: lambda command=command: run([command], stdin=source) for tool, command in ENCODERS.items() if tool != "bzip2"}
        rounds = Rounds(report, "encoder", name, runs, in_turn)
        original = run([ENCODERS["bzip2"]], stdin=source)
        user = {tool: rounds.ratio(tool, "lbzip2", "user") for tool in ("pgseal", "pgseal, scalar")}
        report.figures |= {f"encoder {name}": user["pgseal"], f"encoder, scalar {name}": user["pgseal, scalar"]}
        speeds = [length / 1e6 / seconds for seconds in (*(rounds.median(tool, "cpu") for tool in in_turn), original.cpu)]
        rows.append([name, length, user["pgseal"], user["pgseal, scalar"], *speeds, length / sizes["pgseal"], sizes["pgseal"] / sizes["bzip2"], sizes["pgseal"] / sizes["lbzip2"]])
    columns = ["set", "bytes", "user CPU / lbzip2", "scalar / lbzip2", *(f"{tool}, MB per CPU-s" for tool in ENCODERS), "bytes in / out", "size / bzip2", "size / lbzip2"]
    report.table("encoder", "Encoder, one thread", columns, rows)
    sets = {row["set"]: row for row in report.rows("encoder")}
    report.figures |= {"size bzip2": max(row["size / bzip2"] for row in sets.values()), "size lbzip2 mix": sets["mix"]["size / lbzip2"],
                       "size lbzip2": max(row["size / lbzip2"] for row in sets.values())}


def packed_size(command, source, packed):
    """Of one run, whose output bzip2 must take back to the same bytes."""
    run([command], stdin=source, stdout=packed)
    back = subprocess.Popen(["bzip2", "-dc", packed], stdout=subprocess.PIPE)
    same = subprocess.run(["cmp", "-", source], stdin=back.stdout).returncode == 0
    if back.wait() or not same:
        sys.exit(f"bzip2 -d does not make {source} of what {command} wrote")
    return os.path.getsize(packed)


def decoder(report, data, work, runs):
    rows = []
    for name in ["mix", "d100"]:
        packed, length = f"{work}/{name}.bz2", os.path.getsize(data.sets[name])
        run([["bzip2", "-9"]], stdin=data.sets[name], stdout=packed)
        rounds = Rounds(report, "decoder", name, runs, {tool: lambda command=command: run([command], stdin=packed) for tool, command in DECODERS.items()})
        ratios = [rounds.ratio("pgseal", tool, "user") for tool in ("lbzip2", "bzip2")]
        report.figures[f"decoder {name}"] = ratios[0]
        rows.append([name, *ratios, *(length / 1e6 / rounds.median(tool, "cpu") for tool in DECODERS)])
    report.table("decoder", "Decoder, one worker, a stream of `bzip2 -9`", ["set", "user CPU / lbzip2", "user CPU / bzip2", *(f"{tool}, MB per CPU-s" for tool in DECODERS)], rows)


def peers(report, data, work, runs):
    """Ours beside those that use several cores too."""
    source, length, packed = data.sets["mix"], os.path.getsize(data.sets["mix"]), f"{work}/peers.bz2"
    run([["bzip2", "-9"]], stdin=source, stdout=packed)
    rows = []
    for what, tools, read in (("compress", PACKERS, source), ("decompress", UNPACKERS, packed)):
        rounds = Rounds(report, what, "mix", runs, {tool: lambda command=command, read=read: run([command], stdin=read) for tool, command in tools.items()})
        for tool, command in tools.items():
            result = f"{work}/result"
            run([command], stdin=read, stdout=result)
            if what == "decompress" and subprocess.run(["cmp", result, source]).returncode:
                sys.exit(f"{tool} does not make {source} of {packed}")
            ratios = [rounds.ratio(tool, "pgseal-bzip2", "wall"), rounds.ratio("pgseal-bzip2", tool, "cpu")]
            in_out = length / os.path.getsize(result) if what == "compress" else ""
            rows.append([what, tool, length / 1e6 / rounds.median(tool, "wall"), *ratios, rounds.most(tool, "peak_mib"), in_out])
    columns = ["what", "tool", "MB/s", "its wall / pgseal's", "pgseal's CPU / its", "peak, MiB", "bytes in / out"]
    report.table("codec-peers", f"The codec beside others, {CORES} threads, set mix", columns, rows)
