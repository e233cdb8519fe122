#!/usr/bin/env bash
# The other processor that the program is for. This machine's toolchain has no standard library for aarch64 and no registry
# has one for it, but Debian has its own Rust with one for each: in a folder tree of Debian's next release, as today's
# Rust is too old for the SDKs.
#
#   aarch64.sh install   the tree, with Rust, a linker and an emulator: some minutes, and quick when it is there
#   aarch64.sh test      the encoder and decoder, compiled for aarch64: their unit tests under the emulator
#   aarch64.sh program   the whole program, compiled for aarch64 and started under the emulator
#
# On aarch64 itself there is nothing to do: the tests of the program are for it then.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
home=${TESTBED_CACHE:-$HOME/.cache/pgseal}/aarch64
tree=$home/tree
release=forky
target=aarch64-unknown-linux-gnu

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
say() { echo "aarch64: $*" >&2; }
inside() { as_root chroot "$tree" env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

# Testing is not always announced anew in time: its lists may be older than they say they will be.
apt() { inside apt-get -qq -o Acquire::Check-Valid-Until=false "$@"; }

install() {
    if [ -e "$tree/installed" ]; then return; fi
    if ! command -v debootstrap >/dev/null; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends debootstrap >/dev/null
    fi
    say "making a Debian tree with Rust for $target"
    as_root rm -rf "$tree"
    mkdir -p "$home"
    local script=/usr/share/debootstrap/scripts/$release
    # An older debootstrap does not know the name; all releases are made alike.
    if [ ! -e "$script" ]; then script=/usr/share/debootstrap/scripts/sid; fi
    as_root debootstrap --variant=minbase "$release" "$tree" "" "$script" >"$home/debootstrap.log"
    printf 'force-unsafe-io\n' | as_root tee "$tree/etc/dpkg/dpkg.cfg.d/speed" >/dev/null
    inside dpkg --add-architecture arm64
    apt update
    apt install -y --no-install-recommends rustc cargo libstd-rust-dev:arm64 gcc g++ cmake gcc-aarch64-linux-gnu \
        g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >"$home/install.log" 2>&1 || { cat "$home/install.log" >&2; return 1; }
    apt clean
    as_root touch "$tree/installed"
}

# Runs cargo in the tree on a package of this checkout, by a name and its folder. Its crates come from this machine's
# registry.
cargo_inside() {
    local name=$1 folder=$2 command=$3
    shift 3
    local crates=$tree/crates/$name package=$root/$folder
    if ! cmp -s "$package/Cargo.lock" "$crates/Cargo.lock"; then
        as_root rm -rf "$crates"
        (umask 022 && cargo vendor --locked --quiet --manifest-path "$package/Cargo.toml" "$home/vendor" >/dev/null)
        as_root mkdir -p "$tree/crates"
        as_root mv "$home/vendor" "$crates"
        as_root cp "$package/Cargo.lock" "$crates/Cargo.lock"
    fi
    as_root rm -rf "$tree/checkout"
    as_root mkdir "$tree/checkout"
    # With their times, by which cargo knows what is new.
    tar -C "$root" --exclude=target --exclude=.git --exclude=grown --exclude=artifacts -c . | as_root tar -C "$tree/checkout" -x
    inside env -C "/checkout/$folder" CARGO_HOME=/root/cargo "CARGO_TARGET_DIR=/root/target/$name" \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
        cargo "$command" --offline --locked --target "$target" \
        --config 'source.crates-io.replace-with="vendored"' --config "source.vendored.directory=\"/crates/$name\"" "$@"
}

if [ "$(uname -m)" = aarch64 ]; then
    say 'this machine is one: its own tests will do'
    exit
fi
case ${1:-} in
install) install ;;
test)
    install
    cargo_inside coders bench/instructions test --release --lib
    ;;
program)
    install
    cargo_inside program . run --bin pgseal -- --version
    ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
