//! Rewraps one after the other, and two at once.

use super::recipients::pair;
use super::{Fixture, text};
use crate::support::fault_proxy::FaultProxy;
use crate::support::pgseal::Pgseal;
use serde_json::json;

/// A recipient who had been removed came back, and the one in their place was dropped, all unsaid: what was kept were the
/// recipients of the newest manifest that named the given key.
#[test]
fn who_is_kept_are_the_recipients_of_the_newest_manifest() {
    let fixture = Fixture::new(json!({}));
    let (_, second) = pair(&fixture, "second");
    let (_, third) = pair(&fixture, "third");
    let rewrap = |recipient: &std::path::Path, more: &[&str]| {
        let (place, key) = (fixture.at_s3(), fixture.key());
        let arguments = ["rewrap", &place, "--key", &key, "--recipient", text(recipient)];
        let said = fixture.run(&[&arguments, more].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.receipt()
    };
    let replaced = rewrap(&second, &[])["recipients"].clone();
    assert_eq!(replaced.as_array().map(Vec::len), Some(1));
    let kept = rewrap(&third, &["--keep"]);
    let recipients = kept["recipients"].as_array().expect("recipients");
    assert!(recipients.len() == 2 && recipients.contains(&replaced[0]), "{kept}");
    assert!(kept["warnings"].to_string().contains("no longer a recipient"), "{kept}");
    assert_eq!(kept["generation"], 3, "{kept}");
}

/// Of two rewraps at once the later one undid the other, unsaid: it took a free number on top of what it had never read.
#[test]
fn a_rewrap_that_another_one_overtakes_changes_nothing() {
    let fixture = Fixture::new(json!({}));
    let (_, second) = pair(&fixture, "second");
    let (_, third) = pair(&fixture, "third");
    let (place, key) = (fixture.at_s3(), fixture.key());
    let arguments = |recipient: &std::path::Path| -> Vec<String> {
        ["rewrap", &place, "--key", &key, "--recipient", text(recipient)]
            .map(str::to_owned)
            .to_vec()
    };
    let overtaking = arguments(&second);
    let env = fixture.bucket.env();
    let mut is_done = false;
    // When the slower one has read the manifests, and opens its key object.
    let proxy = FaultProxy::with(&fixture.bucket, move |request| {
        if !is_done && request.key().contains(".key.") {
            is_done = true;
            let words: Vec<&str> = overtaking.iter().map(String::as_str).collect();
            assert_eq!(Pgseal::new(&words).envs(env.clone()).run().code, 0);
        }
        None
    });
    let slower = arguments(&third);
    let words: Vec<&str> = slower.iter().map(String::as_str).collect();
    let said = Pgseal::new(&[&words[..], &["--keep"]].concat()).envs(proxy.env()).run();
    said.failed("commit_failed", 4);
    let listed = fixture.run(&["list", &place]).receipt();
    assert_eq!(listed["backups"][0]["generation"], 2, "{listed}");
}
