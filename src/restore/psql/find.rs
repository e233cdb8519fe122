//! Which of the installed psqls is taken.

use super::super::tls::SCRAM_ONLY_SINCE;
use crate::error::{Code, Error, Result};
use crate::process::client_tools::{self, ClientTools};
use std::path::PathBuf;

/// The first minor release of each major that knows `\restrict` (August 2025).
const RESTRICT: &[(u32, u32)] = &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// Among the installed ones the smallest major that is not older than the `pg_dump` that wrote the dump; one that knows
/// `\restrict` if there is any.
pub fn find(first: &[PathBuf], path: Option<&str>, pg_dump_version: &str) -> Result<ClientTools> {
    choose(client_tools::installed("psql", first, path), pg_dump_version, false)
}

/// The same for a server that may not be who it says: rather one that tells it no password.
pub(crate) fn find_for_others(first: &[PathBuf], path: Option<&str>, pg_dump_version: &str) -> Result<ClientTools> {
    choose(client_tools::installed("psql", first, path), pg_dump_version, true)
}

fn choose(installed: Vec<ClientTools>, pg_dump_version: &str, keeps_passwords: bool) -> Result<ClientTools> {
    let failed = |message: String| Error::new(Code::RestoreFailed, message);
    let advice = "Install a newer postgresql-client, or name its folder in PGSEAL_PG_BIN.";
    let (major, _) = version(pg_dump_version).unwrap_or_default();
    let suitable = installed.iter().filter(|client| client.major >= major);
    if let Some(client) = suitable.min_by_key(|client| {
        let tells = keeps_passwords && client.major < SCRAM_ONLY_SINCE;
        (tells, !knows_restrict(&client.version), client.major)
    }) {
        return Ok(client.clone());
    }
    let newest = installed.iter().max_by_key(|client| version(&client.version));
    Err(match newest {
        None => failed("no psql was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH".to_owned()),
        Some(client) => failed(format!(
            "the dump was written by pg_dump {pg_dump_version}; the newest installed psql is {}",
            client.version
        )),
    }
    .advise(advice))
}

/// Major and minor of `17.6`, `18beta1`, `9.6.24`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let major = numbers.next().filter(|major| *major > 0)?;
    let is_release = text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('.');
    Some((major, if is_release { numbers.next().unwrap_or(0) } else { 0 }))
}

pub(super) fn knows_restrict(text: &str) -> bool {
    version(text).is_some_and(|(major, minor)| major >= 18 || RESTRICT.iter().any(|(known, since)| major == *known && minor >= *since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(version: &str) -> ClientTools {
        let (major, _) = self::version(version).unwrap();
        ClientTools {
            folder: PathBuf::from("/nowhere"),
            major,
            version: version.to_owned(),
        }
    }

    fn chosen(installed: &[&str], pg_dump: &str) -> Result<String> {
        chosen_for(installed, pg_dump, false)
    }

    fn chosen_for(installed: &[&str], pg_dump: &str, keeps_passwords: bool) -> Result<String> {
        choose(installed.iter().map(|version| client(version)).collect(), pg_dump, keeps_passwords).map(|client| client.version)
    }

    /// `restore --to` took psql 15, which tells an unverified server the password itself, though 18 was there.
    #[test]
    fn for_a_server_of_others_one_that_keeps_passwords_goes_first() {
        let installed = ["18.4", "15.14", "16.2"];
        assert_eq!(chosen_for(&installed, "15.18", true).unwrap(), "18.4");
        assert_eq!(chosen_for(&installed, "15.18", false).unwrap(), "15.14");
        assert_eq!(chosen_for(&["15.14"], "15.18", true).unwrap(), "15.14");
    }

    #[test]
    fn the_smallest_that_is_not_older_and_knows_restrict() {
        for (installed, pg_dump, psql) in [
            (&["18.0", "15.1", "17.5", "16.10"][..], "15.14", "16.10"),
            (&["18.0", "15.1", "17.5", "16.10"], "15.13", "16.10"),
            (&["18.0", "15.1", "17.5", "16.10"], "18beta2", "18.0"),
            (&["17.5", "15.1"], "17.6", "17.5"),
            (&["17.5", "15.1"], "9.6.24", "15.1"),
            (&["15.1", "15.14"], "9.6.24", "15.14"),
        ] {
            assert_eq!(chosen(installed, pg_dump).unwrap(), psql, "{pg_dump}");
        }
        for (installed, pg_dump, words) in [
            (&["15.14", "16.10"][..], "17.6", &["pg_dump 17.6", "psql is 16.10"][..]),
            (&[], "17.6", &["no psql"]),
        ] {
            let error = chosen(installed, pg_dump).unwrap_err();
            assert_eq!(error.code, Code::RestoreFailed);
            assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
        }
    }
}
