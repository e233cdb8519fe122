//! What stands below the options in `--help`, and what is made of the help: completions and manual pages.

use super::Cli;
use crate::error::{Code, Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;

pub(super) const SHORT: &str = "\
Examples:
  pgseal check --event event.json        Is everything ready?
  pgseal backup --event event.json       Back up now
  pgseal list s3://bucket/backups        What is there?
  pgseal restore s3://bucket/backups/latest:app --key private.pem \\
    --to dbname=app --create

`pgseal help COMMAND` has more; `pgseal --help` adds exit codes and the environment. Documents: README.md and docs/.";

pub(super) const LONG: &str = "\
Examples:
  pgseal check --event event.json        Is everything ready?
  pgseal backup --event event.json       Back up now
  pgseal list s3://bucket/backups        What is there?
  pgseal restore s3://bucket/backups/latest:app --key private.pem \\
    --to dbname=app --create

Exit codes:
  0   success
  2   bad event or usage
  3   database
  4   S3 or another AWS service
  5   dump failed or incomplete
  6   deadline or signal
  7   verification, decryption or restore failed
  70  a bug
  74  the answer could not be written
  `pgseal explain CODE` says what a failure means.

Environment:
  BACKUP_EVENT              the event, where no command and no --event is given
  PGPASSWORD, PGPASSFILE    with `auth` password
  AWS_REGION, AWS_PROFILE   and everything else that AWS's SDK reads
  PGSEAL_PG_BIN             folders with PostgreSQL's programs
  PGSEAL_LOG                trace, debug, info, warn or error
  NO_COLOR                  no colours
  docs/REFERENCE.md has a table of all variables.

Documents: README.md and docs/ beside the source: GUIDE, DEPLOY, REFERENCE, RESTORE, KEYS, THREATS, FAQ.";

pub(super) const BACKUP: &str = "\
Examples:
  pgseal backup --event event.json
  pgseal backup --event '{\"database\": \"app\", …}'
  jq '.database = \"shop\"' event.json | pgseal backup --event -";

pub(super) const CHECK: &str = "\
Examples:
  pgseal check --event event.json
  pgseal check --event event.json --json | jq '.checks[] | select(.error)'";

pub(super) const PLAN: &str = "\
Examples:
  pgseal plan --event event.json
  pgseal plan --event event.json --json | jq -c '.items[].event'";

pub(super) const LIST: &str = "\
Examples:
  pgseal list s3://bucket/backups
  pgseal list s3://bucket/backups --database app --limit 7
  pgseal list s3://bucket/backups --max-age 26h   # exit 7 if it is older";

pub(super) const CLEAN: &str = "\
Examples:
  pgseal clean s3://bucket/backups
  pgseal clean s3://bucket/backups --delete
The role needs s3:DeleteObject, which no writer of backups should have.";

pub(super) const VERIFY: &str = "\
Examples:
  pgseal verify s3://bucket/backups/latest:app
  pgseal verify s3://bucket/backups/app_20261124T020000Z --key private.pem
  pgseal verify ./downloaded --deep --signer signer.pem";

pub(super) const DECRYPT: &str = "\
Examples:
  pgseal decrypt s3://bucket/backups/latest:app --key private.pem -o app.sql
  pgseal decrypt ./downloaded --key private.pem | psql app
  pgseal decrypt ./downloaded --key private.pem --what inventory | jq .tables
  pgseal decrypt ./downloaded --key private.pem --table orders -o orders.sql
The rows of a table come as COPY; `pgseal restore --table` makes the table, too.";

pub(super) const ROWS: &str = "\
Examples:
  pgseal rows s3://bucket/backups/latest:app --key private.pem --table orders \\
    --where customer_id=42 --as csv
  pgseal rows ./downloaded --key private.pem --table orders --limit 10 --as json
Of a backup by release 0.2 or later only the parts that hold the table are read.";

pub(super) const RESTORE: &str = "\
Examples:
  pgseal restore s3://bucket/backups/latest:app --key private.pem --create \\
    --to 'host=db dbname=app user=admin'
  pgseal restore ./downloaded --key private.pem --to dbname=copy --create \\
    --no-owner --no-privileges
  pgseal restore ./downloaded --key private.pem --to dbname=staging --create \\
    --mask rules.json";

pub(super) const DRILL: &str = "\
Examples:
  pgseal drill s3://bucket/backups/latest:app --key private.pem --report .
  pgseal drill ./downloaded --key private.pem --report s3://bucket/reports";

pub(super) const HISTORY: &str = "\
Examples:
  pgseal history s3://bucket/backups --key private.pem
  pgseal history s3://bucket/backups --key private.pem --table orders
  pgseal history s3://bucket/backups --key private.pem --since 30d \\
    --html app.html

The last good night of a table is the one before the newest night in which it
vanished or lost more than --drop of its rows; without such a night, the newest.
Exit 0 also where rows were lost: this is no check. 7 if no night can be read.
Without other rows or bytes a change is told by a hint, which is no proof.";

pub(super) const DIFF: &str = "\
Examples:
  pgseal diff ./backups/app_20261123T020000Z ./backups/latest:app \\
    --key private.pem
  pgseal diff s3://bucket/a/latest:app s3://bucket/b/latest:app \\
    --key private.pem --json | jq '.tables[] | select(.change != \"same\")'
Exit 0 also where they differ.";

pub(super) const REWRAP: &str = "\
Examples:
  pgseal rewrap s3://bucket/backups/latest:app --key old.pem \\
    --recipient new_public.pem
  pgseal rewrap ./downloaded --key private.pem --recipient colleague.pem --keep";

pub(super) const POLICY: &str = "\
Examples:
  pgseal policy --event event.json
  pgseal policy --event event.json --json | jq .writer > writer.json";

pub(super) const FLEET_STATUS: &str = "\
Examples:
  pgseal fleet status s3://bucket/backups
  pgseal fleet status s3://bucket/backups --reports s3://bucket/drills
  pgseal fleet status s3://bucket/backups --max-age 8d --html status.html";

pub(super) const INIT: &str = "\
Examples:
  pgseal keygen && pgseal init
  pgseal init --database app --user backup --bucket acme-backups --no-check \\
    --host app.abc.eu-central-1.rds.amazonaws.com --public-key public_key.pem";

pub(super) const KEYGEN: &str = "\
Examples:
  pgseal keygen
  pgseal keygen --private backup_private.pem --public backup_public.pem \\
    --passphrase-file passphrase
  jq --rawfile key public_key.pem '.public_key = $key' event.json > new.json";

pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pgseal", &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

pub(super) fn manual(command: Option<&str>) -> Result<String> {
    let mut all = Cli::command();
    all.build();
    let page = match command {
        None => all,
        Some(name) => {
            let found = all.find_subcommand(name).cloned();
            let unknown = || Error::new(Code::BadUsage, "there is no such command").advise("`pgseal --help` lists them.");
            found.ok_or_else(unknown)?
        }
    };
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(page).render(&mut text);
    written.map_err(|error| Error::new(Code::Bug, format!("no manual page: {error}")))?;
    Ok(one_page_each(String::from_utf8_lossy(&text).trim_end()))
}

/// It names pages that are installed nowhere: each is printed by a command.
fn one_page_each(text: &str) -> String {
    let name = |command: &clap::Command| command.get_name().to_owned();
    let named = Cli::command().get_subcommands().map(name).fold(text.to_owned(), |text, name| {
        let roff = name.replace('-', "\\-");
        text.replace(&format!("pgseal\\-{roff}(1)"), &format!("pgseal {roff} (pgseal man {roff})"))
    });
    named.replace("pgseal\\-help(1)", "pgseal help")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that the terminal breaks is two commands where it is pasted.
    #[test]
    fn examples_fit_a_terminal() {
        let all = [
            SHORT,
            LONG,
            BACKUP,
            CHECK,
            PLAN,
            LIST,
            CLEAN,
            VERIFY,
            DECRYPT,
            ROWS,
            RESTORE,
            DRILL,
            HISTORY,
            DIFF,
            REWRAP,
            POLICY,
            INIT,
            KEYGEN,
            FLEET_STATUS,
        ];
        let long = |line: &&str| line.starts_with("  ") && line.chars().count() > 80;
        let found: Vec<&str> = all.iter().flat_map(|text| text.lines()).filter(long).collect();
        assert_eq!(found, [""; 0]);
    }
}
