#!/usr/bin/env python3
"""Writes the test vectors anew, the same bytes each time: see README.md. `generate.py --check` only compares."""

import pathlib
import sys

import manifests
import objects
import old
import proven
from collect import VECTORS
from sealing import DUMP

HERE = pathlib.Path(__file__).parent

for part in (
    objects.whole,
    objects.changed_dump,
    objects.changed_small,
    objects.sets,
    manifests.line_1,
    manifests.line_2,
    proven.inconsistent,
    proven.signed,
    proven.generations,
    proven.contradictions,
    old.legacy,
):
    part()
stale = {path.stem for path in HERE.glob("*.vector")} - VECTORS.keys()
if "--check" in sys.argv:
    differ = [
        name
        for name, text in VECTORS.items()
        if not (HERE / f"{name}.vector").exists() or (HERE / f"{name}.vector").read_text() != text
    ]
    sys.exit(f"not as generated: {', '.join(sorted(stale) + differ)}" if stale or differ else 0)
for name in stale:
    (HERE / f"{name}.vector").unlink()
(HERE / "plain.sql").write_bytes(DUMP)
for name, text in VECTORS.items():
    (HERE / f"{name}.vector").write_text(text)
print(f"{len(VECTORS)} vectors, {sum(map(len, VECTORS.values()))} bytes")
