"""What the old image wrote, and the old format as it is written now."""

from collect import flip, vector, without
from sealing import COMPRESS, DUMP, Backup, bytes_to_key, enc, fixed, pad, pbkdf2


def legacy():
    sealed = Backup(compression="bzip2", format="legacy")
    objects, key, dump = sealed.objects(), sealed.key, sealed.dump
    good = sealed.contents[dump]
    vector("ok-legacy", "the old format, with a manifest beside it", objects, "ok")
    vector("legacy-dump-flip", "one bit of the dump", {**objects, dump: flip(good, 30)}, "tampered", dump)
    vector("legacy-dump-cut", "one block less", {**objects, dump: good[:-16]}, "tampered", dump)
    vector("legacy-key-flip", "one bit of the key file", {**objects, key: flip(objects[key], 30)}, "tampered", key)
    vector("legacy-wrong-key", "opened by who is no recipient", objects, "wrong_key", key="stranger")

    stem = "app_2026-11-24T02:00:00Z"
    text = sealed.file
    recipient, salt, packed = sealed.recipients[0], fixed("salt old", 8), COMPRESS["bzip2"](DUMP)

    def old(
        derived, file=text, names=(f"{stem}.key.txt.enc", f"{stem}.sql.bz.enc"), wrap=recipient.pkcs1, packed=packed
    ):
        return {names[0]: wrap(file), names[1]: enc(pad(packed), derived, salt)}

    def put(name, comment, objects, expect, **more):
        # Nothing in it can be checked: whoever asks for that is told so, whatever the key and whatever was changed.
        verify = {} if expect == "no_backup" or "signer" in more else {"verify": "no_backup"}
        vector(f"old-{name}", comment, objects, expect, backup=stem, **verify, **more)

    first = sealed.secret
    derived = bytes_to_key(first, salt, "sha256")
    put("sha256", "by the old image: its key from SHA-256", old(derived), "unauthenticated")
    put(
        "md5",
        "by the old image: its key from MD5, as before OpenSSL 1.1",
        old(bytes_to_key(first, salt, "md5")),
        "unauthenticated",
    )
    put("pbkdf2", "by the old image: its key from PBKDF2", old(pbkdf2(first, salt)), "unauthenticated")
    put(
        "one-line",
        "a key file of one line without its end",
        old(bytes_to_key(first, salt, "sha256"), first),
        "unauthenticated",
    )
    carriage = text.replace(b"\n", b"\r\n")
    put("empty-dump", "a dump of no byte", old(derived, packed=COMPRESS["bzip2"](b"")), "unauthenticated", plain=b"")
    put(
        "whole-file",
        "the whole key file as passphrase, which `openssl enc` never took",
        old(bytes_to_key(text, salt, "sha256")),
        "wrong_key",
    )
    put("wrong-key", "opened by another key", old(derived), "wrong_key", key="stranger")
    put("wrong-size", "opened by a key of another size", old(derived), "wrong_key", key="recipient-c")
    put("other-dump", "the key file belongs to another dump", old(bytes_to_key(b"x" * 64, salt, "sha256")), "wrong_key")
    put("binary-key", "what was wrapped is no text", old(derived, fixed("binary", 128)), "wrong_key")
    put("oaep", "the key file was wrapped by OAEP", old(derived, wrap=recipient.oaep), "wrong_key")
    whole = old(derived)
    key, dump = sorted(whole)
    put("cut", "the dump ends within a block", {**whole, dump: whole[dump][:-1]}, "tampered", fault=dump)
    put("header", "the dump has another header", {**whole, dump: flip(whole[dump], 0)}, "tampered", fault=dump)
    put(
        "flip",
        "one bit in the compressed block: its checksum shows it",
        {**whole, dump: flip(whole[dump], 80)},
        "tampered",
        fault=dump,
    )
    put("head-only", "the dump is its header", {**whole, dump: whole[dump][:16]}, "tampered", fault=dump)
    put("without-key", "the key file is missing", without(whole, key), "no_backup", fault=key)
    put("without-dump", "the dump is missing", without(whole, dump), "no_backup", fault=dump)
    put("signer", "a signer is pinned, but the old image signed nothing", whole, "tampered", signer="signer")
    put(
        "carriage-returns",
        "a key file with the line ends of Windows, whose first line keeps its CR",
        old(bytes_to_key(carriage.split(b"\n")[0], salt, "sha256"), carriage),
        "unauthenticated",
    )
