#!/usr/bin/env bash
# The whole way of a backup on one machine: a real PostgreSQL, a real backup into a real S3 server, and the restore by stock
# tools alone. Everything is made in a temporary folder and removed at the end.
#
#   TESTBED_DEMO_BIN     a folder with `pgseal` and `examples/s3_server`, instead of building them here
#   TESTBED_DEMO_ORDERS  size of the sample data: about 1 KB each (default 80000)
#   TESTBED_DEMO_RATE    the event's rate_limit (default 16M, slow enough to watch)
#   TESTBED_DEMO_KEEP    non-empty: keep the folder, to look at the objects
# shellcheck disable=SC2016,SC2034 # commands are shown as they stand, then run: that is where their variables are used
set -euo pipefail

project=$(cd "$(dirname "$0")/.." && pwd)
region=eu-central-1
bucket=demo-backups
started=()

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'; else bold='' dim='' green='' plain=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }
good() { printf '   %s✓ %s%s\n' "$green" "$*" "$plain"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
# Shows a command as one would type it, and runs that very text.
shown() { printf '%s   $ %s%s\n' "$dim" "$1" "$plain"; eval "$1"; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
# PostgreSQL refuses to run as root.
as_server=()
if [ "$(id -u)" -eq 0 ]; then as_server=(setpriv --reuid postgres --regid postgres --clear-groups --); fi

install_missing() {
    local missing=()
    newest_initdb >/dev/null || missing+=(postgresql)
    command -v psql >/dev/null || missing+=(postgresql-client)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v bzip2 >/dev/null || missing+=(bzip2)
    command -v curl >/dev/null || missing+=(curl)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    if [ ${#missing[@]} -eq 0 ]; then say "nothing is missing"; return; fi
    command -v apt-get >/dev/null || die "install ${missing[*]} (as this system calls them), then run it again"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "as root: apt-get install -y --no-install-recommends ${missing[*]}; then run it again"
    fi
    say "installing ${missing[*]}"
    # The package would make a server of its own, for good.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    as_root apt-get update -q >/dev/null
    # RUNLEVEL=1: the package shall not start a server of its own; the demo has one.
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 || die "apt-get: $(tail -n5 "$work/apt.log")"
}

newest_initdb() { find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n1 | grep .; }

build() {
    if [ -n "${TESTBED_DEMO_BIN:-}" ]; then
        pgseal=$TESTBED_DEMO_BIN/pgseal s3_server=$TESTBED_DEMO_BIN/examples/s3_server
        say "using $pgseal"
        return
    fi
    say "cargo build --profile demo (minutes the first time, seconds later)"
    (cd "$project" && cargo build --profile demo --package pgseal --package pgseal-s3-server --bins)
    local target
    target=$(cd "$project" && cargo metadata --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
    pgseal=$target/demo/pgseal s3_server=$target/demo/s3_server
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

wait_for() { # wait_for SECONDS COMMAND…
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

start_postgres() {
    local bin data=$work/postgres
    bin=$(dirname "$(newest_initdb)")
    mkdir "$data"
    # A CA of the demo's own: pgseal accepts no server that it cannot verify.
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=demo CA' -keyout "$work/ca.key" -out "$work/ca.pem" \
        -addext 'basicConstraints=critical,CA:TRUE' 2>/dev/null
    openssl req -new -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$data/server.key" -out "$work/server.csr" 2>/dev/null
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >"$work/server.ext"
    openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
        -extfile "$work/server.ext" -out "$data/server.crt" 2>/dev/null
    openssl rand -hex 16 >"$data/superuser"
    if [ "$(id -u)" -eq 0 ]; then chown -R postgres "$data"; fi

    "${as_server[@]}" "$bin/initdb" -D "$data/db" -U postgres -A scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 \
        --pwfile="$data/superuser" >"$work/initdb.log" 2>&1 || die "initdb failed: $(tail -n3 "$work/initdb.log")"
    PGPORT=$(free_port)
    "${as_server[@]}" "$bin/postgres" -D "$data/db" -p "$PGPORT" -k "$data" -c listen_addresses=127.0.0.1 -c fsync=off \
        -c ssl=on -c ssl_cert_file="$data/server.crt" -c ssl_key_file="$data/server.key" >"$work/postgres.log" 2>&1 &
    started+=($!)
    export PGHOST=$data PGPORT PGUSER=postgres PGOPTIONS='-c client_min_messages=warning'
    wait_for 60 psql -X -d postgres -c 'select 1' || die "PostgreSQL did not start: $(tail -n3 "$work/postgres.log")"
    psql -X -q -d postgres -c 'create database shop' -c 'create database restored'
    psql -X -q -v ON_ERROR_STOP=1 -v orders="${TESTBED_DEMO_ORDERS:-80000}" -v password="$password" -d shop -f "$project/demo/sample.sql"
    good "$(psql -X -A -t -d shop -c 'show server_version') on port $PGPORT, database shop: $(psql -X -A -t -d shop -c "select pg_size_pretty(pg_database_size('shop'))")"
}

start_s3() {
    mkdir "$work/s3"
    export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY
    AWS_SECRET_ACCESS_KEY=$(openssl rand -hex 20)
    "$s3_server" "$work/s3" >"$work/s3.address" 2>"$work/s3.log" &
    started+=($!)
    wait_for 30 grep -q http "$work/s3.address" || die "the S3 server did not start: $(cat "$work/s3.log")"
    AWS_ENDPOINT_URL_S3=$(head -n1 "$work/s3.address")
    export AWS_ENDPOINT_URL_S3
    # curl signs its requests itself; the secret stays out of its arguments.
    printf 'user = "%s:%s"\naws-sigv4 = "aws:amz:%s:s3"\nheader = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\nfail\nsilent\nshow-error\n' \
        "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$region" >"$work/curl.conf"
    curl -K "$work/curl.conf" -X PUT "$AWS_ENDPOINT_URL_S3/$bucket"
    good "$AWS_ENDPOINT_URL_S3, bucket $bucket"
}

make_keys() {
    openssl rand -hex 16 >passphrase.txt
    shown 'openssl genrsa -aes256 -passout file:passphrase.txt -out private_key.pem 4096 2>/dev/null'
    shown 'openssl rsa -in private_key.pem -passin file:passphrase.txt -outform PEM -pubout -out public_key.pem 2>/dev/null'
    good "the public key goes into the event; the private one is needed for restores only"
}

back_up() {
    local key
    key=$(awk '{printf "%s\\n", $0}' public_key.pem)
    cat >event.json <<JSON
{
  "database": "shop",
  "host": "localhost", "port": $PGPORT, "user": "backup", "auth": "password",
  "bucket": "$bucket", "bucket_region": "$region", "prefix": "backups/{host}",
  "rate_limit": "${TESTBED_DEMO_RATE:-16M}",
  "public_key": "$key"
}
JSON
    sed 's/\(BEGIN PUBLIC KEY-----\\n.\{16\}\).*"/\1…"/; s/^/   /' event.json
    printf '%s   $ pgseal backup --event event.json%s\n' "$dim" "$plain"
    # A new environment, with what a deployment would set and nothing else.
    env -i PATH="$PATH" HOME="$HOME" TERM="${TERM:-dumb}" PGPASSWORD="$password" PGSSLROOTCERT="$work/ca.pem" \
        PGSEAL_ALLOWED_HOSTS=localhost AWS_EC2_METADATA_DISABLED=true AWS_ENDPOINT_URL_S3="$AWS_ENDPOINT_URL_S3" \
        AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" \
        "$pgseal" backup --event event.json >receipt.json || { cat receipt.json; die "the backup failed"; }
    good "the receipt:"
    # One line for machines; broken here for people.
    sed -E 's/("backups"|"stem"|"objects"|\{"role"|"dumped_bytes"|"started_at"|"server_version"|"recipients"|"warnings")/\n     \1/g; s/^/   /' receipt.json
}

download() {
    mkdir objects
    local key name
    # The query in the order of its names: this curl signs it as it stands.
    curl -K "$work/curl.conf" "$AWS_ENDPOINT_URL_S3/$bucket?list-type=2&prefix=backups%2F" >list.xml
    while read -r key; do
        name=${key##*/}
        curl -K "$work/curl.conf" -o "objects/$name" "$AWS_ENDPOINT_URL_S3/$bucket/$key"
        say "$(printf '%10d' "$(wc -c <"objects/$name")") bytes  $name"
    done < <(grep -o '<Key>[^<]*</Key>' list.xml | sed 's/<[^>]*>//g')
    KEY=$(echo objects/*.key.*.enc) DUMP=$(echo objects/*.sql.bz2.enc) MANIFEST=$(echo objects/*.manifest.jsonl)
}

open_by_hand() {
    local fingerprint mac sum
    say "Is it our key? Its fingerprint stands in the name of the key's object:"
    shown 'fingerprint=$(openssl pkey -in private_key.pem -passin file:passphrase.txt -pubout -outform DER | openssl dgst -sha256 -r | cut -c1-64)'
    [[ $KEY == *".key.${fingerprint:0:16}.enc" ]] || die "$KEY is for another key than $fingerprint"
    good "${fingerprint:0:16}"

    say "The secret of this backup, unwrapped:"
    shown 'openssl pkeyutl -decrypt -inkey private_key.pem -passin file:passphrase.txt -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in $KEY -out key.txt'

    say "Was the manifest changed by anyone without it? Its second line is a MAC of the first:"
    shown 'MK=$(printf "pgseal/1 manifest mac\001" | openssl dgst -sha256 -hmac "$(head -n1 key.txt)" -r | cut -c1-64)'
    shown 'mac=$(head -n1 $MANIFEST | openssl dgst -sha256 -mac HMAC -macopt hexkey:$MK -r | cut -c1-64)'
    tail -n +2 "$MANIFEST" | grep -q "\"mac\":\"hmac-sha256:$mac\"" || die "the MAC is not $mac"
    good "$mac"

    say "And the dump? Its hash stands in the manifest:"
    shown 'sum=$(openssl dgst -sha256 -r $DUMP | cut -c1-64)'
    head -n1 "$MANIFEST" | grep -q "\"sha256\":\"$sum\"" || die "the manifest knows no object with the hash $sum"
    good "$sum"

    say "Decrypted, decompressed, restored:"
    shown 'openssl enc -d -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass file:key.txt -in $DUMP | bzip2 -d | psql -X -q -v ON_ERROR_STOP=1 -d restored >/dev/null'
}

compare() {
    local database
    for database in shop restored; do
        # The key of \restrict is made up anew by each pg_dump.
        pg_dump -d "$database" | grep -v -e '^\\restrict ' -e '^\\unrestrict ' >"$database.sql"
    done
    cmp shop.sql restored.sql || die "the restored database differs"
    good "pg_dump of both: $(wc -c <shop.sql) bytes, the same to the byte"
}

by_pgseal() {
    local page
    export AWS_REGION=$region AWS_EC2_METADATA_DISABLED=true
    place=s3://$bucket/backups/localhost
    shown 'pgseal list $place'
    shown 'pgseal verify $place/latest:shop --key private_key.pem --passphrase-file passphrase.txt'
    shown 'pgseal restore $place/latest:shop --key private_key.pem --passphrase-file passphrase.txt --to dbname=by_pgseal --create'
    say "And into a server that is thrown away, compared table by table, with a page for your files:"
    shown 'pgseal drill $place/latest:shop --key private_key.pem --passphrase-file passphrase.txt --report reports'
    page=$project/target/demo-drill.html
    mkdir -p "$project/target"
    cp reports/*.html "$page"
    good "the page: $page"
}
# As one types it.
pgseal() { "$pgseal" "$@"; }

clean_up() {
    local pid
    # INT: PostgreSQL's fast shutdown. TERM: the other one, since a shell's background jobs ignore INT.
    for pid in "${started[@]}"; do
        kill -INT "$pid" 2>/dev/null || true
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "${TESTBED_DEMO_KEEP:-}" ]; then say "kept: $work"; else rm -rf "$work"; fi
}

work=$(mktemp -d "${TMPDIR:-/tmp}/pgseal-demo.XXXXXX")
chmod 711 "$work" # the server's user passes through
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$work"

step "1. What this needs"
install_missing
step "2. The program"
build
umask 077 # from here on secrets are written
password=$(openssl rand -hex 16)
step "3. A throw-away PostgreSQL with sample data"
start_postgres
step "4. A throw-away S3 server"
start_s3
step "5. A key pair"
make_keys
step "6. The backup"
back_up
step "7. By hand: the objects, the private key, and stock tools alone"
download
open_by_hand
step "8. Is it the same database?"
compare
step "9. The same with pgseal"
by_pgseal
printf '\n%sDone: backed up, sealed, opened with stock tools, restored, equal.%s\n' "$bold" "$plain"
