//! Where to restore to, in both of libpq's forms, with the password taken out.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>
//!
//! psql gets the rest back as keywords and values: an argument can be read by everybody on the machine.

use crate::error::{Code, Error, Result};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use std::fmt::Write;

/// Parameters that are secrets too and that libpq takes from a conninfo only.
const UNSAFE: &[&str] = &["sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"];

/// A target. Its parameters hold no secret.
#[derive(Clone, Debug)]
pub struct Conninfo {
    parameters: Vec<(String, String)>,
    password: Option<SecretString>,
}

impl Conninfo {
    /// `postgresql://…`, `keyword=value …`, or the mere name of a database, as for `psql -d`.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let pairs = match rest {
            Some(rest) => uri(rest)?,
            None if text.contains('=') => keywords(text)?,
            None if text.is_empty() => return Err(bad("is empty")),
            None => vec![("dbname".to_owned(), text.to_owned())],
        };
        let mut target = Self {
            parameters: Vec::new(),
            password: None,
        };
        for (key, value) in pairs {
            target.set(key, value)?;
        }
        Ok(target)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// Without one, libpq takes PGDATABASE, else the user's name.
    pub fn dbname(&self) -> Option<&str> {
        // libpq takes an empty one for none.
        self.get("dbname").filter(|name| !name.is_empty())
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.parameters.retain(|(known, _)| known != key);
        self.parameters.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same server and login, another database.
    pub fn with_dbname(&self, name: &str) -> Self {
        self.clone().with("dbname", name)
    }

    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// For `psql -d`: every value quoted, no password. A password file would not be asked where a password was given.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.parameters {
            if key == "passfile" && self.password.is_some() {
                continue;
            }
            let space = if text.is_empty() { "" } else { " " };
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            // Writing to a string cannot fail.
            let _ = write!(text, "{space}{key}='{value}'");
        }
        // An empty argument would be no conninfo; this is libpq's own way to say nothing.
        if text.is_empty() { "dbname=''".to_owned() } else { text }
    }

    /// As people write it: `app on db.example.com`.
    pub fn describe(&self) -> String {
        let place = self.get("host").or_else(|| self.get("hostaddr")).or_else(|| self.get("service"));
        let database = self.dbname().unwrap_or("the default database");
        place.map_or_else(|| database.to_owned(), |place| format!("{database} on {place}"))
    }

    /// Of two values of one parameter the last one counts, as in libpq.
    fn set(&mut self, key: String, value: String) -> Result<()> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(bad("has a parameter that libpq does not know"));
        }
        if UNSAFE.contains(&key.as_str()) {
            return Err(bad(&format!("holds `{key}`: that would be readable in the list of processes")));
        }
        if value.contains('\0') {
            return Err(bad("holds a NUL"));
        }
        if key == "password" {
            self.password = (!value.is_empty()).then(|| SecretString::from(value));
            return Ok(());
        }
        self.parameters.retain(|(known, _)| *known != key);
        self.parameters.push((key, value));
        Ok(())
    }
}

/// Never with a piece of the text: it may be the password.
fn bad(reason: &str) -> Error {
    Error::field(Code::BadEvent, "to", reason)
        .advise("Give --to as 'host=… user=… dbname=…' or as postgresql://user@host/dbname, and a password in PGPASSWORD or PGPASSFILE.")
}

/// `keyword = value`, values quoted by `'` where they hold spaces, `\` before a quote or backslash.
fn keywords(text: &str) -> Result<Vec<(String, String)>> {
    let is_space = |c: &char| c.is_ascii_whitespace() || *c == '\u{b}';
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(is_space).is_some() {}
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=' && !is_space(c)) {
            key.push(c);
        }
        while rest.next_if(is_space).is_some() {}
        if rest.next_if_eq(&'=').is_none() {
            return Err(bad("has a parameter without `=`"));
        }
        while rest.next_if(is_space).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\'') if quoted => break,
                None if quoted => return Err(bad("has a quote that does not close")),
                None => break,
                Some('\\') => value.extend(rest.next()),
                Some(c) if !quoted && is_space(&c) => break,
                Some(c) => value.push(c),
            }
        }
        pairs.push((key, value));
    }
}

/// `[user[:password]@][host[:port][,…]][/dbname][?key=value[&…]]`, each part percent-encoded.
fn uri(rest: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    // As in libpq, the first `@` before any `/` parts login and host.
    let login_ends = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let (login, rest) = match login_ends {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (hosts, ports, rest) = hosts(rest)?;
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let name = name.strip_prefix('/').unwrap_or(name);
    for (key, value) in [
        ("user", user),
        ("password", password),
        ("host", &hosts),
        ("port", &ports),
        ("dbname", name),
    ] {
        if !value.is_empty() {
            pairs.push((key.to_owned(), decoded(value)?));
        }
    }
    for pair in query.split('&').filter(|_| !query.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| bad("has a query parameter without `=`"))?;
        if value.contains('=') {
            return Err(bad("has a query parameter with two `=`: write %3D for the second"));
        }
        pairs.push(match (decoded(key)?, decoded(value)?) {
            // JDBC's way to say it, which libpq takes too.
            (key, value) if key == "ssl" && value == "true" => ("sslmode".to_owned(), "require".to_owned()),
            pair => pair,
        });
    }
    Ok(pairs)
}

const ENCODE: &str = "has a host or port that cannot be one: in a URL's user and password write %40 for `@`, %2F for `/`, %3A for `:`";

/// Hosts and ports as libpq's lists with commas, and what comes behind them: empty, `/…` or `?…`.
fn hosts(mut rest: &str) -> Result<(String, String, &str)> {
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        let host;
        if let Some(address) = rest.strip_prefix('[') {
            (host, rest) = address.split_once(']').ok_or_else(|| bad("has a `[` that does not close"))?;
            if host.is_empty() || !(rest.is_empty() || rest.starts_with([':', '/', '?', ','])) {
                return Err(bad("has no proper IPv6 address in its brackets"));
            }
        } else {
            (host, rest) = rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len()));
        }
        // What follows a password that is not encoded would else be told by psql, as a host or port that is none.
        if host.contains('@') {
            return Err(bad(ENCODE));
        }
        hosts.push_str(host);
        if let Some(port) = rest.strip_prefix(':') {
            let (port, behind) = port.split_at(port.find(['/', '?', ',']).unwrap_or(port.len()));
            if !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(bad(ENCODE));
            }
            ports.push_str(port);
            rest = behind;
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((hosts, ports, rest)),
        }
        hosts.push(',');
        ports.push(',');
    }
}

fn decoded(text: &str) -> Result<String> {
    let encoded = text.split('%').skip(1);
    let is_whole = |code: &str| code.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !encoded.into_iter().all(is_whole) {
        return Err(bad("has a `%` without two hexadecimal digits behind it"));
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| bad("is not UTF-8"))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Conninfo::parse(text).unwrap().parameters
    }

    fn is(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(pairs(text), expected, "{text}");
    }

    fn password(text: &str) -> String {
        Conninfo::parse(text).unwrap().password().unwrap().expose_secret().to_owned()
    }

    #[test]
    fn keywords_and_values() {
        is(
            "host=h  port = 5433\tdbname='a b'",
            &[("host", "h"), ("port", "5433"), ("dbname", "a b")],
        );
        is(
            "dbname = 'it\\'s \\\\' user=a\\ b application_name=x'y",
            &[("dbname", "it's \\"), ("user", "a b"), ("application_name", "x'y")],
        );
        is("options='-c a=b' host=''", &[("options", "-c a=b"), ("host", "")]);
        is("host=a host=b", &[("host", "b")]);
        is("app", &[("dbname", "app")]);
    }

    #[test]
    fn uris() {
        is("postgresql://", &[]);
        is("postgres:///app", &[("dbname", "app")]);
        is(
            "postgresql://me@h:5433/app?sslmode=verify-full&application_name=x%20y",
            &[
                ("user", "me"),
                ("host", "h"),
                ("port", "5433"),
                ("dbname", "app"),
                ("sslmode", "verify-full"),
                ("application_name", "x y"),
            ],
        );
        is("postgresql://[::1]:5433,b,c:1/", &[("host", "::1,b,c"), ("port", "5433,,1")]);
        is(
            "postgresql://%2Ftmp%2Fx/a%2Fb?ssl=true",
            &[("host", "/tmp/x"), ("dbname", "a/b"), ("sslmode", "require")],
        );
        is("postgresql://h?host=/tmp", &[("host", "/tmp")]);
    }

    #[test]
    fn passwords_are_taken_out() {
        for (text, expected) in [
            ("host=h password='a b\\'c'", "a b'c"),
            ("postgresql://u:p%40:w%2F@h/d", "p@:w/"),
            ("postgresql://u@h/d?password=x%26y", "x&y"),
        ] {
            let target = Conninfo::parse(text).unwrap();
            assert_eq!(password(text), expected);
            assert!(!target.render().contains("password") && !format!("{target:?}").contains(expected));
        }
        assert!(Conninfo::parse("host=h password=''").unwrap().password().is_none());
        assert_eq!(Conninfo::parse("password=x passfile=/p host=h").unwrap().render(), "host='h'");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_repeated() {
        for text in [
            "",
            "a b=c",
            "host='hunter2",
            "hunter2;x=y",
            "sslpassword=hunter2",
            "postgresql://[hunter2",
            "postgresql://[]/x",
            "postgresql://[::1]hunter2/x",
            "postgresql://u:hunter2%@h",
            "postgresql://h/%00hunter2",
            "postgresql://h/d?hunter2",
            "postgresql://h/d?a=hunter2=c",
            "postgresql://h/%FF",
        ] {
            let error = Conninfo::parse(text).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some("to")), "{text}");
            assert!(!format!("{error} {}", error.hint()).contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_database_can_be_replaced() {
        let target = Conninfo::parse("postgresql://me@h/app").unwrap();
        assert_eq!(target.dbname(), Some("app"));
        assert_eq!(target.describe(), "app on h");
        assert_eq!(target.with_dbname("it's").render(), "user='me' host='h' dbname='it\\'s'");
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_again(values in proptest::collection::vec("[^\\x00]{0,12}", 1..5)) {
            let keys = ["host", "user", "dbname", "options"];
            let mut target = Conninfo::parse("port=1").unwrap();
            for (key, value) in keys.iter().zip(&values) {
                target = target.with(key, value);
            }
            let again = Conninfo::parse(&target.render()).unwrap();
            prop_assert_eq!(&again.parameters, &target.parameters);
        }
    }
}
