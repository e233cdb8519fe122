//! Times that are still to come.

use super::orders::with;
use crate::support::invariants::RECIPIENT;
use crate::support::pgseal::Pgseal;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A backup without rows of tomorrow, made today, once took the place of tomorrow's own.
#[test]
fn a_time_in_the_future_is_refused() {
    let ahead = |minutes: i64| {
        let time = OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
        time.format(&Rfc3339).expect("a time")
    };
    let order = json!({
        "database": "app", "host": "db.x.eu-west-1.rds.amazonaws.com", "user": "backup", "region": "eu-west-1",
        "bucket": "acme-backups", "public_key": RECIPIENT,
    });
    let offline = |event: &Value| Pgseal::new(&["check", "--offline", "--event", &event.to_string()]).run();
    let envelope = |minutes| json!({"source": "acme", "detail-type": "backup", "time": ahead(minutes), "detail": order});
    for event in [with(&order, json!({"scheduled_time": ahead(7)})), envelope(7), envelope(527_040)] {
        let receipt = offline(&event).failed("bad_event", 2);
        assert_eq!(receipt["error"]["field"], "scheduled_time", "{receipt}");
    }
    for event in [with(&order, json!({"scheduled_time": ahead(3)})), envelope(3)] {
        assert_eq!(offline(&event).code, 0);
    }
}
