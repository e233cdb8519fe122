//! The time that names a backup: the one at which it was to be made.

use crate::envelope::manifest::Timestamp;
use crate::error::{Code, Error, Result};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// Clocks differ a little; more than this ahead of ours, a time would name a backup before its data exists.
const AHEAD: Duration = Duration::minutes(5);
/// An event that was meant so long ago is more likely a stored one than a late one.
const LATE: Duration = Duration::hours(48);

/// Now, unless a time is asked for: RFC 3339, of the years 1970 to 9999, at most 5 minutes in the future.
pub(crate) fn time(text: Option<&str>, now: OffsetDateTime) -> Result<OffsetDateTime> {
    let Some(text) = text else {
        return Ok(now);
    };
    let refused = |reason: &str| Error::field(Code::BadEvent, "scheduled_time", reason);
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| time.checked_to_offset(UtcOffset::UTC))
        .filter(|time| (1970..=9999).contains(&time.year()))
        .ok_or_else(|| refused("must be a time as in RFC 3339, such as 2026-11-24T02:00:00Z"))?;
    if time - now > AHEAD {
        return Err(refused(
            "must not be more than 5 minutes in the future: a backup is named by the time at which it was to be made",
        ));
    }
    Ok(time)
}

/// The warning about a time that was long ago: fixed in a stored event, it makes one backup, and from then on finds it.
pub(crate) fn late(time: OffsetDateTime, now: OffsetDateTime) -> Option<String> {
    let warning = || {
        let time = Timestamp(time);
        format!("the scheduled time {time} is more than 48 hours ago: an event that always holds this time makes one backup and no other")
    };
    (now - time > LATE).then(warning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-24 02:00 UTC);

    #[test]
    fn a_time_in_the_future_names_no_backup() {
        for text in [
            "2026-11-24T02:05:00Z",
            "2026-11-24T03:05:00+01:00",
            "2026-11-24T01:00:00Z",
            "1999-01-01T00:00:00Z",
        ] {
            assert!(time(Some(text), NOW).is_ok(), "{text}");
        }
        for text in [
            "2026-11-24T02:05:01Z",
            "2026-11-25T02:00:00Z",
            "9998-01-01T00:00:00Z",
            "yesterday",
            "",
        ] {
            let error = time(Some(text), NOW).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (Code::BadEvent, Some("scheduled_time")),
                "{text}"
            );
        }
        assert_eq!(time(None, NOW).unwrap(), NOW);
    }

    #[test]
    fn a_time_long_ago_is_told() {
        assert_eq!(late(NOW - LATE, NOW), None);
        let warning = late(datetime!(2020-01-01 0:00 UTC), NOW).unwrap();
        assert!(warning.contains("2020-01-01T00:00:00Z"), "{warning}");
    }
}
