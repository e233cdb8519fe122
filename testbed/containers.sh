#!/usr/bin/env bash
# A private Docker daemon for the tests, the two base images that the Dockerfile names, and the linters of the templates.
#
#   containers.sh install   packages, daemon, base images, linters: quick when all is there
#   containers.sh start     the daemon alone; harmless when it runs already
#   containers.sh env       prints the DOCKER_HOST of the daemon and the host's address on its bridge
#   containers.sh image     builds pgseal:lambda, pgseal:ecs and pgseal:drill and prints their names
#   containers.sh stop      ends the daemon; what it stored stays in the cache
#
# The daemon has its own data, socket and bridge, so that a Docker of the machine is neither needed nor touched. No
# registry is asked for images: `debian:trixie-slim` is made by debootstrap as the official one is. In place of the Rust image
# stands one whose `cargo` hands out the program that the tests were built with: to compile all of it once more takes longer than
# most of the tests. With TESTBED_IMAGES=compiled (`make test-images`) it is one with this machine's toolchain, and the images are
# what a user's build makes. The Dockerfile itself knows nothing of this.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cache=${TESTBED_CACHE:-$HOME/.cache/pgseal}
home=$cache/containers
socket=$home/docker.sock
bridge=pgseal0
# The host's end of the bridge: where a container that is not on the host's network finds the servers of a test.
gateway=${TESTBED_DOCKER_GATEWAY:-172.30.249.1}
base_image=$(sed -n 's/^ARG BASE_IMAGE=//p' "$root/Dockerfile")
rust_image=pgseal-testbed:toolchain
program=${TESTBED_PROGRAM:-$root/target/debug/pgseal}
export DOCKER_HOST=unix://$socket DOCKER_BUILDKIT=1

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
say() { echo "containers: $*" >&2; }
# Debian's own client: another one earlier in PATH may lack BuildKit.
docker() { /usr/bin/docker "$@"; }

# One at a time per name, across processes; the lock ends with the function's subshell.
locked() {
    local name=$1
    shift
    mkdir -p "$home"
    (
        flock 9
        "$@" 9>&-
    ) 9>"$home/$name.lock"
}

packages() {
    local wanted=(docker.io debootstrap iproute2 shellcheck python3-venv ca-certificates valgrind) missing=() name
    # From trixie on the client and BuildKit are packages of their own.
    for name in docker-cli docker-buildx; do
        if apt-cache show "$name" >/dev/null 2>&1; then wanted+=("$name"); fi
    done
    for name in "${wanted[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=600 "${missing[@]}" >/dev/null
}

linters() {
    local venv=$cache/venv-lint wanted
    wanted=$(cat "$here/lint-requirements.txt")
    if [ "$(cat "$venv/installed.txt" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "installing the linters"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q --no-compile --disable-pip-version-check -r "$here/lint-requirements.txt" >&2
    printf '%s' "$wanted" >"$venv/installed.txt"
}

# --- the daemon -----------------------------------------------------------------------------------------------------

answers() { docker version >/dev/null 2>&1; }

start_daemon() {
    if answers; then return; fi
    as_root rm -f "$home/docker.pid" "$socket"
    if ! ip link show "$bridge" >/dev/null 2>&1; then
        as_root ip link add "$bridge" type bridge
        as_root ip address add "$gateway/24" dev "$bridge"
    fi
    as_root ip link set "$bridge" up
    say "starting dockerd"
    # Without the switches the daemon would rewrite this machine's firewall. Builds and tests use the host's network.
    # `setsid -f`, not `&`: a waiting subshell of this script would go on holding the lock.
    as_root setsid -f dockerd --data-root "$home/data" --exec-root "$home/exec" --host "$DOCKER_HOST" \
        --pidfile "$home/docker.pid" --bridge "$bridge" --group "$(id -gn)" \
        --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false >"$home/dockerd.log" 2>&1 </dev/null
    for _ in $(seq 150); do
        if answers; then return; fi
        sleep 0.2
    done
    tail -n 20 "$home/dockerd.log" >&2
    say "dockerd did not start"
    return 1
}

stop_daemon() {
    local pid
    pid=$(cat "$home/docker.pid" 2>/dev/null || true)
    # The number may be another process's by now: only a dockerd of this folder is ended.
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$home/docker.pid"; then
        as_root kill "$pid"
        for _ in $(seq 150); do
            if [ ! -d "/proc/$pid" ]; then break; fi
            sleep 0.2
        done
    fi
    if ip link show "$bridge" >/dev/null 2>&1; then as_root ip link delete "$bridge"; fi
}

# --- the base images ------------------------------------------------------------------------------------------------

image_id() { docker image inspect --format '{{ .Id }}' "$1" 2>/dev/null; }
# What an image was made of is kept as a second tag of it: a label would be inherited by every image built on it.
is_made_of() { image_id "$1" | grep -qxF "$(image_id "pgseal-testbed:$2" || echo none)"; }
made_of() { docker tag "$1" "pgseal-testbed:$2"; }

make_base() {
    local recipe=base-1 tree
    if is_made_of "$base_image" "$recipe"; then return; fi
    say "making $base_image"
    tree=$(mktemp -d "$home/debootstrap.XXXXXX")
    as_root debootstrap --variant=minbase trixie "$tree" >"$home/debootstrap.log"
    # As in the official image: packages installed later leave their documentation out too.
    printf 'path-exclude /usr/share/%s/*\n' doc man locale info lintian |
        as_root tee "$tree/etc/dpkg/dpkg.cfg.d/docker" >/dev/null
    printf 'force-unsafe-io\n' | as_root tee "$tree/etc/dpkg/dpkg.cfg.d/docker-speed" >/dev/null
    as_root tar -C "$tree" --exclude './usr/share/doc/*' --exclude './usr/share/man/*' --exclude './usr/share/locale/*' \
        --exclude './usr/share/info/*' --exclude './usr/share/lintian/*' --exclude './var/cache/apt/*' \
        --exclude './var/lib/apt/lists/*' --exclude './var/log/*' -c . |
        docker import --change 'CMD ["bash"]' - "$base_image" >/dev/null
    as_root rm -rf "$tree"
    made_of "$base_image" "$recipe"
}

make_rust() {
    local sysroot triple recipe
    sysroot=$(rustc --print sysroot)
    triple=$(rustc -vV | sed -n 's/^host: //p')
    recipe=rust-$({ rustc -vV && image_id "$base_image"; } | sha256sum | cut -c1-16)
    if is_made_of "$rust_image" "$recipe"; then return; fi
    say "making $rust_image of this machine's toolchain"
    docker build -q --network=host -f - -t "$rust_image" "$sysroot" >/dev/null <<RUST
FROM $base_image
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY bin/cargo bin/rustc /usr/local/cargo/bin/
COPY lib/*.so* /usr/local/cargo/lib/
COPY lib/rustlib/$triple /usr/local/cargo/lib/rustlib/$triple
RUST
    made_of "$rust_image" "$recipe"
}

# An image whose `cargo` is a few lines of shell.
make_stand_in() {
    local context=$home/stand-in
    rust_image=pgseal-testbed:stand-in
    mkdir -p "$context"
    [ -x "$program" ] || (cd "$root" && cargo build --quiet --bin pgseal)
    strip -o "$context/pgseal" "$program"
    (cd "$root" && cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p}|{l}') >"$context/tree"
    cat >"$context/cargo" <<'CARGO'
#!/bin/sh
case $1 in
build) mkdir -p target/release && cp /stand-in/pgseal target/release/pgseal ;;
tree) cat /stand-in/tree ;;
*) echo "this stand-in for cargo knows no $1" >&2 && exit 1 ;;
esac
CARGO
    chmod +x "$context/cargo"
    docker build -q --network=host -f - -t "$rust_image" "$context" >/dev/null <<STAND_IN
FROM $base_image
COPY cargo /usr/local/bin/
COPY pgseal tree /stand-in/
STAND_IN
}

# --- the project's images, by the documented build --------------------------------------------------------------------

build_images() {
    local target roots=$home/build-roots.pem
    case ${TESTBED_IMAGES:-} in
    compiled) make_rust ;;
    *) make_stand_in ;;
    esac
    # For bin/docker, by which the README's own commands are run, too.
    echo "$rust_image" >"$home/rust-image"
    # Marked, so that a test can look for it in the images, where it must not be.
    { echo '# roots of the build alone' && cat "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"; } >"$roots"
    for target in lambda ecs drill; do
        "$here/bin/docker" build -q --target "$target" -t "pgseal:$target" "$root" >/dev/null
        echo "pgseal:$target"
    done
}

case ${1:-} in
install)
    packages
    locked linters linters
    locked daemon start_daemon
    locked images make_base
    ;;
start) locked daemon start_daemon ;;
stop) locked daemon stop_daemon ;;
env) printf '%s\n' "DOCKER_HOST=$DOCKER_HOST" "GATEWAY=$gateway" ;;
image)
    locked daemon start_daemon
    locked images build_images
    ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
