"""The restore into a database: pgseal over one connection and over two, against psql and pg_restore."""

import os
import shutil
import subprocess

from settings import CORES, PROGRAMS
from usage import Rounds, run


def restore(report, ground, data, runs):
    """Into a new database each time; what made it is not counted. Servers run on the same cores, and are what takes most of the
    time. Ours reads and proves the backup from a folder; the others have what they read uncompressed, or by gzip in `-Fd`."""
    database, folder = "restorable", f"{ground.folder}/restore"
    os.mkdir(folder)
    ground.create(database, data.full)
    indexed = with_indexes(ground, database)
    plain, directory, fetched = (f"{folder}/{name}" for name in ("plain.sql", "directory", "fetched"))
    ground.dump(database, plain)
    subprocess.run(ground.client("pg_dump", database, "-Fd", "-j", str(CORES), "-f", directory), check=True)
    os.mkdir(fetched)
    ground.backup(database=database, keep=fetched)
    ground.psql("postgres", "-c", f"drop database {database}")
    to = f"host=127.0.0.1 port={ground.port} user=postgres dbname=back sslmode=disable"
    ours = [PROGRAMS / "pgseal", "restore", fetched, "--key", ground.private_key, "--to", to, "--no-analyze", "--workers", CORES]
    psql = ground.client("psql", "back", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null")
    commands = {"pgseal --jobs 2": [*ours, "--jobs", "2"], "pgseal": ours, "psql": [*psql, "-f", plain],
                "psql --single-transaction": [*psql, "--single-transaction", "-f", plain],
                "pg_restore -j2": ground.client("pg_restore", "back", "-j", "2", directory)}
    rounds = Rounds(report, "restore", database, runs, {name: lambda command=command: into_new(ground, command) for name, command in commands.items()})
    ours = "pgseal --jobs 2"
    report.figures |= {"restore wall psql": rounds.ratio(ours, "psql", "wall"), "restore wall pg_restore": rounds.ratio(ours, "pg_restore -j2", "wall")}
    size = os.path.getsize(plain) / 1e6
    rows = [[name, rounds.median(name, "wall"), size / rounds.median(name, "wall"), rounds.ratio(name, "psql", "wall")] for name in commands]
    report.table("restore", f"The restore into a database: {size:.0f} MB, {indexed} keys and indexes, {CORES} cores with the server on them",
                 ["tool", "wall, s", "MB/s", "its wall / psql's"], rows)
    shutil.rmtree(folder)


def into_new(ground, command):
    ground.psql("postgres", "-c", "drop database if exists back", "-c", "create database back", "-c", "checkpoint")
    return run([command], env={**os.environ, "PGSEAL_LOG": "error"})


def with_indexes(ground, database):
    """An index on the first three columns of each table: how many there are now."""
    columns = """select format('create index on public.%I (%I)', table_name, column_name) from information_schema.columns
        where table_schema = 'public' and ordinal_position <= 3 and data_type not in ('json', 'jsonb', 'xml', 'text', 'bytea', 'point', 'ARRAY')"""
    listed = subprocess.run(ground.client("psql", database, "-X", "-At", "-c", columns), check=True, capture_output=True, text=True)
    statements = listed.stdout.splitlines()
    ground.psql(database, *[word for statement in statements for word in ("-c", statement)])
    return len(statements)
