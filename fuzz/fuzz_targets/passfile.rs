//! libpq's password file and conninfo: what is written is read again, and a password stays out of what is shown.
//!
//! Input: password, NUL, host, NUL, database, NUL, user, NUL, any text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use pgseal::rds::passfile::{find, passfile};
use pgseal::restore::conninfo::Conninfo;
use pgseal_fuzz::Input;
use secrecy::ExposeSecret;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut input = Input::new(text.as_bytes());
    let [password, host, database, user] = [(); 4].map(|()| std::str::from_utf8(input.until(0)).expect("NUL is a character of its own"));
    let rest = std::str::from_utf8(input.rest()).expect("as above");

    let _ = find(rest, host, 5432, database, user);
    match passfile(password) {
        Ok(file) => {
            let file = std::str::from_utf8(&file).expect("UTF-8");
            assert_eq!(file.matches('\n').count(), 1, "one line, whatever the password");
            let found = find(file, host, 5432, database, user).expect("the line fits every login");
            assert_eq!(found.expose_secret(), password);
        }
        Err(_) => assert!(password.contains(['\n', '\r'])),
    }

    // A line as people write it, among others.
    let fields = [host, database, user, password];
    let writable = |text: &&str| !text.contains(['\n', '\r']) && **text != *"*";
    if fields.iter().all(writable) && !host.starts_with('#') && rest.lines().all(|line| line.starts_with('#')) {
        let escaped = fields.map(|field| field.replace('\\', "\\\\").replace(':', "\\:"));
        let [host_field, database_field, user_field, password_field] = &escaped;
        let file = format!(
            "{}\n{host_field}:5432:{database_field}:{user_field}:{password_field}\n",
            rest.replace('\r', "")
        );
        let found = find(&file, host, 5432, database, user).expect("the line of this login");
        assert_eq!(found.expose_secret(), password);
        assert!(find(&file, host, 5433, database, user).is_err());
    }

    conninfo(rest);
    conninfo(text);
    let target = Conninfo::parse("port=1").expect("a conninfo");
    let target = target.with("host", host).with("user", user).with("dbname", database);
    let again = Conninfo::parse(&target.render()).expect("what is rendered is read");
    for (key, value) in [("port", "1"), ("host", host), ("user", user), ("dbname", database)] {
        assert_eq!(again.get(key), Some(value));
    }
});

fn conninfo(text: &str) {
    let Ok(target) = Conninfo::parse(text) else { return };
    let rendered = target.render();
    let again = Conninfo::parse(&rendered).expect("what is rendered is read");
    assert!(again.password().is_none(), "a password is rendered");
    assert_eq!(again.render(), rendered);
    let Some(password) = target.password().map(ExposeSecret::expose_secret) else {
        return;
    };
    // Where it stands once only, in whatever spelling, and is longer than what could stand in a name by chance.
    let plain = percent_decode_str(text).decode_utf8_lossy().replace('\\', "");
    if password.len() > 12 && plain.matches(&password.replace('\\', "")).count() == 1 {
        assert!(!format!("{target:?} {rendered} {}", target.describe()).contains(password));
    }
}
