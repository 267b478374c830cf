//! CronJob schedules: five fields, names, ranges, steps, lists, and the `@` forms. UTC.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// When something recurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// At the minutes whose parts are in these sets; bit n stands for the value n.
    Fields { minutes: u64, hours: u64, days: u64, months: u64, weekdays: u64, either_day: bool },
    /// Each time so much has passed.
    Every(SignedDuration),
}

/// A schedule that finds no day in so many (a leap day on a given weekday takes up to 40 years) never comes.
const MAX_DAYS: usize = 366 * 41;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule; none when it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        if let Some(duration) = text.strip_prefix("@every ") {
            let duration: SignedDuration = duration.trim().parse().ok()?;
            return (duration >= SignedDuration::from_secs(1)).then_some(Self::Every(duration));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        let weekdays = set(weekday, 0, 7, &WEEKDAYS, 0)?;
        Some(Self::Fields {
            minutes: set(minute, 0, 59, &[], 0)?,
            hours: set(hour, 0, 23, &[], 0)?,
            days: set(day, 1, 31, &[], 0)?,
            months: set(month, 1, 12, &MONTHS, 1)?,
            // 7 is Sunday too.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            // When both days are restricted, either will do.
            either_day: !day.starts_with(['*', '?']) && !weekday.starts_with(['*', '?']),
        })
    }

    /// The first time after `time`.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let Self::Fields { minutes, hours, .. } = self else {
            let Self::Every(duration) = self else { return None };
            return time.checked_add(*duration).ok();
        };
        let start = time.to_zoned(TimeZone::UTC).datetime();
        let mut date = start.date();
        for _ in 0..MAX_DAYS {
            if self.on(date) {
                for hour in (0..24).filter(|hour| has(*hours, *hour)) {
                    for minute in (0..60).filter(|minute| has(*minutes, *minute)) {
                        let at = date.at(hour, minute, 0, 0);
                        if at > start {
                            return Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp());
                        }
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn on(&self, date: Date) -> bool {
        let Self::Fields { days, months, weekdays, either_day, .. } = self else { return false };
        let day = has(*days, date.day());
        let weekday = has(*weekdays, date.weekday().to_sunday_zero_offset());
        has(*months, date.month()) && if *either_day { day || weekday } else { day && weekday }
    }
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set.checked_shr(value).unwrap_or(0) & 1 == 1)
}

/// Reads one field: a list of `*`, values and ranges, each with an optional step.
fn set(text: &str, min: u32, max: u32, names: &[&str], first_name: u32) -> Option<u64> {
    let value = |text: &str| -> Option<u32> {
        let lower = text.to_lowercase();
        let named = names.iter().position(|name| *name == lower).and_then(|i| u32::try_from(i).ok());
        named.map(|index| index + first_name).or_else(|| text.parse().ok()).filter(|v| (min..=max).contains(v))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (low, high) = match range.split_once('-') {
            Some((low, high)) => (value(low)?, value(high)?),
            None if matches!(range, "*" | "?") => (min, max),
            // A value with a step runs to the end.
            None if part.contains('/') => (value(range)?, max),
            None => (value(range)?, value(range)?),
        };
        if low > high {
            return None;
        }
        for number in (low..=high).step_by(usize::try_from(step).ok()?) {
            set |= 1 << number;
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Schedule;

    #[test]
    fn the_next_time_is_found() {
        for (schedule, after, want) in [
            ("* * * * *", "2026-01-01T00:00:00Z", Some("2026-01-01T00:01:00Z")),
            ("*/15 * * * *", "2026-01-01T00:16:30Z", Some("2026-01-01T00:30:00Z")),
            ("5 4 * * *", "2026-01-01T04:05:00Z", Some("2026-01-02T04:05:00Z")),
            ("0 0 1 JAN *", "2026-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("0 12 * * mon-fri", "2026-01-03T00:00:00Z", Some("2026-01-05T12:00:00Z")),
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", Some("2026-01-02T00:00:00Z")),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", Some("2026-01-04T00:00:00Z")),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("0 0 31 2 *", "2026-01-01T00:00:00Z", None),
            ("@hourly", "2026-01-01T00:00:00Z", Some("2026-01-01T01:00:00Z")),
            ("@every 1m30s", "2026-01-01T00:00:00Z", Some("2026-01-01T00:01:30Z")),
            ("10-20/5,40 3 * * *", "2026-01-01T03:16:00Z", Some("2026-01-01T03:20:00Z")),
        ] {
            let after: Timestamp = after.parse().unwrap();
            let got = Schedule::parse(schedule).unwrap().next_after(after);
            assert_eq!(got, want.map(|want| want.parse().unwrap()), "{schedule}");
        }
    }

    #[test]
    fn rubbish_is_no_schedule() {
        for text in ["", "* * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "@every 1ms"]
        {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
