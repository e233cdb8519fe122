"""The data: a dump of a real database (data.sql), and sets of rows cut from it or made. Made once and kept in the cache."""

import hashlib
import mmap
import shutil
import sys
from pathlib import Path

from settings import CACHE

HERE = Path(__file__).parent

# No set is larger: 111 blocks of bzip2.
SET_BYTES = 100_000_000
PIECE = 1_000_000

PGBENCH = ["pgbench_accounts", "pgbench_history"]
EVERYTHING = [*PGBENCH, "articles", "orders", "events", "documents"]
CUTS = {
    "mix": EVERYTHING,
    "d100": ["orders", "events", "documents"],  # the harder part
    "pgbench": PGBENCH,
    "orders": ["orders"],
    "text": ["articles"],
}
SETS = [*CUTS, "onerow", "rows40", "sparse", "random"]


class Data:
    """Files with rows, by name in `sets`, and the dump `full` that the cuts are from."""

    def __init__(self, folder):
        self.full = folder / "full.sql"
        self.sets = {name: folder / f"{name}.rows" for name in SETS}

    @classmethod
    def make(cls, ground, megabytes):
        """Also leaves the database in the server, under the name `bench`."""
        recipe = b"".join((HERE / name).read_bytes() for name in ["data.sql", "data.py"])
        folder = CACHE / f"{megabytes}-{hashlib.sha256(recipe).hexdigest()[:12]}"
        if folder.exists():
            ground.create("bench", folder / "full.sql")
            return cls(folder)
        print(f"making the data, once: {folder}", file=sys.stderr)
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        made = cls(making)
        ground.create("bench", HERE / "data.sql", mb=megabytes)
        ground.dump("bench", made.full)
        with open(made.full, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as dump:
            tables = sections(dump)
            for name, of in CUTS.items():
                write(made.sets[name], sample(dump, [tables[table] for table in of]))
            start, end = tables["orders"]
            rows = [next_row(dump, start + (end - start) * k // 40, end) for k in range(40)]
        size = min(SET_BYTES, megabytes * 1_000_000)
        write(made.sets["onerow"], up_to(size, one_row(rows)))
        write(made.sets["rows40"], up_to(size, rows_at_random(rows)))
        write(made.sets["sparse"], up_to(size, padded_rows()))
        write(made.sets["random"], [hashlib.shake_128(b"random").digest(size)])
        making.rename(folder)
        return cls(folder)


def sections(dump):
    """Where each table's rows stand in the dump."""
    found, at = {}, 0
    while (head := dump.find(b"\nCOPY public.", at)) >= 0:
        name = dump[head + len(b"\nCOPY public.") : dump.find(b" ", head + 6)].decode()
        start = dump.find(b"\n", head + 1) + 1
        # From the line end before it: the table may have no row.
        at = dump.find(b"\n\\.\n", start - 1) + 1
        found[name] = (start, at)
    return found


def sample(dump, parts):
    """Whole rows in pieces of a megabyte, evenly from these parts: all of them, or as much as a set has."""
    total = sum(end - start for start, end in parts)
    if total <= SET_BYTES:
        return [dump[start:end] for start, end in parts]
    pieces = SET_BYTES // PIECE
    return (piece(dump, parts, total * number // pieces) for number in range(pieces))


def piece(dump, parts, offset):
    for start, end in parts:
        if offset < end - start:
            first = start if offset == 0 else dump.find(b"\n", start + offset - 1, end) + 1
            behind = dump.find(b"\n", min(first + PIECE, end) - 1, end) + 1
            return dump[first:behind]
        offset -= end - start
    raise ValueError("behind the last part")


def next_row(dump, at, end):
    first = dump.find(b"\n", at, end) + 1
    return dump[first : dump.find(b"\n", first, end) + 1]


def one_row(rows):
    while True:
        yield rows[0] * 4096


def rows_at_random(rows):
    """By a fixed stream of bytes; the few that would favour the first rows are left out."""
    number = 0
    while True:
        choices = hashlib.shake_128(f"rows {number}".encode()).digest(4096)
        yield b"".join(rows[choice % len(rows)] for choice in choices if choice < 256 - 256 % len(rows))
        number += 1


def padded_rows():
    """As tables of old programs have them: columns of fixed length, mostly air."""
    number = 0
    while True:
        word = hashlib.md5(str(number).encode()).hexdigest()
        zeros = "00" * (200 + int(word[:2], 16))
        yield f"{number:010}\t{word[2:10]:<400}\t{word[10:12]:<80}\t\\\\x{zeros}{word[12:16]}\n".encode()
        number += 1


def up_to(size, pieces):
    """As many whole pieces as fit, at least one."""
    for item in pieces:
        yield item
        size -= len(item)
        if size < len(item):
            return


def write(path, pieces):
    with open(path, "wb") as file:
        file.writelines(pieces)
