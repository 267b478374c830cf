//! Durations as Go writes them: `15s`, `1m30s`, `2h45m`, `100ms`, `1.5h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units, with the nanoseconds in each.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A span of time, possibly negative, in nanoseconds; up to about 292 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration {
    nanoseconds: i64,
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: {reason}")]
pub struct DurationError {
    text: String,
    reason: String,
}

impl GoDuration {
    /// The name under which deserializers are asked for a duration.
    pub const TYPE_NAME: &'static str = "GoDuration";

    /// So many seconds; saturates at the longest duration.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000) }
    }

    /// Length in nanoseconds.
    pub const fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// The same as a [`Duration`]; negative ones are zero there.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

/// Saturates at the longest duration.
impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        // Messages quote the text: only what can be a duration is quoted whole.
        let shown: String = text.chars().take(40).collect();
        parse(text).map(|nanoseconds| Self { nanoseconds }).map_err(|reason| DurationError { text: shown, reason })
    }
}

fn parse(text: &str) -> Result<i64, String> {
    const HOW: &str = "write it like 15s, 1m30s or 100ms";
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(HOW.to_owned());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        rest = after;
        if number.is_empty() {
            return Err(HOW.to_owned());
        }
        if unit.is_empty() {
            return Err(format!("a unit is missing after {number}; {HOW}"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit {unit:?}; units are h, m, s, ms, us and ns"));
        };
        total = scaled(number, *scale).and_then(|part| total.checked_add(part)).ok_or_else(|| HOW.to_owned())?;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed).map_err(|_| "it is longer than 292 years".to_owned())
}

/// `number` (digits with at most one point) times `scale`, rounded down.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(scale)?;
    // Digits beyond the fifteenth are below a nanosecond even in hours.
    let digits = fraction.get(..fraction.len().min(15))?;
    if !digits.is_empty() {
        let numerator: i128 = digits.parse().ok()?;
        let denominator = 10_i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
        // `fraction` may hold a second point behind the cut.
        if fraction.contains('.') {
            return None;
        }
        total = total.checked_add(numerator.checked_mul(scale)? / denominator)?;
    }
    Some(total)
}

/// As Go prints it: `1m30s`, `100ms`, `0s`.
impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        let nanoseconds = self.nanoseconds.unsigned_abs();
        if nanoseconds == 0 {
            return f.write_str("0s");
        }
        if nanoseconds < 1_000_000_000 {
            let (scale, unit) = match nanoseconds {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "\u{b5}s"),
                _ => (1_000_000, "ms"),
            };
            return write!(f, "{}{unit}", decimal(nanoseconds, scale));
        }
        let minutes = nanoseconds / 60_000_000_000;
        if minutes >= 60 {
            write!(f, "{}h", minutes / 60)?;
        }
        if minutes > 0 {
            write!(f, "{}m", minutes % 60)?;
        }
        write!(f, "{}s", decimal(nanoseconds % 60_000_000_000, 1_000_000_000))
    }
}

/// `value / scale` in decimals, without trailing zeros; `scale` is a power of ten.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.to_string().len() - 1;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> de::Visitor<'de> for Text {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"15s\", with a unit")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<GoDuration, D::Error> {
                deserializer.deserialize_str(self)
            }
        }
        // By name, so that a deserializer can say "a duration" of a number without a unit.
        deserializer.deserialize_newtype_struct(Self::TYPE_NAME, Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_go() {
        for (text, nanoseconds, printed) in [
            ("15s", 15_000_000_000, "15s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("2h45m", 9_900_000_000_000, "2h45m0s"),
            ("100ms", 100_000_000, "100ms"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("-5s", -5_000_000_000, "-5s"),
            ("+5s", 5_000_000_000, "5s"),
            ("1500us", 1_500_000, "1.5ms"),
            ("7ns", 7, "7ns"),
            ("-2562047h47m16.854775808s", i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.nanoseconds(), nanoseconds, "{text}");
            assert_eq!(duration.to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        for (text, reason) in [
            ("", "write it like"),
            ("ten", "write it like"),
            ("15", "a unit is missing after 15"),
            ("15x", "unknown unit \"x\""),
            ("1.2.3s", "write it like"),
            (".s", "write it like"),
            ("1m-3s", "unknown unit \"m-\""),
            ("9999999999h", "longer than 292 years"),
            ("99999999999999999999999999999999999999999999999999s", "write it like"),
            ("1.1234567890123456.7s", "write it like"),
        ] {
            let error = text.parse::<GoDuration>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
