//! For how long a backup is kept: its class, by which lifecycle rules and locks go. Nothing is deleted here.

use crate::error::{Code, Error, Result};
use crate::variables::Env;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use time::OffsetDateTime;

/// Lifecycle rules select by these tags: the class, and `manifest`, which must go before what it names.
pub(crate) const CLASS_TAG: &str = "retention";
pub(crate) const ROLE_TAG: &str = "role";

pub(crate) const TAGS: [&str; 2] = [CLASS_TAG, ROLE_TAG];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionClass {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl RetentionClass {
    pub const ALL: [Self; 4] = [Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];
    const EVERY: &[Self] = &Self::ALL;

    /// The class that is named, or that `gfs` (grandfather, father, son) gives to the day of `time` in the time zone.
    pub(crate) fn new(retention: &str, time_zone: Option<&str>, time: OffsetDateTime) -> Result<Self> {
        let zone = zone(time_zone.unwrap_or("UTC"))?;
        if retention == "gfs" {
            return Ok(Self::of_day(day(time, &zone)?));
        }
        Self::named(retention).ok_or_else(|| refused("retention", "must be daily, weekly, monthly, yearly or gfs"))
    }

    /// What an event may give to one of its days.
    pub(crate) fn possible(retention: Option<&str>) -> &'static [Self] {
        let at = Self::ALL.iter().position(|class| Some(class.as_str()) == retention);
        match at {
            Some(at) => &Self::EVERY[at..=at],
            None if retention.is_some() => Self::EVERY,
            None => &[],
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
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

    /// In the form of the `x-amz-tagging` header. A manifest goes before what it names: what has no manifest is no backup.
    pub(crate) fn tagging(self, is_manifest: bool) -> String {
        let role = if is_manifest {
            format!("&{ROLE_TAG}=manifest")
        } else {
            String::new()
        };
        format!("{CLASS_TAG}={}{role}", self.as_str())
    }
}

/// For how many days lifecycle rules keep the manifests of each class; what a manifest names stays for two days more, since a
/// dump begins before midnight and ends behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionDays([u32; 4]);

impl Default for RetentionDays {
    fn default() -> Self {
        Self([14, 60, 400, 2600])
    }
}

impl RetentionDays {
    const VARIABLE: &str = "RETENTION_DAYS";

    /// As anyone who deploys other rules says it: `daily=14,weekly=60`; the others are as ever.
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        let mut days = Self::default();
        let mut seen = Vec::new();
        for part in env.get(Self::VARIABLE).unwrap_or_default().split(',') {
            if part.trim().is_empty() {
                continue;
            }
            let class = part.split('=').next().unwrap_or_default().trim();
            let is_first = !seen.contains(&class);
            seen.push(class);
            days.set(part).filter(|()| is_first).ok_or_else(|| {
                refused(
                    Self::VARIABLE,
                    "(an environment variable) must be classes with whole days from 2 to 36500, such as daily=14,weekly=60,monthly=400,yearly=2600",
                )
            })?;
        }
        Ok(days)
    }

    fn set(&mut self, part: &str) -> Option<()> {
        let (name, days) = part.split_once('=')?;
        let at = RetentionClass::ALL.iter().position(|class| class.as_str() == name.trim())?;
        self.0[at] = days.trim().parse().ok().filter(|days| (2..=36_500).contains(days))?;
        Some(())
    }

    pub(crate) fn of(self, class: RetentionClass) -> u32 {
        self.0[class as usize]
    }

    /// A lock ends before the lifecycle rule comes.
    pub(super) fn locked(self, class: RetentionClass) -> u32 {
        self.of(class) - 1
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
    use crate::plan::{BucketName, Destination};
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

    /// A rewrapped manifest had no tags, and outlived its dump.
    #[test]
    fn new_objects_beside_an_old_one_are_kept_as_it_is() {
        let bucket = BucketName::new("acme-backups").unwrap();
        let env = [("AWS_REGION", "eu-west-1")].into_iter().collect();
        let mut destination = Destination::reading(bucket, &env).unwrap();
        let tagged = |tags: &[(&str, &str)], destination: &mut Destination| {
            destination.set_tags(tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            ["app_20261124T020000Z.manifest.2.jsonl", "app_20261124T020000Z.3f9a12bc.key.ab.enc"]
                .map(|name| destination.tagging(name).unwrap_or_default())
        };
        let of_manifest = [("team", "data base"), ("retention", "weekly"), ("role", "manifest")];
        assert_eq!(
            tagged(&of_manifest, &mut destination),
            [
                "team=data%20base&retention=weekly&role=manifest",
                "team=data%20base&retention=weekly"
            ]
        );
        assert_eq!(tagged(&[], &mut destination), ["", ""]);
        // Nobody's class of ours.
        assert_eq!(tagged(&[("retention", "decade")], &mut destination), ["", ""]);
    }

    #[test]
    fn anyone_who_deploys_other_rules_says_their_days() {
        let days = |text: &str| RetentionDays::from_env(&[("RETENTION_DAYS", text)].into_iter().collect());
        let given = days("yearly=3650, daily=30").unwrap();
        assert_eq!(RetentionClass::ALL.map(|class| given.of(class)), [30, 60, 400, 3650]);
        assert_eq!(given.locked(RetentionClass::Daily), 29);
        assert_eq!(days("").unwrap(), RetentionDays::default());
        for text in [
            "daily",
            "daily=1",
            "daily=-3",
            "hourly=3",
            "daily=14;weekly=60",
            "14",
            "daily=14,daily=9",
        ] {
            let error = days(text).unwrap_err();
            assert!(
                error.code == Code::BadEvent && error.message.contains("RETENTION_DAYS"),
                "{text}: {error}"
            );
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
        let removal = RetentionClass::ALL.map(|class| [true, false].map(|is_manifest| days(&rules, class, is_manifest)));
        // The class, and when manifest and dump are removed.
        let nights: Vec<(OffsetDateTime, RetentionClass, OffsetDateTime)> = (0..1096)
            .map(|night| {
                let dump = first + time::Duration::days(night);
                let class = RetentionClass::new("gfs", Some("Europe/Berlin"), dump).unwrap();
                let manifest = dump + time::Duration::minutes(40);
                let [of_manifest, of_dump] = removal[class as usize];
                let (until, others_until) = (removed(manifest, of_manifest), removed(dump, of_dump));
                assert!(until <= others_until, "{dump}: the manifest outlives the dump");
                let locked = manifest + time::Duration::days(i64::from(RetentionDays::default().locked(class)));
                assert!(locked <= until && locked <= others_until, "{dump}");
                (dump, class, until)
            })
            .collect();
        let mut most = std::collections::BTreeMap::new();
        for day in 0..1200 {
            let now = datetime!(2026-01-02 12:00 UTC) + time::Duration::days(day);
            let mut listed = std::collections::BTreeMap::new();
            for (_, class, until) in nights.iter().filter(|(dump, ..)| *dump < now) {
                if now < *until {
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
