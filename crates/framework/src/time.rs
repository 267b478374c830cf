//! Time, as a value: everything below the shell is told what time it is.

use std::time::Duration;

/// A point in time: the time since the Unix epoch on a clock that never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Time(Duration);

impl Time {
    /// The time this long after the Unix epoch.
    pub const fn since_epoch(d: Duration) -> Self {
        Self(d)
    }
    /// The time since the Unix epoch.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
    /// Later by `d`.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }
    /// How long since `earlier`; nothing if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
    /// Cut to the whole second.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }
}

/// The seconds since 1970 of a time as Kubernetes writes it (RFC 3339, such as `2026-03-01T08:00:00Z`); fractions of a
/// second are cut. `None` where it is none.
pub fn unix_seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten()
    };
    let separated = |at: usize, by: &str| text.get(at..=at).is_some_and(|c| c.eq_ignore_ascii_case(by));
    if !(separated(4, "-") && separated(7, "-") && separated(10, "T") && separated(13, ":") && separated(16, ":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset_minutes = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] => {
            let hours: i64 = std::str::from_utf8(hours).ok()?.parse().ok()?;
            let minutes = i64::from(tens.checked_sub(b'0')?) * 10 + i64::from(ones.checked_sub(b'0')?);
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    // Days since 1970 of a date of the Gregorian calendar, with years that begin in March, so that the leap day is the
    // last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_kubernetes_writes_them() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:01Z", Some(951_825_601)),
            ("2026-11-25T05:00:00Z", Some(1_795_582_800)),
            ("2026-11-25T05:00:00.123456Z", Some(1_795_582_800)),
            ("2026-11-25T06:30:00+01:30", Some(1_795_582_800)),
            ("2026-11-25T04:00:00-01:00", Some(1_795_582_800)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2026-11-25", None),
            ("2026-13-25T05:00:00Z", None),
            ("2026-11-25T05:00:00", None),
            ("yesterday, about noon, I think", None),
            ("", None),
        ];
        for (text, expect) in rows {
            assert_eq!(unix_seconds(text), expect, "{text}");
        }
    }
}
