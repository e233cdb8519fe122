"""What the runs stand on: a real PostgreSQL, a real S3 server, a key, and the environment that knows them."""

import glob
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time

from settings import CORES, PROGRAMS
from usage import run

PASSWORD = "bench"
BUCKET = "bench"
# The head and the end of a dump, for a shell's printf; between them stand rows.
HEAD = r"--\n-- PostgreSQL database dump\n--\n\nCOPY public.rows (of, some, table) FROM stdin;\n"
END = r"\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
SESSION = re.compile(r"disconnection: session time: (\d+):(\d+):([\d.]+)")


class Ground:
    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def start(self):
        folder = self.folder
        os.chmod(folder, 0o755)  # for the server's user
        self.bin = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
        self.private_key = f"{folder}/private.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.private_key, "2048"], check=True, capture_output=True)
        self.key = subprocess.run(["openssl", "rsa", "-in", self.private_key, "-pubout"], check=True, capture_output=True, text=True).stdout
        self.start_s3(f"{folder}/s3")
        self.start_postgres()

    # --- PostgreSQL ---------------------------------------------------------------------------------------------------

    def start_postgres(self):
        data = f"{self.folder}/data"
        os.mkdir(data, 0o700)
        as_server = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            as_server = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run([f"{self.bin}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, **as_server)
        self.kept_port, self.port = reserved_port()
        settings = ["fsync=off", "autovacuum=off", "timezone=UTC", "log_disconnections=on", "listen_addresses=127.0.0.1",
                    f"unix_socket_directories={data}", "max_wal_size=8GB"]
        self.log = f"{self.folder}/postgres.log"
        with open(self.log, "wb") as log:
            self.children.append(subprocess.Popen(
                [f"{self.bin}/postgres", "-D", data, "-p", str(self.port)] + [word for setting in settings for word in ("-c", setting)],
                stdout=log, stderr=log, **as_server))
        for _ in range(600):
            if subprocess.run(self.client("psql", "postgres", "-X", "-c", "select 1"), capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        self.psql("postgres", "-c", f"create role backup superuser login password '{PASSWORD}'", "-c", "create database app")

    def client(self, program, database, *arguments):
        return [f"{self.bin}/{program}", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, *arguments]

    def psql(self, database, *arguments):
        done = subprocess.run(self.client("psql", database, "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"psql: {done.stderr}")

    def create(self, database, script, **variables):
        """A database of what an SQL script makes: its own statements, or a dump's."""
        self.psql("postgres", "-c", f"create database {database}")
        self.psql(database, *[word for name, value in variables.items() for word in ("-v", f"{name}={value}")], "-f", str(script))
        self.psql("postgres", "-c", "checkpoint")

    def dump(self, database, path):
        """By pg_dump, without the key of `\\restrict`, which it makes up anew each time."""
        with open(path, "wb") as file:
            dump = subprocess.Popen(self.client("pg_dump", database), stdout=subprocess.PIPE)
            subprocess.run(["grep", "-a", "-v", "-e", r"^\\restrict ", "-e", r"^\\unrestrict "], stdin=dump.stdout, stdout=file, check=True, env={"LC_ALL": "C"})
        if dump.wait():
            sys.exit("pg_dump failed")

    def session_seconds(self, since):
        """How long sessions at the server lasted that ended after this many bytes of its log."""
        for _ in range(100):
            with open(self.log) as log:
                log.seek(since)
                times = SESSION.findall(log.read())
            if times:
                break
            time.sleep(0.01)
        return sum(int(hours) * 3600 + int(minutes) * 60 + float(seconds) for hours, minutes, seconds in times)

    # --- S3 -----------------------------------------------------------------------------------------------------------

    def start_s3(self, objects, **settings):
        """From here on, backups go to this server."""
        os.mkdir(objects)
        keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
        # The policy of a bucket for pgseal would refuse `aws s3 cp`, which has no conditions.
        owner = {"S3_SERVER_OWNER": keys["AWS_ACCESS_KEY_ID"]}
        server = subprocess.Popen([PROGRAMS / "examples/s3_server", objects], env={**os.environ, **settings, **keys, **owner}, stdout=subprocess.PIPE, text=True)
        self.children.append(server)
        endpoint = server.stdout.readline().strip()
        self.bucket = f"{objects}/{BUCKET}"
        os.mkdir(self.bucket)
        # Nothing of the machine's own settings, and no question to a metadata service that is not there.
        self.aws_env = {**keys, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
                        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                        # One file, as the image has it: else a folder of hundreds is read at each start.
                        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}

    def empty_bucket(self):
        stored = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(self.bucket) for name in names)
        if not stored:
            sys.exit("nothing was stored")
        for entry in os.scandir(self.bucket):
            shutil.rmtree(entry.path) if entry.is_dir() else os.remove(entry.path)

    # --- pgseal -------------------------------------------------------------------------------------------------------

    def stand_in(self, rows, size=None):
        """A folder with a program in pg_dump's place that writes this many bytes of the file's rows, again and again if need
        be: faster than any pg_dump, and without a server. As it is without a size."""
        length = os.path.getsize(rows)
        whole, rest = divmod(length if size is None else size, length)
        body = f"printf -- '{HEAD}'\ni=0; while [ $i -lt {whole} ]; do cat '{rows}'; i=$((i + 1)); done\nhead -c {rest} '{rows}'; echo\nprintf -- '{END}'\n"
        return self.in_place_of_pg_dump(body if rest else body.replace(f"head -c 0 '{rows}'; echo\n", ""))

    def small_stand_in(self):
        """The same for a dump of a kilobyte."""
        row = r"printf '%s\tforty-two characters of a note, or nearly\n' $i"
        return self.in_place_of_pg_dump(f"printf -- '{HEAD}'\ni=0; while [ $i -lt 20 ]; do {row}; i=$((i + 1)); done\nprintf -- '{END}'\n")

    def copy(self, dump):
        """The same for a whole dump."""
        return self.in_place_of_pg_dump(f"exec cat '{dump}'\n")

    def in_place_of_pg_dump(self, body):
        # Of two clients with the server's major, the one in PGSEAL_PG_BIN is taken.
        major = self.bin.split("/")[-2]
        folder = f"{self.folder}/clients-{len(glob.glob(f'{self.folder}/clients-*'))}"
        os.mkdir(folder)
        with open(f"{folder}/pg_dump", "w") as script:
            script.write(f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "pg_dump (PostgreSQL) {major}.0"; exit; }}\n{body}')
        os.chmod(f"{folder}/pg_dump", 0o755)
        return folder

    def backup(self, clients=None, keep=None, peaks=True, sampler=None, **event):
        """One backup by the release binary: what its receipt says, and what it cost."""
        event = {"database": "app", "host": "localhost", "port": self.port, "user": "backup", "auth": "password", "bucket": BUCKET,
                 "bucket_region": "eu-central-1", "public_key": self.key, "rate_limit": "0", "workers": CORES, **event}
        env = {"PATH": "/usr/bin:/bin", "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable", "PGSEAL_ALLOWED_HOSTS": "localhost", "PGSEAL_LOG": "error", **self.aws_env}
        if clients:
            env["PGSEAL_PG_BIN"] = clients
        receipt = f"{self.folder}/receipt.json"
        usage = run([[PROGRAMS / "pgseal", "backup", "--event", json.dumps(event)]], env=env, stdout=receipt, peaks=peaks, sampler=sampler)
        with open(receipt) as text:
            made = json.load(text)["backups"][0]
        if not made["rows"]:
            sys.exit("the dump was not read as one: no row was counted")
        for stored in made["objects"] if keep else []:
            shutil.copy(f"{self.bucket}/{stored['key']}", keep)
        self.empty_bucket()
        return made, usage

    def close(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait()


def reserved_port():
    """A socket that keeps a port until the server that is told its number binds it, too: it is bound and never listens."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept, kept.getsockname()[1]
