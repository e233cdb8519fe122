//! What no output of any run in any test may hold. A test's server tells its password here, and `CommandOutput` looks for all.

use super::pgseal::CommandOutput;
use super::s3::SECRET_KEY;
use std::sync::Mutex;

static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on nobody may say this.
pub fn keep_secret(text: &str) {
    KNOWN.lock().expect("no holder panics").push(text.to_owned());
}

/// Looks through both streams for these.
pub fn hunt(said: &CommandOutput, secrets: &[&str]) {
    for (name, text) in [("stdout", &said.stdout), ("stderr", &said.stderr)] {
        let told = secrets.iter().position(|secret| text.contains(secret));
        assert!(told.is_none(), "secret number {told:?} stands in {name}:\n{text}");
    }
}

/// The same for what every test's secrets are: keys of AWS, signatures, the passwords of all servers, private keys.
pub fn hunt_known(said: &CommandOutput) {
    hunt(
        said,
        &[
            SECRET_KEY,
            "X-Amz-Signature",
            "X-Amz-Security-Token",
            "X-Amz-Credential",
            "PRIVATE KEY-----\nM",
        ],
    );
    let known = KNOWN.lock().expect("no holder panics");
    hunt(said, &known.iter().map(String::as_str).collect::<Vec<_>>());
}
