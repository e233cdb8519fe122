//! For how long a backup is kept: its class, by which lifecycle rules and locks go. Nothing is deleted here.

use crate::error::{Code, Error, Result};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use time::OffsetDateTime;

/// Lifecycle rules select by these tags: the class, and `manifest`, which must go before what it names.
pub(crate) const CLASS_TAG: &str = "retention";
pub(crate) const ROLE_TAG: &str = "role";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionClass {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl RetentionClass {
    pub const ALL: [Self; 4] = [Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];

    /// The class that is named, or that `gfs` (grandfather, father, son) gives to the day of `time` in the time zone.
    pub(crate) fn new(retention: &str, time_zone: Option<&str>, time: OffsetDateTime) -> Result<Self> {
        let zone = zone(time_zone.unwrap_or("UTC"))?;
        if retention == "gfs" {
            return Ok(Self::of_day(day(time, &zone)?));
        }
        let class = Self::ALL.into_iter().find(|class| class.as_str() == retention);
        class.ok_or_else(|| refused("retention", "must be daily, weekly, monthly, yearly or gfs"))
    }

    fn of_day(day: Date) -> Self {
        match (day.month(), day.day(), day.weekday()) {
            (1, 1, _) => Self::Yearly,
            (_, 1, _) => Self::Monthly,
            (.., Weekday::Sunday) => Self::Weekly,
            _ => Self::Daily,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    /// For how many days the templates' lifecycle rules keep the manifest; what it names stays for two days more, since a dump
    /// begins before midnight and ends behind it.
    pub(crate) fn days(self) -> u32 {
        match self {
            Self::Daily => 14,
            Self::Weekly => 60,
            Self::Monthly => 400,
            Self::Yearly => 2600,
        }
    }

    /// In the form of the `x-amz-tagging` header. A manifest goes before what it names: what has no manifest is no backup.
    pub(crate) fn tagging(self, is_manifest: bool) -> String {
        let role = if is_manifest {
            format!("&{ROLE_TAG}=manifest")
        } else {
            String::new()
        };
        format!("{CLASS_TAG}={}{role}", self.as_str())
    }

    /// A lock ends before the lifecycle rule comes.
    pub(crate) fn lock_days(self) -> u32 {
        self.days() - 1
    }
}

pub(super) fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| refused("timezone", "must be a time zone of IANA's database, such as Europe/Berlin"))
}

fn day(time: OffsetDateTime, zone: &TimeZone) -> Result<Date> {
    let time = jiff::Timestamp::from_second(time.unix_timestamp())
        .map_err(|_| refused("scheduled_time", "is outside of the years that time zones are known for"))?;
    Ok(zone.to_datetime(time).date())
}

fn refused(field: &str, reason: &str) -> Error {
    Error::field(Code::BadEvent, field, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_calendar_gives_the_class_in_the_time_zone() {
        let gfs = |time, zone| RetentionClass::new("gfs", zone, time).unwrap();
        for (time, class) in [
            (datetime!(2026-01-01 02:00 UTC), RetentionClass::Yearly),
            // A Sunday, too.
            (datetime!(2026-02-01 02:00 UTC), RetentionClass::Monthly),
            (datetime!(2026-11-29 02:00 UTC), RetentionClass::Weekly),
            (datetime!(2026-11-30 02:00 UTC), RetentionClass::Daily),
        ] {
            assert_eq!(gfs(time, None), class, "{time}");
        }
        // Still December there, and already January here.
        assert_eq!(
            gfs(datetime!(2026-01-01 02:00 UTC), Some("America/New_York")),
            RetentionClass::Daily
        );
        assert_eq!(gfs(datetime!(2025-12-31 23:30 UTC), Some("Europe/Berlin")), RetentionClass::Yearly);
        // The clock is put forward, and nothing happens between 2 and 3.
        assert_eq!(gfs(datetime!(2026-03-29 01:30 UTC), Some("Europe/Berlin")), RetentionClass::Weekly);
    }

    #[test]
    fn a_class_is_named_and_anything_else_is_refused() {
        let time = datetime!(2026-01-01 02:00 UTC);
        for class in RetentionClass::ALL {
            assert_eq!(RetentionClass::new(class.as_str(), None, time).unwrap(), class);
            assert_eq!(class.lock_days() + 1, class.days());
        }
        for (retention, zone, field) in [
            ("", None, "retention"),
            ("Daily", None, "retention"),
            ("gfs", Some("Mars/Base"), "timezone"),
        ] {
            let error = RetentionClass::new(retention, zone, time).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some(field)), "{retention}");
        }
    }

    /// The midnight (UTC) at which S3 removes what was written at `time`: its lifecycle counts whole days and rounds up.
    fn removed(time: OffsetDateTime, days: i64) -> OffsetDateTime {
        let due = time + time::Duration::days(days);
        let midnight = due.replace_time(time::Time::MIDNIGHT);
        if midnight == due { due } else { midnight + time::Duration::days(1) }
    }

    /// The days after which a rule of deploy/lifecycle.json removes what has these tags.
    fn days(rules: &serde_json::Value, class: RetentionClass, is_manifest: bool) -> i64 {
        let tags: Vec<String> = class.tagging(is_manifest).split('&').map(str::to_owned).collect();
        let fits = |filter: &serde_json::Value| {
            let wanted = filter["And"]["Tags"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![filter["Tag"].clone()]);
            wanted
                .iter()
                .all(|tag| tags.contains(&format!("{}={}", tag["Key"].as_str().unwrap(), tag["Value"].as_str().unwrap())))
        };
        let rules = rules["Rules"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["Expiration"].is_object());
        rules
            .filter(|rule| fits(&rule["Filter"]))
            .filter_map(|rule| rule["Expiration"]["Days"].as_i64())
            .min()
            .unwrap()
    }

    /// Three years of nights, each with a dump that begins before midnight and a manifest that is written behind it.
    #[test]
    fn on_every_day_of_three_years_what_is_listed_is_complete_and_no_lock_is_in_the_way() {
        let rules: serde_json::Value = serde_json::from_str(include_str!("../../deploy/lifecycle.json")).unwrap();
        let first = datetime!(2026-01-01 23:50 UTC);
        let nights: Vec<(OffsetDateTime, RetentionClass)> = (0..1096)
            .map(|night| first + time::Duration::days(night))
            .map(|time| (time, RetentionClass::new("gfs", Some("Europe/Berlin"), time).unwrap()))
            .collect();
        let mut most = std::collections::BTreeMap::new();
        for day in 0..1200 {
            let now = datetime!(2026-01-02 12:00 UTC) + time::Duration::days(day);
            let mut listed = std::collections::BTreeMap::new();
            for (dump, class) in nights.iter().filter(|(dump, _)| *dump < now) {
                let manifest = *dump + time::Duration::minutes(40);
                let (until, others_until) = (
                    removed(manifest, days(&rules, *class, true)),
                    removed(*dump, days(&rules, *class, false)),
                );
                assert!(until <= others_until, "{dump}: the manifest outlives the dump");
                let locked = |written: OffsetDateTime| written + time::Duration::days(i64::from(class.lock_days()));
                assert!(locked(manifest) <= until && locked(manifest) <= others_until, "{dump}");
                if now < until {
                    *listed.entry(class.as_str()).or_insert(0) += 1;
                }
            }
            for (class, count) in listed {
                let most = most.entry(class).or_insert(0);
                *most = count.max(*most);
            }
        }
        // Never more than a class's days hold: of daily ones what no other class took.
        assert!((11..=14).contains(&most["daily"]), "{most:?}");
        assert!(
            (8..=9).contains(&most["weekly"]) && (12..=13).contains(&most["monthly"]) && most["yearly"] == 3,
            "{most:?}"
        );
    }
}
