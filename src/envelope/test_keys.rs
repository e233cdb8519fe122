//! The keys that lie in this repository, for its tests and examples: anyone who copies one of them has a backup that anybody can
//! open, or nobody.

use super::recipient::Recipient;
use crate::error::{Code, Error, Result};
use crate::variables::Env;

/// In builds with debug assertions, which are for tests: a released program has no such variable.
#[cfg(debug_assertions)]
const ALLOWED: &str = "TESTBED_KEYS";

/// Refuses these, unless the tests themselves ask. Gives what a receipt then warns of.
pub(crate) fn admit(recipients: &[Recipient], env: &Env) -> Result<Vec<String>> {
    let allowed = is_asked_by_tests(env)?;
    let known = |recipient: &&Recipient| FINGERPRINTS.contains(&recipient.fingerprint.as_str());
    match recipients.iter().find(known) {
        Some(recipient) if allowed => Ok(vec![format!(
            "recipient {} is a public test key of this program, let through for tests: this backup protects nothing",
            recipient.fingerprint
        )]),
        Some(recipient) => Err(Error::field(
            Code::BadPublicKey,
            "public_key",
            format!(
                "is a public test key of this program, whose private half anyone can read, or nobody has (fingerprint {})",
                recipient.fingerprint
            ),
        )),
        None => Ok(Vec::new()),
    }
}

#[cfg(debug_assertions)]
fn is_asked_by_tests(env: &Env) -> Result<bool> {
    match env.get(ALLOWED) {
        None => Ok(false),
        Some("allowed") => Ok(true),
        Some(_) => Err(Error::field(Code::BadEvent, ALLOWED, "must be `allowed`, and that in tests alone")),
    }
}

#[cfg(not(debug_assertions))]
fn is_asked_by_tests(_: &Env) -> Result<bool> {
    Ok(false)
}

/// Of the RSA keys in `events/`, `tests/`, `fuzz/`, `demo/`, `docs/`, `deploy/` and README.md; a test compares.
#[rustfmt::skip]
const FINGERPRINTS: &[&str] = &[
    "0ab3d0d88a20463aec5cb08b0c7ebe79aecde8f38ad8f58177f32cdd6c72d415",
    "0c53e1a78875fe3dc05856d67aa2b7a7c6f5fc37af4fd012f95ac4846533bb40",
    "159099301e4f6a30adcb624e22f7adb106fd81c37c2db38287a4182e3fbe2707",
    "16b82547e7c8738f868debc00367f5cae060085fd41a643e9c6a90ed9aae77ab",
    "1dcfda54ac71f03b8d380ee2f22e3a74df9f3e3bd2aa25d5b2b33443ce184ee4",
    "378c05347f6b93ac07e8208cd3e434ba102d4c58588f50f17d3657dd029f885c",
    "4a4d19f34be38ad9af783a4c3568ea393944c629ed61f58075756aa6053c1664",
    "58bb93de30dda8adfe794f8bf1ca62dcf16224eecbdaf994ae239c6098819d13",
    "6fb492442b1b5e754fde4b6bcb1d54294400d3966fa46c9ed3d81f09ad8163ca",
    "778fbc3ec149440380628abfdf0b78d9da5f077a06ac75dcfe709d41c31d3dee",
    "7a09410343fdade249ca5a6e038049a5967f2e0b17ff63af6f66a1d75191a8a8",
    "7f93c1a8d135b75c6b011b2d1a604cdc8c615fe643dfa202d50fe1009b6b839d",
    "84b7a8f50ec51675b95c386ae87e5f70295807f66efe008ae828af01b7d4e805",
    "a4bccc4df3a8d53048386b52cbbf5c9824dcc3af0e5c5719b715cd4f374c5afb",
    "b52153c26635fa18945f42417e7b79a4f29945ad6e924c7a1d4ac0bb36b477cf",
    "b70db75ac004d4bc974eeb4eff5357ae0423a8f6d89831fc87a4efe0c157287d",
    "baff1ef3dcd02bae6ab1e5f9bcf2ee4b9748588c18a4a198f8c7756fac5d4eff",
    "c1a5c994819f1a13bd9a7ef5375fcaa85816f5a6521e6fbbfea93d06e4d11a4a",
    "c4bb9130b43bc87ae60d5a6185ed291835b165284f18753c34cedb4a41059e5c",
    "cb3bafa572c937d500b9b10d51877e46d0ada6906ac381a85335d4ea1bfdaab1",
    "d384ff397acc27064625d162b6bf65ff35955d57207379f7b2886b5bff2eff92",
    "d5999b37be16c00a86ac89d14e359d6bf0ef58d7dfc1a9c4e2fc6363daf6b915",
    "d816f2894be79d255de8660ca014da7709ddd76b687bdcbabdceab91905ed3e5",
    "e0197d42afe04b141e4bea7c72820a57842bdcc0bd569e80be05730fcb1ddf33",
    "e6a04072dc1a16de4822094af21ce607659ca5d87de40cae9598d42481a0da0a",
    "f2aa5ff81e9cdbd5df6d1a4e64c4669c99b8f2cd0df196f7ca389339672bba95",
    "f75c6ec114312dee4433bea58861c571be878aabb886b1b6c4931db36b9ebc04",
    "f9f0d0cf9ee17cea453bc06a425acb530d61d61b0c34642f544c1a0f7e9b8975",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::private_key::PrivateKey;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    /// Every file below these places.
    fn files() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let places = [
            "events",
            "tests",
            "fuzz/corpus",
            "demo",
            "docs",
            "deploy",
            "README.md",
            "template.yaml",
        ];
        let mut open: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
        let mut files = Vec::new();
        while let Some(path) = open.pop() {
            match std::fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => files.push(path),
            }
        }
        files
    }

    /// The PEM blocks of a text, those in JSON strings too.
    fn blocks(text: &str) -> Vec<String> {
        let text = text.replace("\\r", "").replace("\\n", "\n").replace('\r', "");
        let block = |rest: &str| {
            let (label, body) = rest.split_once("-----")?;
            let end = format!("-----END {label}-----");
            let body = &body[..body.find(&end)?];
            Some(format!("-----BEGIN {label}-----{body}{end}\n"))
        };
        text.split("-----BEGIN ").skip(1).filter_map(block).collect()
    }

    #[test]
    fn every_key_in_the_repository_is_in_the_table_and_nothing_else() {
        let texts = files().into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
        let all: BTreeSet<String> = texts.flat_map(|text| blocks(&text)).collect();
        let mut found = BTreeSet::new();
        for block in all {
            let of_private = || PrivateKey::parse(block.as_bytes(), || Ok(zeroize::Zeroizing::new(b"x".to_vec())));
            found.extend(match Recipient::parse(&block) {
                Ok(public) => Some(public.fingerprint),
                Err(error) if error.code == Code::PrivateKeyGiven => of_private().ok().map(|key| key.fingerprint().to_owned()),
                Err(_) => None,
            });
        }
        let table: BTreeSet<String> = FINGERPRINTS.iter().map(|text| (*text).to_owned()).collect();
        assert!(table.len() > 10);
        let missing: Vec<_> = found.difference(&table).collect();
        let gone: Vec<_> = table.difference(&found).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "missing: {missing:#?}\nno longer there: {gone:#?}"
        );
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_test_key_is_refused_unless_tests_ask_and_then_warned_of() {
        let key = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/events/accepted/minimal.json")).unwrap();
        let event: serde_json::Value = serde_json::from_str(&key).unwrap();
        let recipient = Recipient::parse(event["public_key"].as_str().unwrap()).unwrap();
        let with = |value: &str| admit(std::slice::from_ref(&recipient), &[(ALLOWED, value)].into_iter().collect());
        assert_eq!(with("").unwrap_err().code, Code::BadPublicKey);
        assert_eq!(with("yes").unwrap_err().code, Code::BadEvent);
        assert!(with("allowed").unwrap()[0].contains(&recipient.fingerprint));
    }
}
