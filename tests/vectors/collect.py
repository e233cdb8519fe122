"""What the files of faults share: how one vector is written, and the smallest changes."""

import base64

from sealing import DUMP, Backup, sha256

VECTORS = {}
STEM = "app_20261124T020000Z"


def vector(name, comment, objects, expect, fault="", key="recipient-a", backup=STEM, plain=DUMP, released=None, **more):
    """`released`: how much of `plain.sql` may come out of it before it fails, where that is not nothing."""
    header = {"comment": comment, "backup": backup, "key": key, "expect": expect}
    header.update({"object": fault} if fault else {})
    header.update(more)
    if expect in ("ok", "unauthenticated") or more.get("decrypt") == "ok":
        header["plain-sha256"] = sha256(plain)
    elif released:
        header["released"] = released
    lines = [f"{name}: {value}" for name, value in header.items()] + [""]
    for object, body in sorted(objects.items()):
        text = base64.b64encode(body).decode()
        lines += [f"@ {object}"] + [text[at : at + 100] for at in range(0, len(text), 100)]
    assert name not in VECTORS, name
    VECTORS[name] = "\n".join(lines) + "\n"


def flip(body, at, bit=0):
    at %= len(body)
    return body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]


def without(objects, name):
    return {other: body for other, body in objects.items() if other != name}


def older():
    return Backup(time="20261123T020000Z", part=64)
