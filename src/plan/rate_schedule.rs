//! A rate by hours of the day: more at night, less while people work.

use super::RateLimit;
use super::retention::zone;
use crate::error::{Code, Error, Result};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// More windows than a day has use for.
const MAX_WINDOWS: usize = 24;
/// A dump whose end is further off than this is not worked out to the minute.
const HORIZON: Duration = Duration::days(30);

/// Bytes a second: a gigabyte takes more than four hours.
const TOO_SLOW: u64 = 64 << 10;

/// Bytes per second out of `pg_dump`, at each time of the day.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSchedule {
    windows: Vec<Window>,
    /// Outside of all windows.
    rest: RateLimit,
    zone: TimeZone,
}

/// From `from`, and until before `to`; over midnight if that is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    from: Time,
    to: Time,
    rate: RateLimit,
}

impl Window {
    fn holds(&self, time: Time) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&time),
            false => time >= self.from || time < self.to,
        }
    }
}

/// The same rate at any time.
impl From<RateLimit> for RateSchedule {
    fn from(rate: RateLimit) -> Self {
        Self {
            windows: Vec::new(),
            rest: rate,
            zone: TimeZone::UTC,
        }
    }
}

impl RateSchedule {
    /// Objects of `from`, `to` (`HH:MM` in the time zone) and `rate`; at all other times `rest` holds.
    pub(crate) fn new(list: &[Value], rest: RateLimit, time_zone: &str) -> Result<Self> {
        if list.is_empty() || list.len() > MAX_WINDOWS {
            return Err(refused(format!(
                "must be a rate, or a list of 1 to {MAX_WINDOWS} times with theirs"
            )));
        }
        let windows = list.iter().map(window).collect::<Result<Vec<_>>>()?;
        for (at, one) in windows.iter().enumerate() {
            if windows[..at].iter().any(|other| other.holds(one.from) || one.holds(other.from)) {
                return Err(refused(format!("has two rates for {}", one.from.strftime("%H:%M"))));
            }
        }
        Ok(Self {
            windows,
            rest,
            zone: zone(time_zone)?,
        })
    }

    pub fn is_constant(&self) -> bool {
        self.windows.is_empty()
    }

    /// Outside of all times.
    pub fn rest(&self) -> RateLimit {
        self.rest
    }

    /// A rate at which no database is ever done, which is a unit that was forgotten.
    pub(crate) fn warning(&self) -> Option<String> {
        let rates = self.windows.iter().map(|window| window.rate).chain([self.rest]);
        let slowest = rates.filter_map(RateLimit::bytes_per_second).min()?;
        (slowest < TOO_SLOW)
            .then(|| format!("rate_limit is {slowest} bytes a second: a number without a unit is bytes, and {slowest}M is megabytes"))
    }

    pub fn at(&self, now: OffsetDateTime) -> RateLimit {
        let Ok(now) = jiff::Timestamp::from_second(now.unix_timestamp()) else {
            return self.rest;
        };
        let time = self.zone.to_datetime(now).time();
        let window = self.windows.iter().find(|window| window.holds(time));
        window.map_or(self.rest, |window| window.rate)
    }

    /// The average for so many bytes from now on; `None` if nothing holds them back.
    pub(crate) fn average(&self, bytes: u64, now: OffsetDateTime) -> Option<u64> {
        if self.is_constant() {
            return self.rest.bytes_per_second();
        }
        let (mut left, mut seconds) = (bytes, 0);
        while left > 0 && Duration::seconds(seconds) < HORIZON {
            // What nothing holds back takes no time that a rate knows of.
            let Some(rate) = self.at(now + Duration::seconds(seconds)).bytes_per_second() else {
                left = 0;
                break;
            };
            // Windows begin and end at whole minutes.
            let passes = rate.saturating_mul(60);
            seconds += match left <= passes {
                true => i64::try_from(left.div_ceil(rate.max(1))).unwrap_or(60),
                false => 60,
            };
            left = left.saturating_sub(passes);
        }
        let passed = (bytes - left).max(1);
        (seconds > 0).then(|| (passed / (seconds as u64)).max(1))
    }

    /// The times with rates of their own, as an event names them, with bytes per second.
    pub(crate) fn to_json(&self) -> Value {
        let shown = |time: Time| time.strftime("%H:%M").to_string();
        let windows = self.windows.iter();
        let windows = windows
            .map(|window| json!({"from": shown(window.from), "to": shown(window.to), "bytes_per_second": window.rate.bytes_per_second()}));
        Value::from(windows.collect::<Vec<_>>())
    }
}

fn window(value: &Value) -> Result<Window> {
    let object = value.as_object().ok_or_else(|| refused("must be a list of objects".to_owned()))?;
    if object.keys().any(|name| !["from", "to", "rate"].contains(&name.as_str())) {
        return Err(refused("takes `from`, `to` and `rate` for each time, and nothing else".to_owned()));
    }
    let time = |name: &str| {
        let text = object.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_plain = text.len() == 5 && text.as_bytes()[2] == b':';
        let time = is_plain.then(|| Time::strptime("%H:%M", text).ok()).flatten();
        time.ok_or_else(|| refused(format!("needs `{name}` for each time, as \"22:00\"")))
    };
    let rate = match object.get("rate") {
        Some(Value::String(text)) => RateLimit::parse(text)?,
        Some(Value::Number(number)) => RateLimit::parse(&number.to_string())?,
        _ => return Err(refused("needs `rate` for each time, as \"50M\"".to_owned())),
    };
    let window = Window {
        from: time("from")?,
        to: time("to")?,
        rate,
    };
    if window.from == window.to {
        return Err(refused("has a time that ends when it begins".to_owned()));
    }
    Ok(window)
}

fn refused(reason: String) -> Error {
    Error::field(Code::BadEvent, "rate_limit", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn schedule(list: Value, zone: &str) -> Result<RateSchedule> {
        RateSchedule::new(list.as_array().unwrap(), RateLimit::parse("10M").unwrap(), zone)
    }

    fn night() -> Value {
        json!([{"from": "22:00", "to": "06:00", "rate": "50M"}, {"from": "12:00", "to": "13:00", "rate": "0"}])
    }

    #[test]
    fn each_time_of_the_day_has_its_rate_in_the_time_zone() {
        let berlin = schedule(night(), "Europe/Berlin").unwrap();
        for (time, rate) in [
            (datetime!(2026-11-30 21:00 UTC), Some(50 << 20)),
            (datetime!(2026-11-30 20:59:59 UTC), Some(10 << 20)),
            (datetime!(2026-12-01 04:59 UTC), Some(50 << 20)),
            (datetime!(2026-12-01 05:00 UTC), Some(10 << 20)),
            (datetime!(2026-12-01 11:30 UTC), None),
        ] {
            assert_eq!(berlin.at(time).bytes_per_second(), rate, "{time}");
        }
    }

    #[test]
    fn the_average_is_of_the_times_that_a_dump_goes_through() {
        let utc = schedule(json!([{"from": "00:00", "to": "01:00", "rate": "50M"}]), "UTC").unwrap();
        let hour = 3600 * (1 << 20);
        let half = datetime!(2026-11-30 00:30 UTC);
        assert_eq!(utc.average(25 * hour, half), Some(50 << 20));
        // Half an hour at 50, half an hour at 10.
        assert_eq!(utc.average(30 * hour, half), Some(30 << 20));
        assert_eq!(
            schedule(night(), "UTC").unwrap().average(hour, datetime!(2026-11-30 12:10 UTC)),
            None
        );
    }

    /// A time without a limit later on made the whole dump one without, and any list was rounded up to minutes.
    #[test]
    fn the_average_is_neither_none_for_a_free_hour_to_come_nor_by_whole_minutes() {
        let list = json!([{"from": "00:00", "to": "00:20", "rate": "1k"}, {"from": "00:20", "to": "06:00", "rate": "0"}]);
        let slow_first = schedule(list, "UTC").unwrap();
        let bytes = 41_000_000;
        let average = slow_first
            .average(bytes, datetime!(2026-11-30 00:00 UTC))
            .expect("twenty minutes are held back");
        assert_eq!(bytes / average, 1200);
        let list = json!([{"from": "00:00", "to": "00:01", "rate": "5M"}]);
        let average = schedule(list, "UTC").unwrap().average(20 << 20, datetime!(2026-11-30 09:00 UTC));
        assert_eq!(average, Some(10 << 20));
    }

    #[test]
    fn times_that_overlap_or_are_none_are_refused() {
        for list in [
            json!([]),
            json!(["10M"]),
            json!([{"from": "22:00", "to": "22:00", "rate": "1M"}]),
            json!([{"from": "22:00", "to": "24:00", "rate": "1M"}]),
            json!([{"from": "9:00", "to": "10:00", "rate": "1M"}]),
            json!([{"from": "09:00", "to": "10:00"}]),
            json!([{"from": "09:00", "to": "10:00", "rate": "fast"}]),
            json!([{"from": "09:00", "to": "10:00", "rate": "1M", "zone": "UTC"}]),
            json!([{"from": "22:00", "to": "06:00", "rate": "1M"}, {"from": "05:00", "to": "07:00", "rate": "2M"}]),
        ] {
            let error = schedule(list.clone(), "UTC").unwrap_err();
            assert_eq!(error.field.as_deref(), Some("rate_limit"), "{list}");
        }
    }

    #[test]
    fn a_number_without_its_unit_is_told() {
        let told = |text: &str| RateSchedule::from(RateLimit::parse(text).unwrap()).warning();
        assert!(told("2").unwrap().contains("2M is megabytes"));
        assert_eq!((told("10M"), told("0"), told("64k")), (None, None, None));
        let list = json!([{"from": "01:00", "to": "02:00", "rate": "50"}]);
        assert!(schedule(list, "UTC").unwrap().warning().is_some());
    }
}
