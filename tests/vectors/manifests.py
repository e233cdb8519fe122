"""Changes to the manifest by who has no secret: its two lines."""

import hmac
import json

from collect import flip, older, vector
from sealing import Backup, sha256

OTHER = {
    "format": "legacy",
    "program": "pgseal 0.1.1",
    "run": "00000000",
    "database": "apq",
    "scheduled_time": "2026-11-25T02:00:00Z",
    "started_at": "2026-11-24T02:00:01Z",
    "finished_at": "2026-11-24T02:00:01Z",
    "server_version": "17.1",
    "pg_dump_version": "17.1",
    "compression": "bzip2:9",
    "cipher": "aes-128-cbc",
    "kdf": "evp-bytes-to-key-md5",
    "iterations": 10_001,
    "salts": {"dump": "0000000000000000", "inventory": "0000000000000000"},
    "plain_bytes": 1,
    "objects": [],
    "recipients": [],
    "tables": 2,
    "rows": 4,
}


def line_1():
    backup = Backup()
    objects, name, line = backup.objects(), backup.manifest_name(), backup.line()
    proof = backup.proof(line)

    def put(what, comment, changed, expect="tampered", **more):
        vector(f"line-1-{what}", comment, {**objects, name: changed + proof}, expect, name, **more)

    def edited(change):
        manifest = json.loads(line)
        change(manifest)
        return json.dumps(manifest, separators=(",", ":")).encode() + b"\n"

    for field, value in OTHER.items():
        expect = "wrong_key" if field == "recipients" else "tampered"
        put(f"{field}-changed", f"{field} is another one", edited(lambda m: m.update({field: value})), expect)
        put(f"{field}-removed", f"{field} is missing", edited(lambda m: m.pop(field)))
        text = json.dumps(value).encode()
        put(
            f"{field}-doubled",
            f"{field} twice, the second time another",
            line[:-2] + f',"{field}":'.encode() + text + b"}\n",
        )
    for field in ("role", "key", "size", "sha256", "part_sizes", "part_sha256"):
        put(f"object-{field}-removed", f"the dump's {field} is missing", edited(lambda m: m["objects"][0].pop(field)))
    for field, value in (
        ("key", "backups/other.sql.enc"),
        ("size", 1),
        ("sha256", "0" * 64),
        ("part_sizes", [1]),
        ("part_sha256", ["0" * 64]),
        ("role", "globals"),
    ):
        put(
            f"object-{field}-changed",
            f"the dump's {field} is another one",
            edited(lambda m: m["objects"][0].update({field: value})),
        )
    for field, value, expect in (
        ("fingerprint", "0" * 64, "wrong_key"),
        ("bits", 4096, "tampered"),
        ("wrap", "none", "tampered"),
        ("object", "backups/x", "tampered"),
    ):
        put(
            f"recipient-{field}-changed",
            f"the recipient's {field} is another one",
            edited(lambda m: m["recipients"][0].update({field: value})),
            expect,
        )
    put("more-field", "a field more", edited(lambda m: m.update(x=1)))
    put("generation", "it says that it is the second", edited(lambda m: m.update(generation=2)))
    put("card", "it names a card", edited(lambda m: m.update(card_sha256="0" * 64)))
    put("space", "one space behind a colon", line.replace(b":", b": ", 1))
    put("space-before", "one space before it", b" " + line)
    put("space-behind", "one space behind it", line[:-1] + b" \n")
    put("carriage-return", "its line end is that of Windows", line[:-1] + b"\r\n")
    put("escape", "one letter is written as an escape", line.replace(b'"app"', b'"\\u0061pp"'))
    put("order", "two fields exchanged", edited(lambda m: m.update(format=m.pop("format"))))
    put("float", "a number with a decimal point", line.replace(b'"rows":3', b'"rows":3.0'))
    put("negative", "a number below zero", line.replace(b'"rows":3', b'"rows":-3'))
    put("byte-order-mark", "a byte order mark before it", b"\xef\xbb\xbf" + line)
    put("empty", "it is empty", b"\n")
    put("null", "it is null", b"null\n")
    put("list", "it is a list", b"[" + line[:-1] + b"]\n")
    put("not-utf-8", "a byte that is no UTF-8", line.replace(b'"app"', b'"ap\xff"'))
    put("nul", "a NUL byte", line.replace(b'"app"', b'"ap\0"'))
    put("cut", "half of it", line[: len(line) // 2] + b"\n")
    put("no-line-end", "the two lines are one", line[:-1])
    put("deep", "nested ten thousand deep", line[:-2] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n")


def line_2():
    backup = Backup()
    objects, name, line = backup.objects(), backup.manifest_name(), backup.line()
    mac, proof = backup.mac(line), backup.proof(line)
    letter = next(n for n, c in enumerate(mac) if n > 12 and c.isalpha())
    other = older()
    changed = {
        "mac-flip-first": (proof.replace(mac[12:].encode(), flip(mac[12:].encode(), 0)), "one bit of the first digit"),
        "mac-flip-last": (proof.replace(mac[12:].encode(), flip(mac[12:].encode(), -1)), "one bit of the last digit"),
        "mac-digit-case": (
            proof.replace(mac.encode(), (mac[:letter] + mac[letter].upper() + mac[letter + 1 :]).encode()),
            "one hex digit is upper case",
        ),
        "mac-upper-case": (
            proof.replace(mac[12:].encode(), mac[12:].upper().encode()),
            "all hex digits are upper case",
        ),
        "mac-short": (proof.replace(mac.encode(), mac[:-2].encode()), "one byte less"),
        "mac-long": (proof.replace(mac.encode(), mac.encode() + b"00"), "one byte more"),
        "mac-empty": (b'{"mac":""}\n', "no MAC"),
        "mac-prefix-only": (b'{"mac":"hmac-sha256:"}\n', "no digits"),
        "mac-no-prefix": (proof.replace(b"hmac-sha256:", b""), "the algorithm is missing"),
        "mac-other-algorithm": (proof.replace(b"hmac-sha256:", b"hmac-sha512:"), "another algorithm is named"),
        "mac-algorithm-case": (proof.replace(b"hmac", b"HMAC"), "the algorithm in upper case"),
        "mac-zeros": (f'{{"mac":"hmac-sha256:{"0" * 64}"}}\n'.encode(), "all zeros"),
        "mac-null": (b'{"mac":null}\n', "null"),
        "mac-of-older": (other.proof(other.line()), "line 2 of an older backup"),
        "mac-doubled": (proof[:-2] + b',"mac":"x"}\n', "the MAC twice"),
        "mac-without-line-end": (backup.proof(line[:-1]), "the MAC of line 1 without its line end"),
        "mac-by-secret": (
            b'{"mac":"hmac-sha256:' + hmac.digest(backup.secret, line, "sha256").hex().encode() + b'"}\n',
            "the secret itself as the MAC's key",
        ),
        "mac-plain-hash": (f'{{"mac":"hmac-sha256:{sha256(line)}"}}\n'.encode(), "the hash of line 1"),
        "missing": (b"", "it is missing"),
        "empty-object": (b"{}\n", "an empty object"),
        "no-line-end": (proof[:-1], "its line end is missing"),
        "two-line-ends": (proof + b"\n", "an empty line behind it"),
        "carriage-return": (proof[:-1] + b"\r\n", "its line end is that of Windows"),
        "space": (proof.replace(b":", b": ", 1), "one space behind a colon"),
        "space-before": (b" " + proof, "one space before it"),
        "space-behind": (proof[:-1] + b" \n", "one space behind it"),
        "doubled": (proof + proof, "twice"),
        "more-line": (proof + b"{}\n", "a line more"),
        "more-byte": (proof + b"\0", "a byte more"),
        "more-field": (proof[:-2] + b',"x":1}\n', "a field more"),
        "no-signatures": (proof[:-2] + b',"signatures":[]}\n', "an empty list of signatures"),
        "escape": (proof.replace(b"mac", b"\\u006dac"), "one letter is written as an escape"),
        "list": (b"[" + proof[:-1] + b"]\n", "it is a list"),
        "cut": (proof[:30], "half of it"),
    }
    for what, (body, comment) in changed.items():
        vector(f"line-2-{what}", comment, {**objects, name: line + body}, "tampered", name)
    for what, body in (
        ("lines-exchanged", proof + line),
        ("empty", b""),
        ("line-end-only", b"\n"),
        ("no-json", b"app\n\n"),
    ):
        vector(f"manifest-{what}", what.replace("-", " "), {**objects, name: body}, "tampered", name)
