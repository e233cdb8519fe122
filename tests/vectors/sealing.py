"""The writer's side of both formats, written from their description alone: nothing of the program is used.

Needs Python 3.9 and the `openssl` command (for AES). All that looks random follows from a label, so that every run gives
the same bytes: this seals nothing that matters.
"""

import base64
import bz2
import hashlib
import hmac
import json
import pathlib
import subprocess

KEYS = pathlib.Path(__file__).parent / "keys"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fixed(label, count):
    """Bytes that follow from a label."""
    return hashlib.shake_256(label.encode()).digest(count)


# --- DER, as far as keys need it (X.690) --------------------------------------------------------------------------


def elements(der):
    """The elements of the constructed value that `der` begins with."""

    def take(at):
        length, at = der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        return at, at + length

    (at, end), found = take(0), []
    while at < end:
        start, stop = take(at)
        found.append((der[at], der[start:stop], der[at:stop]))
        at = stop
    return found


def der(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + body


def integer(number):
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def pem(name):
    lines = (KEYS / name).read_text().split("\n")
    return base64.b64decode("".join(line for line in lines if line and not line.startswith("-----")))


# --- RSA (RFC 8017) ---------------------------------------------------------------------------------------------------


class Recipient:
    def __init__(self, name):
        numbers = [int.from_bytes(value, "big") for _, value, _ in elements(pem(f"{name}.pem"))]
        self.name = name
        self.n, self.e = numbers[1:3]
        self.bits = self.n.bit_length()
        algorithm = der(0x30, der(6, bytes.fromhex("2a864886f70d010101")), der(5))
        key = der(0x30, integer(self.n), integer(self.e))
        self.fingerprint = sha256(der(0x30, algorithm, der(3, b"\0", key)))

    def _raise(self, block):
        size = self.bits // 8
        return pow(int.from_bytes(block, "big"), self.e, self.n).to_bytes(size, "big")

    def oaep(self, message, hash="sha256"):
        """7.1.1, with the same hash for MGF1 and no label."""
        size, length = self.bits // 8, hashlib.new(hash).digest_size
        digest = lambda data: hashlib.new(hash, data).digest()
        mask = lambda seed, count: b"".join(digest(seed + n.to_bytes(4, "big")) for n in range(count // length + 1))[
            :count
        ]
        xor = lambda a, b: bytes(x ^ y for x, y in zip(a, b))
        block = digest(b"") + bytes(size - len(message) - 2 * length - 2) + b"\1" + message
        seed = fixed(f"oaep {self.name}", length)
        block = xor(block, mask(seed, len(block)))
        return self._raise(b"\0" + xor(seed, mask(block, length)) + block)

    def pkcs1(self, message):
        """7.2.1."""
        count = self.bits // 8 - len(message) - 3
        filler = bytes(byte or 1 for byte in fixed(f"pkcs1 {self.name}", count))
        return self._raise(b"\0\2" + filler + b"\0" + message)


# --- ECDSA on P-256 (FIPS 186-4, 6.4) ---------------------------------------------------------------------------------

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] ** 2 - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope**2 - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    total = None
    while k:
        total = add(total, point) if k & 1 else total
        point, k = add(point, point), k >> 1
    return total


class Signer:
    def __init__(self, name):
        self.public = pem(f"{name}.pem")
        self.fingerprint = sha256(self.public)
        private = elements(elements(pem(f"{name}.key"))[2][1])
        self.d = int.from_bytes(private[1][1], "big")

    def named(self):
        return {"fingerprint": self.fingerprint, "public_key": base64.b64encode(self.public).decode()}

    def sign(self, line):
        z = int.from_bytes(hashlib.sha256(line).digest(), "big")
        k = int.from_bytes(hashlib.sha512(self.d.to_bytes(32, "big") + line).digest(), "big") % (N - 1) + 1
        r = times(k, G)[0] % N
        s = pow(k, -1, N) * (z + r * self.d) % N
        signature = base64.b64encode(der(0x30, integer(r), integer(s))).decode()
        return {"algorithm": "ecdsa-p256-sha256", "fingerprint": self.fingerprint, "signature": signature}


# --- `openssl enc` ----------------------------------------------------------------------------------------------------


def bytes_to_key(passphrase, salt, hash):
    """EVP_BytesToKey with one round."""
    derived = last = b""
    while len(derived) < 48:
        last = hashlib.new(hash, last + passphrase + salt).digest()
        derived += last
    return derived[:48]


def pbkdf2(passphrase, salt, iterations=10_000):
    return hashlib.pbkdf2_hmac("sha256", passphrase, salt, iterations, 48)


def pad(plain):
    count = 16 - len(plain) % 16
    return plain + bytes([count]) * count


def enc(padded, derived, salt):
    """What is padded already, in whole blocks."""
    command = ["openssl", "enc", "-aes-256-cbc", "-nopad", "-K", derived[:32].hex(), "-iv", derived[32:].hex()]
    return b"Salted__" + salt + subprocess.run(command, input=padded, capture_output=True, check=True).stdout


# --- compression ------------------------------------------------------------------------------------------------------


def zstd(plain):
    """A frame of raw blocks (RFC 8878, 3.1.1): any reader takes it, and no version of a library makes another one."""
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(plain).to_bytes(4, "little")
    header = (len(plain) << 3 | 1).to_bytes(3, "little")
    return frame + header + plain


COMPRESS = {"none": lambda plain: plain, "bzip2": bz2.compress, "zstd": zstd}
EXTENSION = {"none": "", "bzip2": ".bz2", "zstd": ".zst"}

# --- a whole backup -----------------------------------------------------------------------------------------------------

DUMP = b"CREATE TABLE public.t (id integer, note text);\nCOPY public.t (id, note) FROM stdin;\n1\tone\n2\ttwo\n3\tthree\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n"
TABLES = [{"name": "public.t", "rows": 3, "bytes": 20}]


class Backup:
    """The parts of one backup, each of which may be changed before `objects` puts them together."""

    def __init__(
        self,
        plain=DUMP,
        compression="none",
        part=None,
        recipients=("recipient-a",),
        database="app",
        encoded=None,
        time="20261124T020000Z",
        format="pgseal/1",
        iterations=10_000,
        packed=None,
        padded=None,
        tables=None,
        inventory=None,
        label="",
    ):
        label = label or time
        legacy = format == "legacy"
        stamp = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[9:11]}:{time[11:13]}:{time[13:15]}Z"
        self.stem = f"{encoded or database}_{time}"
        self.run = fixed(f"run {label}", 4).hex()
        own = f"{encoded or database}_{stamp}." if legacy else f"{self.stem}.{self.run}."
        if legacy:
            text = base64.b64encode(fixed(f"secret {label}", 128)).decode()
            self.file = "".join(text[at : at + 64] + "\n" for at in range(0, len(text), 64)).encode()
        else:
            self.file = fixed(f"secret {label}", 32).hex().encode() + b"\n"
        self.secret = self.file.split(b"\n")[0]
        self.recipients = [Recipient(name) for name in recipients]
        self.contents, listed, wrapped = {}, [], []
        for recipient in self.recipients:
            name = own + ("key.txt.enc" if legacy else f"key.{recipient.fingerprint[:16]}.enc")
            self.contents[name] = recipient.pkcs1(self.file) if legacy else recipient.oaep(self.file)
            listed.append({"role": "key", "key": f"backups/{name}"})
            wrap = "rsa-pkcs1-v1_5" if legacy else "rsa-oaep-sha256"
            wrapped.append(
                {
                    "fingerprint": recipient.fingerprint,
                    "bits": recipient.bits,
                    "wrap": wrap,
                    "object": f"backups/{name}",
                }
            )
        self.key = name
        salts = {"dump": fixed(f"salt dump {label}", 8)}
        derive = lambda salt: (
            bytes_to_key(self.secret, salt, "sha256") if legacy else pbkdf2(self.secret, salt, iterations)
        )
        self.dump = own + ("sql.bz.enc" if legacy else f"sql{EXTENSION[compression]}.enc")
        tables = (TABLES if plain == DUMP else []) if tables is None else tables
        rows = sum(table["rows"] for table in tables)
        if not legacy:
            salts["inventory"] = fixed(f"salt inventory {label}", 8)
            self.inventory = own + "inventory.json.enc"
            said = {
                "format": "pgseal/1 inventory",
                "database": database,
                "server_version": "18.1",
                "pg_dump_version": "18.1",
                "plain_bytes": len(plain),
                "plain_sha256": sha256(plain),
                "rows": rows,
                "large_objects": 0,
                "tables": tables,
                "extensions": [],
                "warnings": [],
            }
            said.update(inventory if isinstance(inventory, dict) else {})
            said = inventory if isinstance(inventory, bytes) else json.dumps(said, separators=(",", ":")).encode()
            self.contents[self.inventory] = enc(pad(said), derive(salts["inventory"]), salts["inventory"])
            listed.append({"role": "inventory", "key": f"backups/{self.inventory}"})
        packed = COMPRESS[compression](plain) if packed is None else packed
        self.contents[self.dump] = enc(pad(packed) if padded is None else padded, derive(salts["dump"]), salts["dump"])
        listed.insert(0, {"role": "dump", "key": f"backups/{self.dump}"})
        self.part = part
        self.manifest = {
            "format": format,
            "program": "pgseal 0.1.0",
            "run": self.run,
            "database": database,
            "scheduled_time": stamp,
            "started_at": stamp,
            "finished_at": stamp,
            "server_version": "18.1",
            "pg_dump_version": "18.1",
            "compression": {"none": "none", "bzip2": "bzip2:9", "zstd": "zstd:3"}[compression],
            "cipher": "aes-256-cbc",
            "kdf": "evp-bytes-to-key-sha256" if legacy else "pbkdf2-hmac-sha256",
            "iterations": 1 if legacy else iterations,
            "salts": {role: salt.hex() for role, salt in salts.items()},
            "plain_bytes": len(plain),
            "objects": listed,
            "recipients": wrapped,
            "tables": len(tables),
            "rows": rows,
        }
        self.measure()

    def measure(self):
        """Sizes and hashes, by what stands in `contents` now."""
        for listed in self.manifest["objects"]:
            body = self.contents[listed["key"].rsplit("/", 1)[-1]]
            listed.update(size=len(body), sha256=sha256(body))
            if listed["role"] == "dump":
                parts = self.cut(body)
                listed["part_sizes"] = [len(part) for part in parts]
                listed["part_sha256"] = [sha256(part) for part in parts]
        return self

    def cut(self, body=None):
        body = self.contents[self.dump] if body is None else body
        return [body[at : at + (self.part or len(body))] for at in range(0, len(body), self.part or len(body))]

    def listed(self, role):
        return next(listed for listed in self.manifest["objects"] if listed["role"] == role)

    def manifest_name(self):
        generation = self.manifest.get("generation", 1)
        return f"{self.stem}.manifest.jsonl" if generation == 1 else f"{self.stem}.manifest.{generation}.jsonl"

    def line(self):
        return json.dumps(self.manifest, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    def mac(self, line):
        mac_key = hmac.digest(self.secret, b"pgseal/1 manifest mac\x01", "sha256")
        return "hmac-sha256:" + hmac.digest(mac_key, line, "sha256").hex()

    def proof(self, line, signatures=None):
        proof = {"mac": self.mac(line)}
        if signatures is not None:
            proof["signatures"] = signatures
        return json.dumps(proof, separators=(",", ":")).encode() + b"\n"

    def objects(self, line=None, proof=None, signatures=None):
        """All objects; with a line or a proof of its own, where one is given."""
        line = self.line() if line is None else line
        proof = self.proof(line, signatures) if proof is None else proof
        return {**self.contents, self.manifest_name(): line + proof}
