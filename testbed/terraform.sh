#!/usr/bin/env bash
# What Terraform needs to look at deploy/terraform where no registry of providers can be reached: the schema of the AWS
# provider, and a stand-in that serves it. Terraform itself comes from no package registry; it is used where it is there.
#
#   testbed/terraform.sh install    make them (a second call takes no time)
#   testbed/terraform.sh env        print the paths, one NAME=VALUE a line, for a shell's eval
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${TESTBED_CACHE:-$HOME/.cache/pgseal}/terraform

# Pinned, so that a test that passes today passes next year. The schema is that of the provider's own version.
SCHEMA=@cdktf/provider-aws@21.22.1
VERSION=6.25.0
PYTHON=('tf==1.2.0' 'python-hcl2==8.1.4')

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

need() {
    local packages=()
    command -v npm >/dev/null || packages+=(npm)
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
    if [ ${#packages[@]} -eq 0 ]; then return; fi
    as_root apt-get update -q
    as_root apt-get install -y -q --no-install-recommends "${packages[@]}"
}

platform() {
    case "$(uname -m)" in
        aarch64) echo linux_arm64 ;;
        *) echo linux_amd64 ;;
    esac
}

install() {
    need
    rm -rf "$home/made"
    mkdir -p "$home/made"
    python3 -m venv "$home/made/venv"
    "$home/made/venv/bin/pip" install --quiet --disable-pip-version-check "${PYTHON[@]}"
    (cd "$home/made" && npm pack --silent "$SCHEMA" >/dev/null)
    python3 "$here/terraform/schema.py" "$home"/made/*.tgz >"$home/made/schema.json"
    rm "$home"/made/*.tgz
    cp "$here/terraform/provider.py" "$home/made/provider.py"

    if command -v terraform >/dev/null; then mirror; fi
    stamp >"$home/made/stamp"
}

# Where `terraform init` looks for providers that are not fetched.
mirror() {
    # A mirror's folders begin with the host that Terraform would ask: it says so itself.
    local host folder program
    mkdir "$home/made/asked"
    echo 'provider "aws" {}' >"$home/made/asked/main.tf"
    host=$(terraform -chdir="$home/made/asked" providers | sed -n 's|.*provider\[\(.*\)/hashicorp/aws\].*|\1|p')
    folder=$home/made/mirror/$host/hashicorp/aws/$VERSION/$(platform)
    program=$folder/terraform-provider-aws_v$VERSION
    mkdir -p "$folder"
    # It keeps its certificate in HOME: not the user's.
    cat >"$program" <<END
#!/bin/sh
HOME='$home/made' exec '$home/made/venv/bin/python' '$home/made/provider.py' '$home/made/schema.json'
END
    chmod +x "$program"
    cat >"$home/made/terraform.rc" <<END
provider_installation {
  filesystem_mirror {
    path    = "$home/made/mirror"
    include = ["hashicorp/aws"]
  }
}
disable_checkpoint = true
END
}

# What it is made of: pins, our own files, and whether Terraform was there.
stamp() {
    sha256sum <"$here/terraform.sh" && sha256sum <"$here/terraform/schema.py" && sha256sum <"$here/terraform/provider.py"
    if command -v terraform; then :; else echo none; fi
}

case "${1:-}" in
    install)
        mkdir -p "$home"
        exec 9>"$home/lock"
        flock 9 # two test runs may start at once
        if [ "$(cat "$home/made/stamp" 2>/dev/null)" != "$(stamp)" ]; then install; fi
        ;;
    env)
        echo "TF_CLI_CONFIG_FILE=$home/made/terraform.rc"
        echo "TERRAFORM_SCHEMA=$home/made/schema.json"
        echo "TERRAFORM_PYTHON=$home/made/venv/bin/python"
        ;;
    *)
        echo "usage: $0 install|env" >&2
        exit 2
        ;;
esac
