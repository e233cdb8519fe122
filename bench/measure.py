#!/usr/bin/env python3
"""Figures of the whole road on this machine: `make measure`.

A real PostgreSQL serves the preflight, a real S3 server takes the objects, and the release binary runs between them. Where
a figure is about the road and not about the database (memory over size, the throttle up to 200 MiB/s) a stand-in writes
what pg_dump would, faster than any pg_dump can; `--real` dumps a real database of that size instead.

Prints one JSON object. Needs PostgreSQL's server and client, openssl, lbzip2, time, and what `cargo build --release --bin pgseal
--example s3_server` leaves in target/release.
"""

import argparse
import glob
import json
import os
import pwd
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(PROJECT, "target")), "release")
PASSWORD = "measure"

# The same for a dump of a kilobyte, without a start of Python in the figure.
SMALL_STAND_IN = r"""#!/bin/sh
[ "$1" = --version ] && { echo "pg_dump (PostgreSQL) MAJOR.0"; exit; }
printf -- '--\n-- PostgreSQL database dump\n--\n\nCOPY public.orders (id, note) FROM stdin;\n'
i=0; while [ $i -lt 20 ]; do printf '%s\tforty-two characters of a note, or nearly\n' $i; i=$((i + 1)); done
printf -- '\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n'
"""

# Rows like an order table's: enough variety that no compressor finds them easy.
STAND_IN = r"""#!/usr/bin/env python3
import os, sys
if sys.argv[1:] == ["--version"]:
    print("pg_dump (PostgreSQL) MAJOR.0"); sys.exit()
left = int(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bytes")).read())
import random
r = random.Random(7)
block = "".join(
    f"{r.randrange(10**7)}\t2026-{r.randrange(1,13):02}-{r.randrange(1,28):02} 10:{r.randrange(60):02}:00\t"
    f"{r.choice(['paid','open','sent'])}\t{r.random()*1000:.2f}\t{r.getrandbits(128):032x}\n" for _ in range(15000)).encode()
out = sys.stdout.buffer
out.write(b"--\n-- PostgreSQL database dump\n--\n\nCOPY public.orders (id, at, state, amount, token) FROM stdin;\n")
while left > 0:
    piece = block if left >= len(block) else block[: block.rindex(b"\n", 0, max(left, 100)) + 1]
    out.write(piece); left -= len(block)
out.write(b"\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n")
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Ground:
    """A PostgreSQL, an S3 server, a key, and the environment that knows them."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []
        os.chmod(folder, 0o755)
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.start_postgres()
        self.start_s3()
        subprocess.run(["openssl", "genrsa", "-out", f"{folder}/private.pem", "2048"], check=True, capture_output=True)
        self.key = subprocess.run(["openssl", "rsa", "-in", f"{folder}/private.pem", "-pubout"], check=True, capture_output=True, text=True).stdout
        self.stand_in = self.client("clients", STAND_IN)
        self.small_stand_in = self.client("small-clients", SMALL_STAND_IN)

    def client(self, name, script):
        """A folder with a stand-in for pg_dump. Of two clients with the server's major, the one in PGSEAL_PG_BIN is taken."""
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        with open(f"{folder}/pg_dump", "w") as f:
            f.write(script.replace("MAJOR", self.bin.split("/")[-2]))
        os.chmod(f"{folder}/pg_dump", 0o755)
        return folder

    def start_postgres(self):
        data = f"{self.folder}/data"
        os.mkdir(data, 0o700)
        as_server = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            as_server = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run([f"{self.bin}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, **as_server)
        self.port = free_port()
        settings = ["fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}", "max_wal_size=8GB"]
        self.children.append(subprocess.Popen(
            [f"{self.bin}/postgres", "-D", data, "-p", str(self.port)] + [x for s in settings for x in ("-c", s)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_server))
        self.wait(lambda: self.sql("postgres", "select 1", check=False) == 0, "PostgreSQL")
        self.sql("postgres", f"create role backup superuser login password '{PASSWORD}'")
        self.sql("postgres", "create database app")

    def sql(self, database, text, check=True):
        run = subprocess.run([f"{self.bin}/psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-c", text], capture_output=True, text=True)
        if check and run.returncode:
            sys.exit(run.stderr)
        return run.returncode

    def start_s3(self):
        self.objects = f"{self.folder}/s3"
        os.mkdir(self.objects)
        self.s3_env = {"AWS_ACCESS_KEY_ID": "measure", "AWS_SECRET_ACCESS_KEY": "measure-secret"}
        server = subprocess.Popen([f"{RELEASE}/examples/s3_server", self.objects], env={**os.environ, **self.s3_env}, stdout=subprocess.PIPE, text=True)
        self.children.append(server)
        self.endpoint = server.stdout.readline().strip()
        os.mkdir(f"{self.objects}/bench")

    @staticmethod
    def wait(ready, what):
        for _ in range(600):
            if ready():
                return
            time.sleep(0.1)
        sys.exit(f"{what} did not start")

    def backup(self, stand_in_bytes=None, small=False, keep=None, **event):
        """One backup by the release binary: its receipt, wall seconds, CPU seconds and peak memory in MiB."""
        event = {"database": "app", "host": "localhost", "port": self.port, "user": "backup", "auth": "password", "bucket": "bench",
                 "bucket_region": "eu-central-1", "public_key": self.key, "rate_limit": "0", "workers": 2, **event}
        env = {"PATH": "/usr/bin:/bin", "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable", "PGSEAL_ALLOWED_HOSTS": "localhost",
               "AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true", "PGSEAL_LOG": "error", **self.s3_env}
        if stand_in_bytes is not None:
            with open(f"{self.stand_in}/bytes", "w") as f:
                f.write(str(stand_in_bytes))
            env["PGSEAL_PG_BIN"] = self.stand_in
        if small:
            env["PGSEAL_PG_BIN"] = self.small_stand_in
        start = time.monotonic()
        child = subprocess.Popen([f"{RELEASE}/pgseal", "backup", "--event", json.dumps(event)], env=env, stdout=subprocess.PIPE, text=True)
        text = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        receipt = json.loads(text)
        if status:
            sys.exit(f"a backup failed: {text}")
        if keep:
            for made in receipt["backups"][0]["objects"]:
                shutil.copy(f"{self.objects}/bench/{made['key']}", keep)
        for name in os.listdir(f"{self.objects}/bench"):
            path = f"{self.objects}/bench/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        # ru_maxrss is of this one process: its children are not in it.
        return receipt["backups"][0], wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def close(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait()


def memory(ground, sizes, compressions):
    rows = []
    for compression in compressions:
        for size in sizes:
            made, wall, cpu, peak = ground.backup(size, compression=compression)
            rows.append({"compression": compression, "dumped_bytes": made["dumped_bytes"], "peak_mib": round(peak, 1), "wall_s": round(wall, 2), "cpu_s": round(cpu, 2)})
            print(rows[-1], file=sys.stderr)
    return rows


def real(ground, megabytes, compressions):
    """A real table of that size, dumped by the real pg_dump."""
    ground.sql("app", "drop table if exists orders")
    ground.sql("app", f"create unlogged table orders as select g as id, now() as at, md5(g::text) || md5((g * 7)::text) as token, repeat(chr(97 + g % 26), 20) as filler from generate_series(1, {megabytes * 7300}) g")
    return memory(ground, [None], compressions)


def throttle(ground, seconds):
    rows = []
    for rate in ["1M", "5M", "20M", "100M", "200M"]:
        bytes_per_second = int(rate[:-1]) << 20
        made, *_ = ground.backup(bytes_per_second * seconds, compression="none", rate_limit=rate)
        # The road itself: from the first byte to the last, as the receipt's throttle waits show; start-up is measured apart.
        empty, *_ = ground.backup(1000, compression="none", rate_limit=rate)
        dump_ms = made["duration_ms"] - empty["duration_ms"]
        measured = made["dumped_bytes"] / (dump_ms / 1000)
        rows.append({"rate": rate, "seconds": round(dump_ms / 1000, 2), "error_percent": round(100 * (measured / bytes_per_second - 1), 2)})
        print(rows[-1], file=sys.stderr)
    return rows


def usage_of(command, environment=None):
    """Wall seconds, CPU seconds and the largest peak memory in MiB of one shell pipeline, all its processes together."""
    start = time.monotonic()
    child = subprocess.Popen(["/usr/bin/time", "-f", "%U %S %M", "bash", "-o", "pipefail", "-c", command], env={**os.environ, **(environment or {})}, stderr=subprocess.PIPE, text=True)
    said = child.stderr.read()
    if child.wait():
        sys.exit(f"{command}: {said}")
    user, system, peak = said.strip().splitlines()[-1].split()
    return round(time.monotonic() - start, 2), round(float(user) + float(system), 2), round(int(peak) / 1024, 1)


def decrypt(ground, megabytes, runs=5):
    """The way back of one dump against stock tools, alternating: medians, and the ratio of each pair."""
    fetched = f"{ground.folder}/fetched"
    os.mkdir(fetched)
    ground.backup(megabytes * 10**6, keep=fetched)
    name = next(n for n in os.listdir(fetched) if n.endswith(".sql.bz2.enc"))
    key = next(n for n in os.listdir(fetched) if ".key." in n)
    subprocess.run(f"cd {fetched} && openssl pkeyutl -decrypt -inkey ../private.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in {key} -out ../key.txt", shell=True, check=True)
    ours = f"{RELEASE}/pgseal decrypt {fetched} --key {ground.folder}/private.pem --workers 2 >/dev/null"
    theirs = f"openssl enc -d -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass file:{ground.folder}/key.txt -in {fetched}/{name} | lbzip2 -n2 -d >/dev/null"
    pairs = [(usage_of(ours, {"PGSEAL_LOG": "error"}), usage_of(theirs)) for _ in range(runs)]
    median = lambda values: sorted(values)[len(values) // 2]
    return {
        "dump_bytes": megabytes * 10**6,
        "pgseal_wall_s": median([a[0] for a, _ in pairs]), "stock_wall_s": median([b[0] for _, b in pairs]),
        "pgseal_cpu_s": median([a[1] for a, _ in pairs]), "stock_cpu_s": median([b[1] for _, b in pairs]),
        "wall_ratio": round(median([a[0] / b[0] for a, b in pairs]), 2), "pgseal_peak_mib": max(a[2] for a, _ in pairs),
    }


def start_up(ground, runs=20):
    walls = []
    for _ in range(runs):
        start = time.monotonic()
        subprocess.run([f"{RELEASE}/pgseal", "--version"], check=True, capture_output=True)
        walls.append(time.monotonic() - start)
    backups = [ground.backup(small=True) for _ in range(runs)]
    median = lambda values: round(sorted(values)[runs // 2], 1)
    return {"version_ms": median(1000 * wall for wall in walls), "backup_of_1_kb_ms": median(1000 * wall for _, wall, _, _ in backups),
            "of_which_from_start_to_end_ms": median(float(made["duration_ms"]) for made, *_ in backups)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", default="100,1000,10000", help="megabytes of the stand-in's dumps (default %(default)s)")
    arguments.add_argument("--compressions", default="bzip2,zstd,none")
    arguments.add_argument("--seconds", type=int, default=10, help="length of each throttled run")
    arguments.add_argument("--real", type=int, metavar="MB", help="also a real database of this size, by the real pg_dump")
    arguments.add_argument("--decrypt", type=int, default=1000, metavar="MB", help="size of the dump that is brought back (default %(default)s)")
    arguments.add_argument("--only", choices=["memory", "throttle", "start", "decrypt"], help="one of the figures")
    options = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="pgseal-measure-")
    ground = None
    try:
        ground = Ground(folder)
        sizes = [int(float(size) * 1e6) for size in options.sizes.split(",")]
        compressions = options.compressions.split(",")
        figures = {"binary_bytes": os.path.getsize(f"{RELEASE}/pgseal")}
        if options.only in (None, "start"):
            figures["start"] = start_up(ground)
        if options.only in (None, "throttle"):
            figures["throttle"] = throttle(ground, options.seconds)
        if options.only in (None, "decrypt"):
            figures["decrypt"] = decrypt(ground, options.decrypt)
        if options.only in (None, "memory"):
            figures["memory"] = memory(ground, sizes, compressions)
        if options.real:
            figures["real"] = real(ground, options.real, compressions)
        figures["peak_of_children_mib"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1)
        print(json.dumps(figures, indent=1))
    finally:
        if ground:
            ground.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
