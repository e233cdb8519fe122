#!/usr/bin/python3
"""Checks a login token as RDS does: user as the argument, token on standard input, exit status 0 to let in.

The token is a SigV4 presigned URL without its scheme, for GET on host:port, service rds-db, Action=connect. What this
"instance" knows is in the JSON file that TESTBED_IAM_CONFIG names (the backend inherits it from the server):

    {"host": "...", "port": 5432, "region": "...", "access_key": "...", "secret_key": "...", "session_token": "...",
     "users": ["whom the policy allows to connect"], "clock_shift": seconds that this machine's clock is ahead}

Why a token was refused goes to the server's log, never the token.
"""
import datetime
import hashlib
import hmac
import json
import os
import sys
from urllib.parse import quote, unquote

LONGEST_LIFE = 900  # seconds; RDS takes no token that asks for more
CLOCK_SKEW = 300  # seconds that a token may come from the future


class Refused(Exception):
    pass


def require(condition, why):
    if not condition:
        raise Refused(why)


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def parse(token):
    """Host and decoded parameters. '+' is a plus here, not a space, and every name stands once."""
    host, slash, query = token.partition("/?")
    require(slash, "not a presigned URL")
    parameters = {}
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        require(equals and unquote(name) not in parameters, "malformed parameter")
        parameters[unquote(name)] = unquote(value)
    return host, parameters


def signature(config, host, parameters, date):
    """The signature that the token must carry, by the secret key that this side knows."""
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters.items())
    query = "&".join(f"{name}={value}" for name, value in encoded)
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{host}\n\nhost\n{empty}"
    scope = f"{date[:8]}/{config['region']}/rds-db/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{config['secret_key']}".encode()
    for part in (date[:8], config["region"], "rds-db", "aws4_request"):
        key = sign(key, part)
    return sign(key, text).hex()


def check(config, user, token):
    host, parameters = parse(token)
    given = parameters.pop("X-Amz-Signature", "")
    date = parameters.get("X-Amz-Date", "")
    scope = f"{date[:8]}/{config['region']}/rds-db/aws4_request"
    require(parameters.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256", "algorithm")
    require(parameters.get("X-Amz-SignedHeaders") == "host", "signed headers")
    require(parameters.get("X-Amz-Credential") == f"{config['access_key']}/{scope}", "credential or region")
    require(parameters.get("X-Amz-Security-Token") == config["session_token"], "session token")
    require(hmac.compare_digest(given, signature(config, host, parameters, date)), "signature")
    require(parameters.get("Action") == "connect", "action")
    require(host == f"{config['host']}:{config['port']}", "other host")
    require(parameters.get("DBUser") == user, "other user")
    require(user in config["users"], "rds-db:connect denied")

    life = int(parameters.get("X-Amz-Expires", "0"))
    require(0 < life <= LONGEST_LIFE, "life")
    made = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=config["clock_shift"])
    age = (now - made).total_seconds()
    require(age <= life, "expired")
    require(age >= -CLOCK_SKEW, "from the future")


def main():
    try:
        with open(os.environ["TESTBED_IAM_CONFIG"], encoding="utf-8") as file:
            config = json.load(file)
        token = sys.stdin.read()
        check(config, sys.argv[1], token)
    except (Refused, ValueError, KeyError, OSError) as error:
        print(f"rds-iam: refused: {error}", file=sys.stderr)
        return 1
    print(f"rds-iam: accepted a token of {len(token)} bytes", file=sys.stderr)
    return 0


sys.exit(main())
