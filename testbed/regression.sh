#!/usr/bin/env bash
# Databases that others made, for round trips: PostgreSQL's own regression database and that of an application.
#
#   testbed/regression.sh install
#
# leaves, in the cache outside the tree:
#   regression/regression.sql   what PostgreSQL's own tests leave behind, as Debian's pg_dump writes it: hundreds of
#                               tables, types, views and functions of every kind
#   regression/lib/regress.so   its functions in C, which the dump names by this place
#   regression/zabbix.sql       the database of a Zabbix server as Debian delivers it, with its templates and images
#
# The tests are those of Debian's source package of the installed server. Its headers and Zabbix are only unpacked:
# installed, they would bring LLVM and a monitoring server.
set -euo pipefail

cache="${TESTBED_CACHE:-$HOME/.cache/pgseal}"

# The newest major of Debian's, as the tests take it.
major="$(find /usr/lib/postgresql -mindepth 3 -path '*/bin/postgres' -printf '%h\n' | cut -d/ -f5 | sort -n | tail -n 1)"
bin="/usr/lib/postgresql/$major/bin"
release="$(dpkg-query -W -f '${Version}' "postgresql-$major")"

# A server refuses to run as root.
as_server_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid postgres --regid postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Where root's home is closed to the server, the folder lives in /var/cache, as the servers do.
folder() {
    local folder="$cache/regression"
    mkdir -p "$cache"
    if [ "$(id -u)" = 0 ] && [ ! -e "$folder" ] && ! as_server_user test -x "$cache"; then
        mkdir -p /var/cache/pgseal/regression
        ln -sfn /var/cache/pgseal/regression "$folder"
    fi
    mkdir -p "$folder/"
    realpath "$folder"
}

# apt with a state of its own, whose sources are the machine's with Debian's sources beside the packages.
apt_get() {
    apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/sources" \
        -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root "$@"
}

with_sources() {
    local list
    mkdir -p "$work"/apt/{sources,lists/partial,cache/archives/partial}
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$list" ] || continue
        sed -nE 's/^deb[[:space:]](.*)/deb \1\ndeb-src \1/p' "$list" >"$work/apt/sources/$(basename "$list")"
    done
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -f "$list" ] || continue
        sed -E 's/^Types:.*/Types: deb deb-src/' "$list" >"$work/apt/sources/$(basename "$list")"
    done
    apt_get update
}

# Of the installed release, or, where the mirror has only a newer one, of the same major.
download() {
    with_sources
    apt_get download "postgresql-server-dev-$major=$release" || apt_get download "postgresql-server-dev-$major"
    dpkg-deb -x postgresql-server-dev-*.deb dev
    apt_get source --download-only "postgresql-$major=$release" || apt_get source --download-only "postgresql-$major"
    mkdir source
    apt_get download zabbix-server-pgsql
    dpkg-deb -x zabbix-server-pgsql_*.deb zabbix
    tar -xf postgresql-*.orig.tar.* -C source --strip-components=1 --wildcards '*/src/test/regress'
}

# The functions in C that the tests call. Their flags are the server's own: its arithmetic wraps around.
compile() {
    local headers="dev/usr/include/postgresql/$major/server"
    mkdir -p "$folder/lib"
    gcc -shared -fPIC -O2 -w -fwrapv -fno-strict-aliasing -I "$headers" source/src/test/regress/regress.c -o "$folder/lib/regress.so.new"
    mv "$folder/lib/regress.so.new" "$folder/lib/regress.so"
    # Of contrib, and looked for in the same place.
    cp "$(dirname "$bin")/lib/"{autoinc,refint}.so "$folder/lib/"
}

# A single test that fails is of no interest here: the database that they all leave is.
run() {
    local tests="$work/source/src/test/regress" programs
    programs="$(dirname "$bin")/lib/pgxs/src/test/regress"
    as_server_user "$bin/initdb" -U postgres -E UTF8 --no-locale -N -A trust -D "$work/data" >initdb.log
    cat >>data/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '$work'
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_prepared_transactions = 2
CONF
    as_server_user "$bin/pg_ctl" -D "$work/data" -l "$work/server.log" -w start >/dev/null 9>&-
    trap 'as_server_user "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null; rm -rf "$work"' EXIT
    (cd "$tests" && as_server_user env PGUSER=postgres "$programs/pg_regress" --host="$work" --port=5432 --user=postgres \
        --bindir="$bin" --dlpath="$folder/lib" --inputdir="$tests" --outputdir="$tests" \
        --max-concurrent-tests=20 --schedule="$tests/parallel_schedule") >"$folder/pg_regress.log" 2>&1 || true
    PGHOST="$work" PGUSER=postgres PGPASSWORD='' keep
}

keep() {
    local tables
    tables="$("$bin/psql" -XAt -d regression -c "select count(*) from pg_class where relkind in ('r', 'p') and oid >= 16384")"
    if [ "$tables" -lt 200 ]; then
        echo "the regression database has only $tables tables: see $folder/pg_regress.log" >&2
        return 1
    fi
    "$bin/pg_dump" -d regression >"$folder/regression.sql"
    printf '   the regression database: %s tables, made by PostgreSQL %s\n' "$tables" "$release"
}

install_all() {
    local folder made
    folder="$(folder)"
    # The dump names the library by where it lies.
    made="$release $folder $(sha256sum <"$0")"
    exec 9>"$cache/.regression.lock"
    flock 9
    [ "$(cat "$folder/.made" 2>/dev/null)" = "$made" ] && return
    work="$(mktemp -d)"
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    download
    compile
    # In the order in which its README has them.
    zcat zabbix/usr/share/zabbix-server-pgsql/{schema,images,data}.sql.gz >"$folder/zabbix.sql"
    if [ "$(id -u)" = 0 ]; then chown -R postgres: "$work"; fi
    run
    echo "$made" >"$folder/.made"
}

case "${1:-}" in
install) install_all ;;
*)
    echo "usage: testbed/regression.sh install" >&2
    exit 2
    ;;
esac
