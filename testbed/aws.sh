#!/usr/bin/env bash
# The AWS side of the testbed: ministack (S3, RDS, ECS, Secrets Manager, … in one process) and aws-sam-cli,
# which carries the real Lambda runtime interface emulator. Each lives in a venv of its own: their pins disagree.
#
#   testbed/aws.sh install    make both venvs (a second call takes no time)
#   testbed/aws.sh env        print the paths, one NAME=VALUE a line, for a shell's eval
set -euo pipefail

CACHE="${TESTBED_CACHE:-$HOME/.cache/pgseal}"

# Pinned, so that a test that passes today passes next year.
MINISTACK=('ministack[full]==1.5.33' 'docker==7.2.0' 'cryptography==50.0.2')
SAM=('aws-sam-cli==1.170.0')

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need_python() {
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then return; fi
    as_root apt-get update -q
    as_root apt-get install -y -q --no-install-recommends python3 python3-venv
}

# A venv whose stamp holds the wanted pins is left alone; a half-made one is made anew.
venv() {
    local folder="$CACHE/$1"
    shift
    if [ "$(cat "$folder/pins" 2>/dev/null)" = "$*" ] && "$folder/bin/python" -c '' 2>/dev/null; then return; fi
    need_python
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --no-compile --disable-pip-version-check "$@"
    printf '%s\n' "$*" >"$folder/pins"
}

emulator() {
    case "$(uname -m)" in
        aarch64) local name=aws-lambda-rie-arm64 ;;
        *) local name=aws-lambda-rie-x86_64 ;;
    esac
    find "$CACHE/venv-sam/lib" -path "*/samcli/local/rapid/$name" -print -quit
}

case "${1:-}" in
    install)
        mkdir -p "$CACHE"
        exec 9>"$CACHE/aws.lock"
        flock 9 # two test runs may start at once
        venv venv-ministack "${MINISTACK[@]}"
        venv venv-sam "${SAM[@]}"
        chmod +x "$(emulator)" # packed in its wheel without the bit
        ;;
    env)
        echo "TESTBED_MINISTACK=$CACHE/venv-ministack/bin/ministack"
        echo "TESTBED_SAM=$CACHE/venv-sam/bin/sam"
        echo "TESTBED_LAMBDA_RIE=$(emulator)"
        ;;
    *)
        echo "usage: $0 install|env" >&2
        exit 2
        ;;
esac
