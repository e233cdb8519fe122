//! libpq's password file: read for a user who has one, written (to memory) for `pg_dump`.
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use crate::error::{Code, Error, Result};
use secrecy::SecretString;
use std::path::Path;
use zeroize::Zeroizing;

/// A password file for one login: anyone who gets it may use it for nothing else, so the first four fields match all.
pub fn passfile(password: &str) -> Result<Zeroizing<Vec<u8>>> {
    if password.contains(['\n', '\r', '\0']) {
        return Err(Error::new(Code::DbAuth, "the password holds a line break, which libpq cannot take"));
    }
    Ok(Zeroizing::new(format!("*:*:*:*:{}\n", *escaped(password)).into_bytes()))
}

fn escaped(field: &str) -> Zeroizing<String> {
    Zeroizing::new(field.replace('\\', "\\\\").replace(':', "\\:"))
}

pub(crate) fn read(path: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(path);
    text.map(SecretString::from).map_err(|error| {
        Error::field(
            Code::BadEvent,
            "PGPASSFILE",
            format!("(an environment variable) names a file that cannot be read: {error}"),
        )
        .advise("Set PGPASSFILE to a password file that this user may read, or unset it.")
    })
}

/// The password of the first line that fits.
pub fn find(text: &str, host: &str, port: u16, database: &str, user: &str) -> Result<SecretString> {
    let port = port.to_string();
    let wanted = [host, &port, database, user];
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| <[String; 5]>::try_from(fields(line)).ok())
        .find(|fields| fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted))
        .map(|[.., password]| SecretString::from(password))
        .ok_or_else(|| {
            Error::new(Code::DbAuth, "PGPASSFILE has no line for this host, port, database and user")
                .advise("Add a line `host:port:database:user:password` to that file; `*` stands for any.")
        })
}

/// Splits at colons that no backslash stands before; the fifth field takes the rest.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let current = fields.len() - 1;
        match character {
            '\\' => fields[current].extend(characters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields[current].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    proptest! {
        #[test]
        fn what_is_written_is_found_again(password in "[^\\n\\r\\x00]{1,40}") {
            let file = passfile(&password).unwrap();
            let found = find(std::str::from_utf8(&file).unwrap(), "h", 5432, "d", "u").unwrap();
            prop_assert_eq!(found.expose_secret(), password);
        }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# comment\nother:5432:*:*:no\ndb.example.com:*:a\\:b:me:yes:it\\\\is\n*:*:*:*:late\n";
        assert_eq!(
            find(text, "db.example.com", 5432, "a:b", "me").unwrap().expose_secret(),
            "yes:it\\is"
        );
        assert_eq!(find(text, "x", 1, "d", "u").unwrap().expose_secret(), "late");
        assert!(find("h:1:d:u:p\n", "h", 2, "d", "u").is_err());
    }
}
