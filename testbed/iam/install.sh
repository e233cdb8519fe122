#!/usr/bin/env bash
# The login by IAM token, as RDS has it, for Debian's PostgreSQL: builds the PAM module and installs it with its
# verifier and the PAM service `pgseal-rds-iam`. testbed/postgres.sh calls this after its packages.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder=/usr/local/lib/pgseal-testbed
service=/etc/pam.d/pgseal-rds-iam

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

printf 'auth required %s/pam_rds_iam.so %s/verify.py\naccount required pam_permit.so\n' "$folder" "$folder" >"$work/service"
up_to_date() {
    [ "$folder/pam_rds_iam.so" -nt "$here/pam_rds_iam.c" ] &&
        cmp -s "$here/verify.py" "$folder/verify.py" && cmp -s "$work/service" "$service"
}
if up_to_date; then exit 0; fi

gcc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -fPIC -shared -o "$work/pam_rds_iam.so" "$here/pam_rds_iam.c" -lpam
# Everything under a name that nothing looks for first, and the service last: a login sees the old set or the new one.
as_root install -D -m 644 "$work/pam_rds_iam.so" "$folder/pam_rds_iam.so.new"
as_root mv "$folder/pam_rds_iam.so.new" "$folder/pam_rds_iam.so"
as_root install -m 755 "$here/verify.py" "$folder/verify.py.new"
as_root mv "$folder/verify.py.new" "$folder/verify.py"
as_root install -m 644 "$work/service" "$service"
