"""Whole backups, and changes to their objects by who has no secret."""

from collect import STEM, flip, older, vector, without
from sealing import COMPRESS, DUMP, Backup, Recipient, fixed, sha256, zstd
import json

# --- whole ones -------------------------------------------------------------------------------------------------------


def whole():
    for compression in COMPRESS:
        vector(
            f"ok-{compression}", f"a backup, compression {compression}", Backup(compression=compression).objects(), "ok"
        )
        for length in (0, 1, 15, 16, 17):
            plain = DUMP[:length]
            objects = Backup(plain, compression, tables=[]).objects()
            vector(f"ok-{compression}-{length}-bytes", f"a plaintext of {length} bytes", objects, "ok", plain=plain)
    for part in (16, 32, 64, 160, 176):
        objects = Backup(part=part).objects()
        vector(f"ok-parts-of-{part}", f"the dump in parts of {part} bytes", objects, "ok")
    names = ("recipient-a", "recipient-b", "recipient-c")
    for name in names:
        objects = Backup(recipients=names).objects()
        vector(f"ok-three-recipients-{name[-1]}", f"for three recipients, opened by {name}", objects, "ok", key=name)
    for iterations in (1, 100_000):
        objects = Backup(iterations=iterations).objects()
        vector(f"ok-iterations-{iterations}", "the number of iterations is the manifest's", objects, "ok")
    backup = Backup(database="a/b ü", encoded="a%2Fb%20%C3%BC")
    vector("ok-encoded-name", "a database whose name is percent-encoded", backup.objects(), "ok", backup=backup.stem)
    backup = Backup()
    backup.manifest["from_a_later_version"] = {"x": [1, None]}
    vector("ok-unknown-field", "line 1 has a field that this reader does not know", backup.objects(), "ok")
    line = json.dumps(Backup().manifest, indent=None).encode() + b"\n"
    vector("ok-spaces-in-line-1", "the MAC covers line 1 as written, spaces included", Backup().objects(line), "ok")
    for what, selection, partial in (
        ("source", b'{"tables":[],"exclude_tables":[],"exclude_table_data":[],"schemas":[],"exclude_schemas":[],"globals":false}', False),
        ("partial", b'{"tables":["t"],"exclude_tables":[],"exclude_table_data":[],"schemas":[],"exclude_schemas":[],"globals":false}', True),
    ):
        place = {"host": "db.example.com", "port": 5432, "selection": json.loads(selection), "partial": partial}
        backup = Backup(inventory=place)
        backup.manifest["source"] = sha256(b"pgseal/1 source\ndb.example.com\n5432\napp")
        backup.manifest["selection"] = sha256(b"pgseal/1 selection\n" + selection)
        backup.manifest["partial"] = partial
        vector(f"ok-{what}", "line 1 says of which source and selection it is", backup.objects(), "ok")
    half = len(DUMP) // 2
    for compression, pack in (("bzip2", COMPRESS["bzip2"]), ("zstd", zstd)):
        objects = Backup(compression=compression, packed=pack(DUMP[:half]) + pack(DUMP[half:])).objects()
        vector(f"ok-{compression}-two-streams", "two streams, one behind the other", objects, "ok")
    backup = Backup()
    card = f"# How to restore {STEM}\n".encode()
    backup.manifest["card_sha256"] = sha256(card)
    name = f"{STEM}.RECOVER.md"
    vector("ok-card", "with a recovery card", {**backup.objects(), name: card}, "ok")
    vector("ok-card-missing", "the run ended between manifest and card", backup.objects(), "ok")
    for what, changed in (("flip", flip(card, 5)), ("cut", card[:-1]), ("more", card + b"rm -rf .\n"), ("empty", b"")):
        objects = {**backup.objects(), name: changed}
        vector(f"card-{what}", "other words on the card", objects, "tampered", name, decrypt="ok")
    for role, text in (("other-object", b"unrelated"),):
        objects = {**Backup().objects(), f"{STEM}.deadbeef.sql.enc": text}
        vector(f"ok-{role}", "the left-over of another attempt lies beside it", objects, "ok")
    vector("ok-older-beside", "another backup lies beside it", {**older().objects(), **Backup().objects()}, "ok")


# --- changed objects --------------------------------------------------------------------------------------------------


def changed_dump():
    for compression in ("none", "bzip2", "zstd"):
        backup = Backup(compression=compression, part=64)
        good, objects, other = backup.contents[backup.dump], backup.objects(), older()
        parts = backup.cut()

        def put(name, comment, body):
            same = next((n for n, (a, b) in enumerate(zip(good, body)) if a != b), min(len(good), len(body)))
            # A part comes out once it was found good: its plaintext lies one block before its ciphertext, and behind the
            # head of a frame. Of bzip2 nothing comes before its only block is whole; another size is seen at once.
            head = {"none": 16, "zstd": 28, "bzip2": same}[compression]
            before = max(0, same // 64 * 64 - head) if len(body) == len(good) else 0
            objects_ = {**objects, backup.dump: body}
            vector(f"dump-{compression}-{name}", comment, objects_, "tampered", backup.dump, released=before)

        for at in (0, 7, 8, 15, 16, 63, 64, 127, 128, len(good) - 17, len(good) - 1):
            put(f"flip-{at}", f"one bit of byte {at}", flip(good, at, at % 8))
        for length in (0, 1, 15, 16, 64, 128, len(good) - 16, len(good) - 1):
            put(f"cut-{length}", f"only its first {length} bytes", good[:length])
        put("more-byte", "one byte more", good + b"\0")
        put("more-block", "one block more", good + good[-16:])
        put("more-part", "its last part twice", good + parts[-1])
        put("swap-parts", "parts 1 and 2 exchanged", b"".join([parts[1], parts[0], *parts[2:]]))
        put("swap-blocks", "two blocks of one part exchanged", good[:80] + good[96:112] + good[80:96] + good[112:])
        put("part-doubled", "part 1 in the place of part 2", parts[0] + parts[0] + b"".join(parts[2:]))
        put("part-missing", "part 2 missing", parts[0] + b"".join(parts[2:]))
        put("zeros", "a block of zeros", good[:64] + bytes(16) + good[80:])
        if compression == "none":
            old = other.contents[other.dump]
            put("of-older", "the dump of an older backup", old)
            put("splice-older", "part 2 of an older backup", parts[0] + other.cut()[1] + b"".join(parts[2:]))


def changed_small():
    names = ("recipient-b", "recipient-a")
    backup, other = Backup(recipients=names), older()
    objects, key = backup.objects(), backup.key
    good = backup.contents[key]
    b = next(name for name in backup.contents if ".key." in name and name != key)
    small = {
        "flip-first": (flip(good, 0), "one bit of its first byte"),
        "flip-middle": (flip(good, 100, 3), "one bit in its middle"),
        "flip-last": (flip(good, -1, 7), "one bit of its last byte"),
        "cut": (good[:-1], "one byte less"),
        "empty": (b"", "no byte"),
        "more": (good + b"\0", "one byte more"),
        "of-older": (other.contents[other.key], "the same key's object of an older backup"),
        "of-other": (backup.contents[b], "the object of the other recipient"),
        "new": (
            Recipient("recipient-a").oaep(fixed("forged", 32).hex().encode() + b"\n"),
            "a secret of somebody else's",
        ),
    }
    for name, (body, comment) in small.items():
        vector(f"key-{name}", comment, {**objects, key: body}, "tampered", key)
    vector(
        "key-not-needed",
        "one bit of the other recipient's key object",
        {**objects, b: flip(objects[b], 9)},
        "tampered",
        b,
        decrypt="ok",
    )
    vector(
        "key-not-needed-missing",
        "the other recipient's key object is missing",
        without(objects, b),
        "tampered",
        b,
        decrypt="ok",
    )

    backup = Backup()
    good, objects, name = backup.contents[backup.inventory], backup.objects(), backup.inventory
    for at in (0, 8, 16, 100, len(good) - 17, len(good) - 1):
        vector(
            f"inventory-flip-{at}", f"one bit of byte {at}", {**objects, name: flip(good, at, at % 8)}, "tampered", name
        )
    for length in (0, 16, 64, len(good) - 16, len(good) - 1):
        vector(
            f"inventory-cut-{length}",
            f"only its first {length} bytes",
            {**objects, name: good[:length]},
            "tampered",
            name,
        )
    vector("inventory-more", "one byte more", {**objects, name: good + b"\0"}, "tampered", name)
    vector(
        "inventory-of-older",
        "the inventory of an older backup",
        {**objects, name: other.contents[other.inventory]},
        "tampered",
        name,
    )
    vector(
        "inventory-is-dump", "the dump in its place", {**objects, name: backup.contents[backup.dump]}, "tampered", name
    )


def sets():
    backup, other = Backup(), older()
    objects = backup.objects()
    for role, name in (("dump", backup.dump), ("key", backup.key), ("inventory", backup.inventory)):
        vector(f"set-without-{role}", f"the {role} is missing", without(objects, name), "tampered", name)
    vector(
        "set-without-manifest",
        "without a manifest it is no backup",
        without(objects, backup.manifest_name()),
        "no_backup",
        backup.manifest_name(),
    )
    vector("set-empty", "nothing at all", {}, "no_backup")
    for what, to in (("time", "app_20261125T020000Z"), ("database", "apq_20261124T020000Z")):
        renamed = {name.replace(STEM, to): body for name, body in objects.items()}
        vector(f"set-renamed-{what}", f"all objects under another {what}", renamed, "tampered", "all", backup=to)
        manifest = {**objects, f"{to}.manifest.jsonl": objects[backup.manifest_name()]}
        vector(
            f"set-manifest-renamed-{what}",
            f"its manifest under another {what}",
            manifest,
            "tampered",
            "manifest",
            backup=to,
        )
    rolled = {
        name.replace(other.stem, STEM).replace(other.run, backup.run): body for name, body in other.objects().items()
    }
    vector("set-rolled-back", "an older backup under this one's names", rolled, "tampered", "all")
    vector(
        "set-manifest-of-older",
        "the manifest of an older backup",
        {**objects, **older_manifest(backup, other)},
        "tampered",
        backup.manifest_name(),
    )
    exchanged = {**objects, backup.dump: objects[backup.inventory], backup.inventory: objects[backup.dump]}
    vector("set-names-exchanged", "dump and inventory exchanged", exchanged, "tampered", "all")
    vector(
        "set-generation-claimed",
        "the manifest under the name of a second generation, alone",
        {**without(objects, backup.manifest_name()), f"{STEM}.manifest.2.jsonl": objects[backup.manifest_name()]},
        "tampered",
        "manifest",
    )
    forged = Backup(label="forged")
    forged_line = forged.line()
    vector(
        "set-manifest-forged",
        "a manifest by somebody who has another secret",
        {**objects, **{backup.manifest_name(): backup.line() + forged.proof(backup.line())}},
        "tampered",
        backup.manifest_name(),
    )
    vector(
        "set-dump-forged",
        "dump and manifest of a set with another secret, the key object kept",
        {
            **objects,
            forged.dump: forged.contents[forged.dump],
            backup.manifest_name(): forged_line + forged.proof(forged_line),
        },
        "tampered",
        "all",
    )
    for stranger in ("stranger", "recipient-b", "recipient-c"):
        vector(f"wrong-key-{stranger}", "opened by who is no recipient", objects, "wrong_key", key=stranger)
    for part in (None, 64):
        vector(
            f"wrong-key-compressed-{part}",
            "the same, compressed",
            Backup(compression="bzip2", part=part).objects(),
            "wrong_key",
            key="stranger",
        )


def older_manifest(backup, other):
    return {backup.manifest_name(): other.objects()[other.manifest_name()]}
