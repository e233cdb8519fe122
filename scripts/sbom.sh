#!/usr/bin/env bash
# The bill of materials as CycloneDX: the crates that are linked into the program, and Debian's packages in an image.
#
#   sbom.sh                           of the program alone: target/pgseal.cdx.json
#   sbom.sh crates                    a line for each crate: name, version, licence, SHA-256 (of Cargo.lock)
#   sbom.sh packages [NAME...]        a line for each installed package, or for these: name, version, architecture, distribution
#   sbom.sh document CRATES [PACKAGES]  the document, of such lines; `-` is standard input
#
# Nothing but bash, awk and what lists the parts: it runs in the build of the image. Without times and random numbers, so
# that the same parts make the same document.
set -euo pipefail

crates() {
    cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p}|{l}' |
        sed -E 's/ \(\*\)$//; s/ \([^|]*\)\|/|/; s/ v([^ |]+)\|/|\1|/' | sort -u |
        awk -F '|' -v OFS='\t' '
            FNR == NR && /^name = /     { split($0, part, "\""); name = part[2] }
            FNR == NR && /^version = /  { split($0, part, "\""); version = part[2] }
            FNR == NR && /^checksum = / { split($0, part, "\""); sum[name, version] = part[2] }
            FNR != NR { gsub(" */ *", " OR ", $3); print $1, $2, $3, sum[$1, $2] }
        ' Cargo.lock -
}

packages() {
    local distribution
    # shellcheck source=/dev/null
    distribution=$(. /etc/os-release && echo "$ID-$VERSION_ID")
    dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n' "$@" |
        awk -F '\t' -v OFS='\t' -v distribution="$distribution" '$1 == "installed" { print $2, $3, $4, distribution }' | sort -u
}

document() {
    awk -F '\t' '
        function quoted(text) { gsub(/[\\"]/, "\\\\&", text); return "\"" text "\"" }
        # As a package URL has it: these letters have a meaning there.
        function escaped(text) { gsub(/%/, "%25", text); gsub(/:/, "%3A", text); gsub(/\+/, "%2B", text); return text }
        function component(type, name, version, purl, more) {
            return "{\"type\":" quoted(type) ",\"bom-ref\":" quoted(purl) ",\"name\":" quoted(name) \
                ",\"version\":" quoted(version) ",\"purl\":" quoted(purl) more "}"
        }
        function list(text) { components = components (components == "" ? "" : ",\n    ") text }
        NF == 0 { next }
        !is_package {
            more = $3 == "" ? "" : ",\"licenses\":[{\"expression\":" quoted($3) "}]"
            if ($4 != "") more = more ",\"hashes\":[{\"alg\":\"SHA-256\",\"content\":" quoted($4) "}]"
            purl = "pkg:cargo/" escaped($1) "@" escaped($2)
            if ($1 == "pgseal") program = component("application", $1, $2, purl, more)
            else list(component("library", $1, $2, purl, more))
        }
        is_package {
            vendor = $2 ~ /pgdg/ ? "pgdg" : "debian"
            purl = "pkg:deb/" vendor "/" escaped($1) "@" escaped($2) "?arch=" $3 "&distro=" $4
            list(component("library", $1, $2, purl, ""))
        }
        END {
            if (program == "") { print "sbom: the crates do not name pgseal itself" >"/dev/stderr"; exit 1 }
            print "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,"
            print " \"metadata\":{\"component\":" program "},"
            print " \"components\":[\n    " components "\n ]}"
        }
    ' "$1" ${2:+is_package=1 "$2"}
}

case ${1:-} in
crates | packages | document) "$@" ;;
'')
    cd "$(dirname "$0")/.."
    mkdir -p target
    crates >target/crates.tsv
    document target/crates.tsv >target/pgseal.cdx.json
    echo "target/pgseal.cdx.json: $(grep -c '"purl"' target/pgseal.cdx.json) components"
    ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
