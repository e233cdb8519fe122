"""Manifests whose MAC is right, and which are wrong all the same; signatures; several generations."""

import base64

from collect import flip, vector, without
from sealing import COMPRESS, DUMP, Backup, Recipient, Signer, sha256, zstd


def inconsistent():
    def put(what, comment, backup, **more):
        vector(f"proven-{what}", comment + "; its MAC is right", backup.objects(), "tampered", "manifest", **more)

    def edit(what, comment, change, **more):
        backup = Backup(part=64)
        change(backup.manifest)
        put(what, comment, backup, **more)

    dump = lambda m: m["objects"][0]
    edit("format-unknown", "a format of the future", lambda m: m.update(format="pgseal/2"))
    edit("database-other", "another database", lambda m: m.update(database="apq"))
    edit("database-climbs", "a database that climbs", lambda m: m.update(database="../app"))
    edit("time-other", "another time", lambda m: m.update(scheduled_time="2026-11-25T02:00:00Z"))
    edit("time-none", "no time", lambda m: m.update(scheduled_time="yesterday"))
    edit("compression-unknown", "an unknown compression", lambda m: m.update(compression="lzma"))
    edit("kdf-unknown", "an unknown key derivation", lambda m: m.update(kdf="scrypt"))
    edit("iterations-none", "no iterations", lambda m: m.update(iterations=0))
    edit("iterations-many", "years of iterations", lambda m: m.update(iterations=4_000_000_000))
    edit(
        "iterations-other", "another number of iterations: the padding shows it", lambda m: m.update(iterations=10_001)
    )
    edit("source-short", "a digest of the source that is too short", lambda m: m.update(source="0" * 63))
    edit("source-upper-case", "a digest of the source in upper case", lambda m: m.update(source="A" * 64))
    edit("selection-no-text", "a selection that is no text", lambda m: m.update(selection=[]))
    edit("key-control", "an object's name with an escape", lambda m: dump(m).update(key="backups/\x1b[2J" + dump(m)["key"][8:]))
    edit("salt-missing", "the dump's salt is missing", lambda m: m["salts"].pop("dump"), released=0)
    edit("salt-other", "another salt than the dump's header has", lambda m: m["salts"].update(dump="00" * 8))
    edit("salt-short", "seven bytes of salt", lambda m: m["salts"].update(dump="00" * 7))
    edit("salt-upper-case", "a salt in upper case", lambda m: m["salts"].update(dump=m["salts"]["dump"].upper() + "AB"))
    edit("inventory-salt-missing", "the inventory's salt is missing", lambda m: m["salts"].pop("inventory"))
    edit("no-dump", "no dump is named", lambda m: m["objects"].pop(0))
    edit("two-dumps", "two dumps are named", lambda m: m["objects"].append(dict(dump(m))))
    edit(
        "foreign-object",
        "the dump of another backup",
        lambda m: dump(m).update(key="backups/app_20261123T020000Z.00000000.sql.enc"),
    )
    edit("hash-upper-case", "a hash in upper case", lambda m: dump(m).update(sha256=dump(m)["sha256"].upper()))
    edit("hash-short", "a hash that is too short", lambda m: dump(m).update(sha256=dump(m)["sha256"][:62]))
    edit(
        "part-hash-other",
        "another hash of part 2",
        lambda m: dump(m)["part_sha256"].__setitem__(1, "0" * 64),
        released=48,
    )
    edit("part-sizes-sum", "parts that do not add up", lambda m: dump(m)["part_sizes"].__setitem__(0, 63))
    edit(
        "part-sizes-overflow",
        "parts that add up beyond all numbers",
        lambda m: dump(m).update(part_sizes=[2**64 - 1, 177, 0]),
    )
    edit("part-sizes-fewer", "fewer sizes than hashes", lambda m: dump(m)["part_sizes"].pop())
    edit(
        "size-other",
        "another size of the dump",
        lambda m: (dump(m).update(size=192), dump(m)["part_sizes"].append(16), dump(m)["part_sha256"].append("0" * 64)),
    )
    edit(
        "key-not-named",
        "the recipient's key object is not among the objects",
        lambda m: m["recipients"][0].update(object="backups/x"),
    )
    edit("bomb", "fewer bytes are promised than come", lambda m: m.update(plain_bytes=100), released=48)
    edit("fewer-bytes", "more bytes are promised than come", lambda m: m.update(plain_bytes=152), released=151)
    edit("rows", "another number of rows", lambda m: m.update(rows=4), decrypt="ok")
    edit("tables", "another number of tables", lambda m: m.update(tables=0), decrypt="ok")

    part_15 = Backup(part=40)
    put("part-within-block", "parts that end within a block", part_15)
    for what, comment, more in (
        ("padding-0", "padding of no byte", bytes(16)),
        ("padding-17", "padding of 17 bytes", b"\x11" * 16),
        ("padding-mixed", "padding of bytes that differ", b"x" * 12 + b"\1\4\4\4"),
    ):
        put(what, comment, Backup(padded=DUMP[:144] + more))
    packed = COMPRESS["bzip2"](DUMP)
    for what, comment, body, released in (
        ("bzip2-cut", "the compressed stream lacks its end", packed[:-10], len(DUMP)),
        ("bzip2-half", "half of the compressed stream", packed[: len(packed) // 2], 0),
        ("bzip2-flip", "a bit of the compressed stream", flip(packed, 60), 0),
        ("bzip2-empty", "nothing was compressed", b"", 0),
        ("bzip2-plain", "what should be compressed is not", DUMP, 0),
        ("bzip2-crc", "the checksum of the compressed stream", flip(packed, -2), len(DUMP)),
    ):
        put(what, comment, Backup(compression="bzip2", packed=body), released=released)
    put(
        "bzip2-trailing",
        "bytes behind the compressed stream",
        Backup(compression="bzip2", packed=packed + b"garbage"),
        released=151,
    )
    put(
        "bzip2-more-text",
        "a second compressed stream that is not promised",
        Backup(compression="bzip2", packed=packed + COMPRESS["bzip2"](b"DROP TABLE t;\n")),
        released=151,
    )
    put(
        "zstd-more-text",
        "a second frame that is not promised",
        Backup(compression="zstd", packed=zstd(DUMP) + zstd(b"DROP TABLE t;\n")),
        released=151,
    )
    put("zstd-cut", "the frame lacks its end", Backup(compression="zstd", packed=zstd(DUMP)[:-10]), released=151)
    put("zstd-plain", "what should be compressed is not", Backup(compression="zstd", packed=DUMP))
    for what, comment, inventory, more in (
        ("inventory-no-json", "the inventory is no JSON", b"hello", {}),
        ("inventory-empty", "the inventory is empty", b"", {}),
        ("inventory-null", "the inventory is null", b"null", {}),
        ("inventory-hash", "the inventory has another hash of the dump", {"plain_sha256": "0" * 64}, {"released": 151}),
        ("inventory-bytes", "the inventory has another length of the dump", {"plain_bytes": 150}, {"released": 151}),
        ("inventory-rows", "the inventory has other rows", {"rows": 4}, {"released": 151}),
        (
            "inventory-tables",
            "the inventory has another table",
            {"tables": [{"name": "public.u", "rows": 3, "bytes": 20}]},
            {"released": 151},
        ),
        ("inventory-source", "the inventory has another host", {"host": "other.example.com", "port": 5432}, {}),
        ("inventory-large-objects", "the inventory has a large object", {"large_objects": 1}, {"released": 151}),
    ):
        backup = Backup(inventory=inventory)
        if what == "inventory-source":
            backup.manifest["source"] = sha256(b"pgseal/1 source\ndb.example.com\n5432\napp")
        put(what, comment, backup, **more)
    for what, comment, wrap in (
        ("key-pkcs1", "the secret is wrapped by PKCS #1 v1.5", lambda r, s: r.pkcs1(s)),
        ("key-oaep-sha1", "the secret is wrapped by OAEP with SHA-1", lambda r, s: r.oaep(s, "sha1")),
        ("key-no-line-end", "the secret has no line end", lambda r, s: r.oaep(s[:-1])),
        ("key-carriage-return", "the secret has the line end of Windows", lambda r, s: r.oaep(s[:-1] + b"\r\n")),
        ("key-upper-case", "the secret is in upper case", lambda r, s: r.oaep(s.upper())),
        ("key-short", "the secret has 63 digits", lambda r, s: r.oaep(s[1:])),
        ("key-two-lines", "the secret has a second line", lambda r, s: r.oaep(s + b"\n")),
        ("key-for-other", "the key object is made for another key", lambda r, s: Recipient("stranger").oaep(s)),
        ("key-raw-zeros", "the key object is all zeros", lambda r, s: bytes(256)),
        ("key-above-modulus", "the key object is above the modulus", lambda r, s: b"\xff" * 256),
    ):
        backup = Backup()
        backup.contents[backup.key] = wrap(backup.recipients[0], backup.file)
        put(what, comment, backup.measure())


def signed():
    signer, impostor = Signer("signer"), Signer("impostor")
    backup = Backup()
    vector(
        "signer-unsigned",
        "not signed, where a signer is pinned",
        backup.objects(),
        "tampered",
        "manifest",
        signer="signer",
    )
    vector(
        "signer-signature-unnamed",
        "a signature, but line 1 names no signer",
        backup.objects(signatures=[signer.sign(backup.line())]),
        "tampered",
        "manifest",
    )
    backup.manifest["signer"] = signer.named()
    line = backup.line()
    good = signer.sign(line)
    objects = backup.objects(signatures=[good])
    vector("ok-signed", "signed", objects, "ok")
    vector("ok-signed-pinned", "signed by the pinned signer", objects, "ok", signer="signer")
    vector(
        "signer-other-pinned",
        "signed, but another signer is pinned",
        objects,
        "tampered",
        "manifest",
        signer="impostor",
    )
    der = base64.b64decode(good["signature"])
    b64 = lambda body: base64.b64encode(body).decode()
    for what, comment, signatures in (
        ("signature-missing", "the named signer's signature is missing", None),
        ("signature-flip", "one bit of the signature", [{**good, "signature": b64(flip(der, 40))}]),
        ("signature-cut", "one byte less", [{**good, "signature": b64(der[:-1])}]),
        ("signature-more", "one byte more", [{**good, "signature": b64(der + b"\0")}]),
        ("signature-empty", "an empty signature", [{**good, "signature": ""}]),
        ("signature-no-base64", "a signature that is no base64", [{**good, "signature": "?"}]),
        ("signature-of-other-line", "the signature of another line", [signer.sign(b"{}\n")]),
        (
            "signature-by-impostor",
            "the signature of another signer, as the named one's",
            [{**good, "signature": impostor.sign(line)["signature"]}],
        ),
        ("signature-fingerprint", "the signature of another signer, said openly", [impostor.sign(line)]),
        ("signature-twice", "the signature twice", [good, good]),
        ("signature-and-other", "a second signature", [good, impostor.sign(line)]),
        ("signature-algorithm", "another algorithm", [{**good, "algorithm": "ecdsa-p256-sha512"}]),
        ("signature-more-field", "a field more", [{**good, "x": 1}]),
    ):
        vector(
            f"signer-{what}", comment, backup.objects(signatures=signatures), "tampered", "manifest", signer="signer"
        )
    backup.manifest["signer"]["fingerprint"] = impostor.fingerprint
    vector(
        "signer-named-fingerprint",
        "the named key has another fingerprint than is named",
        backup.objects(signatures=[signer.sign(backup.line())]),
        "tampered",
        "manifest",
    )
    backup.manifest["signer"] = {"fingerprint": signer.fingerprint, "public_key": "?"}
    vector(
        "signer-named-no-key",
        "the named key is none",
        backup.objects(signatures=[signer.sign(backup.line())]),
        "tampered",
        "manifest",
    )


def generations():
    first = Backup(recipients=("recipient-a",))
    second = Backup(recipients=("recipient-a", "recipient-b"))
    second.manifest["generation"] = 2
    new = {name.replace(".key.", ".2.key."): body for name, body in second.contents.items() if ".key." in name}
    names = {name: name.replace(".key.", ".2.key.") for name in second.contents if ".key." in name}
    second.contents = {**{n: b for n, b in second.contents.items() if ".key." not in n}, **new}
    for listed in second.manifest["objects"] + second.manifest["recipients"]:
        field = "key" if "role" in listed else "object"
        name = listed[field].rsplit("/", 1)[-1]
        listed[field] = "backups/" + names.get(name, name)
    second.measure()
    objects = {**first.objects(), **second.objects()}
    one, two = first.manifest_name(), second.manifest_name()
    vector("ok-generation-2-old-recipient", "rewrapped; the first recipient opens it", objects, "ok")
    vector("ok-generation-2-new-recipient", "rewrapped; the new recipient opens it", objects, "ok", key="recipient-b")
    vector(
        "generation-2-stranger",
        "rewrapped; who is no recipient of any generation",
        objects,
        "wrong_key",
        key="stranger",
    )
    vector(
        "ok-generation-2-retired", "the first generation was retired", without(without(objects, one), first.key), "ok"
    )
    # What still opens it is genuine; that something was changed is said all the same.
    bad = objects[two].replace(b"hmac-sha256:", b"hmac-sha256:0", 1)[:-4] + b'"}\n'
    vector("generation-2-mac", "the newest manifest's MAC", {**objects, two: bad}, "tampered", two, decrypt="ok")
    vector(
        "generation-2-no-json", "the newest manifest is none", {**objects, two: b"x\n"}, "tampered", two, decrypt="ok"
    )
    vector(
        "generation-2-new-key-only",
        "the newest manifest's MAC, for the recipient that only it names",
        {**objects, two: bad},
        "tampered",
        two,
        key="recipient-b",
    )
    bad = objects[one].replace(b"hmac-sha256:", b"hmac-sha256:0", 1)[:-4] + b'"}\n'
    vector("generation-1-mac", "an older manifest's MAC", {**objects, one: bad}, "tampered", one, decrypt="ok")
    vector(
        "generation-1-key",
        "an older generation's key object",
        {**objects, first.key: flip(objects[first.key], 7)},
        "tampered",
        first.key,
        decrypt="ok",
    )
    vector("generation-1-no-json", "an older manifest is none", {**objects, one: b"x\n"}, "tampered", one, decrypt="ok")


def contradictions():
    """Two genuine manifests under one stem: whoever may write to the bucket makes the second with a data key of their own."""
    first, forged = Backup(), Backup(b"DROP TABLE t;\n", label="forged")
    forged.manifest["generation"] = 2
    objects = {**first.objects(), **forged.objects()}
    vector("generation-2-forged", "a newer manifest of another data key and dump", objects, "tampered", "all")
    forged.manifest["generation"] = 1
    first.manifest["generation"] = 2
    objects = {**first.objects(), **forged.objects()}
    vector("generation-1-forged", "an older manifest of another data key and dump", objects, "tampered", "all")

    # The same dump by name and hash; only the key object is another one.
    first, forged = Backup(), Backup(label="forged")
    own = {name: body for name, body in forged.contents.items() if ".key." in name}
    key = next(listed for listed in forged.manifest["objects"] if listed["role"] == "key")
    forged.manifest.update(first.manifest, generation=2, recipients=forged.manifest["recipients"])
    forged.manifest["objects"] = [listed for listed in first.manifest["objects"] if listed["role"] != "key"] + [key]
    line = forged.line()
    second = f"{first.stem}.manifest.2.jsonl"
    objects = {**first.objects(), **own, second: line + forged.proof(line)}
    vector("generation-2-other-data-key", "a newer manifest of another data key for the same dump", objects, "tampered", "all")

    signer = Signer("signer")
    first, second = Backup(), Backup()
    first.manifest["signer"] = signer.named()
    second.manifest["generation"] = 2
    objects = {**second.objects(), **first.objects(signatures=[signer.sign(first.line())])}
    vector("generation-2-unsigned", "a signed manifest and a newer one that is not", objects, "tampered", "all")
    more = {"signer": "signer"}
    vector("generation-2-unsigned-pinned", "the same, where the signer is pinned", objects, "ok", **more)
    forged = Backup(b"DROP TABLE t;\n", label="forged")
    forged.manifest["generation"] = 2
    objects = {**forged.objects(), **first.objects(signatures=[signer.sign(first.line())])}
    vector("generation-2-forged-signed", "a signed manifest and a forged newer one", objects, "tampered", "all")
    vector("generation-2-forged-pinned", "the same, where the signer is pinned", objects, "ok", **more)
