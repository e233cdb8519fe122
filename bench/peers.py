"""The pipelines that a user would have instead."""

import os

from ground import BUCKET
from settings import CORES
from usage import run

# What each has in the place of the compressor. pv stands before bzip2's kind since the legacy image had it there.
COMPRESSORS = {
    "bzip2": [["pv", "-q", "-L", "10G"], ["bzip2"]],  # the legacy image's
    "pbzip2": [["pv", "-q", "-L", "10G"], ["pbzip2", "-c", f"-p{CORES}"]],
    "lbzip2": [["pv", "-q", "-L", "10G"], ["lbzip2", "-n", str(CORES)]],
    "zstd": [["zstd", "-q", "-3", "-T0", "-c"]],
    "none": [],
}
AWS = ["aws", "s3", "cp", "--only-show-errors", "-", f"s3://{BUCKET}/dump"]
ENC = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-iter", "10000", "-md", "sha256"]


class Peers:
    def __init__(self, ground):
        self.ground = ground
        self.env = {**os.environ, **ground.aws_env}
        secret = f"{ground.folder}/secret"
        with open(secret, "w") as file:
            file.write("a secret of the bench's own\n")
        self.behind = [[*ENC, "-pass", f"file:{secret}"], AWS]

    def pipeline(self, compressor, sampler=None):
        """The database by the real pg_dump, through this compressor, encrypted, to S3."""
        return self.through([self.ground.client("pg_dump", "bench"), *COMPRESSORS[compressor]], peaks=sampler is None, sampler=sampler)

    def put(self, path, command):
        """A file as it is to S3, by a command that reads it."""
        usage = run([command], env=self.env, stdin=path)
        self.ground.empty_bucket()
        return usage

    def through(self, commands, **how):
        usage = run([*commands, *self.behind], env=self.env, **how)
        self.ground.empty_bucket()
        return usage
