//! Where to restore to. What is read is what libpq would read, since it is written back and read again the same; a password
//! is in nothing that is shown or given to a child.
//!
//! Input: a database's name, NUL, the connection string.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::error::Code;
use pgseal::restore::conninfo::Conninfo;
use pgseal_fuzz::Input;
use secrecy::ExposeSecret;

/// Parameters that would be readable in the list of processes.
const SECRET: [&str; 5] = [
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut input = Input::new(text.as_bytes());
    let database = std::str::from_utf8(input.until(0)).expect("NUL is a character of its own");
    let text = std::str::from_utf8(input.rest()).expect("as above");
    let target = match Conninfo::parse(text) {
        Ok(target) => target,
        Err(error) => {
            assert_eq!((error.code.exit(), error.code != Code::Bug), (2, true));
            // The text may be a password.
            assert!(text.len() < 24 || !error.to_string().contains(text), "the text is repeated");
            return;
        }
    };
    let rendered = target.render();
    let again = Conninfo::parse(&rendered).expect("what is rendered is read");
    assert_eq!(again.render(), rendered);
    assert!(again.password().is_none() && SECRET.iter().all(|name| target.get(name).is_none()));
    assert!(!rendered.contains('\0'));
    for name in [
        "host",
        "hostaddr",
        "port",
        "user",
        "dbname",
        "sslmode",
        "sslrootcert",
        "service",
        "options",
    ] {
        assert_eq!(again.get(name), target.get(name), "{name}");
    }
    let other = target.with_dbname(database);
    let read = Conninfo::parse(&other.render()).expect("what is rendered is read");
    assert_eq!(read.dbname(), Some(database));
    assert_eq!((read.get("host"), read.get("sslmode")), (target.get("host"), target.get("sslmode")));
    // By a password's own keyword alone it is known where it stands.
    if let Some(password) = target.password().map(ExposeSecret::expose_secret) {
        let apart = Conninfo::parse("host=h").expect("a conninfo").with("user", "u");
        assert!(!apart.render().contains("password"));
        let shown = format!("{target:?} {rendered} {}", target.describe());
        assert!(password.len() < 16 || text.matches(password).count() != 1 || !shown.contains(password));
    }
});
