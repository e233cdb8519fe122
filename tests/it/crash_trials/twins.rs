//! One event, delivered several times at once.

use super::Fixture;
use crate::support::pgseal::CommandOutput;

const TWINS: usize = 6;

#[test]
fn of_many_deliveries_at_once_one_commits() {
    let fixture = Fixture::new();
    for _ in 0..5 {
        let bucket = fixture.s3.bucket();
        let twins: Vec<_> = (0..TWINS).map(|_| fixture.backup(&bucket).spawn()).collect();
        let mut statuses: Vec<String> = Vec::new();
        for twin in twins {
            let said = CommandOutput::from(twin.wait_with_output().expect("it ends"));
            assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
            let status = said.receipt()["backups"][0]["status"].as_str().expect("a status").to_owned();
            statuses.push(status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses[TWINS - 1], "complete", "{statuses:?}");
        assert!(
            statuses[..TWINS - 1].iter().all(|status| status == "already_complete"),
            "{statuses:?}"
        );
        assert_eq!(bucket.open_uploads(), []);
        fixture.then_it_succeeds(&bucket, true);
    }
}
