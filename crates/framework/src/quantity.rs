//! Kubernetes quantities (`100m`, `1.5Gi`, `2e3`), exact to a billionth.
//!
//! Kubernetes adds quantities exactly and rounds once, at the end, away from zero: two containers of `0.5m` CPU ask for
//! one milli-CPU, not two. So a [`Quantity`] keeps billionths in 128 bits, and [`Quantity::value`] and
//! [`Quantity::milli_value`] do the rounding. What is finer than a billionth is rounded up when it is read, and what is
//! larger than an `i64` of whole units is cut to that, as `resource.ParseQuantity` does.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS: i128 = 1_000_000_000;
const MAX: i128 = (i64::MAX as i128) * NANOS;

/// An exact amount. Arithmetic saturates at `i64::MAX` whole units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity {
    nanos: i128,
}

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity (such as 2, 100m, 1.5Gi or 3e6)")]
pub struct QuantityError {
    /// The text as it was written, cut to 64 characters.
    pub text: String,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0 };

    /// `value` whole units.
    pub fn from_value(value: i64) -> Self {
        Self { nanos: i128::from(value) * NANOS }
    }

    /// `milli` thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self { nanos: i128::from(milli) * 1_000_000 }
    }

    /// Reads a quantity in any of Kubernetes' forms: plain, decimal suffix (`n u m k M G T P E`), binary suffix
    /// (`Ki` to `Ei`) or decimal exponent.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse(text).ok_or_else(|| QuantityError { text: text.chars().take(64).collect() })
    }

    /// Whole units, rounded away from zero.
    pub fn value(self) -> i64 {
        round_away(self.nanos, NANOS)
    }

    /// Thousandths, rounded away from zero, cut at `i64`'s range.
    pub fn milli_value(self) -> i64 {
        round_away(self.nanos, 1_000_000)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX, MAX) }
    }

    /// Whether this is exactly nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.nanos / NANOS, self.nanos.unsigned_abs() % NANOS.unsigned_abs());
        let sign = if self.nanos < 0 { "-" } else { "" };
        let whole = whole.unsigned_abs();
        if rest == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{rest:09}") }
    }
}

/// Reads what the API server writes, a string, and what people write, which may be a bare number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawQuantity(
    /// The text as written.
    pub Box<str>,
);

impl<'de> Deserialize<'de> for RawQuantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawQuantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity: a string or a number")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawQuantity, E> {
                Ok(RawQuantity(v.into()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<RawQuantity, E> {
                Ok(RawQuantity(v.to_string().into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<RawQuantity, E> {
                Ok(RawQuantity(v.to_string().into()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<RawQuantity, E> {
                Ok(RawQuantity(v.to_string().into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for RawQuantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn round_away(nanos: i128, unit: i128) -> i64 {
    let (whole, rest) = (nanos / unit, nanos % unit);
    let rounded = whole + rest.signum();
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// What a suffix multiplies by: a power of ten (relative to billionths) and a power of two.
struct Multiplier {
    ten: i32,
    two: u32,
}

fn multiplier(suffix: &str) -> Option<Multiplier> {
    let decimal = |ten| Some(Multiplier { ten: ten + 9, two: 0 });
    let binary = |two| Some(Multiplier { ten: 9, two });
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E'])?;
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // Beyond any amount that could matter the exponent only says "huge" or "nothing".
            let ten = digits.parse::<i32>().unwrap_or_else(|_| if digits.starts_with('-') { -1_000 } else { 1_000 });
            decimal(ten.clamp(-1_000, 1_000))
        }
    }
}

fn parse(text: &str) -> Option<Quantity> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let Multiplier { ten, two } = multiplier(suffix)?;
    let nanos = if two == 0 { decimal(whole, fraction, ten) } else { binary(whole, fraction, two) };
    Some(Quantity { nanos: if negative { -nanos } else { nanos } })
}

/// `whole.fraction * 10^ten`, rounded up, at most [`MAX`]: the point moves, and whatever is then behind it rounds up.
fn decimal(whole: &str, fraction: &str, ten: i32) -> i128 {
    let mut places = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(ten));
    let mut value = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0')) {
        if places > 0 {
            value = (value * 10 + digit).min(MAX);
        } else if digit != 0 {
            return (value + 1).min(MAX);
        }
        places -= 1;
    }
    let zeros = u32::try_from(places.max(0)).ok().and_then(|places| 10_i128.checked_pow(places));
    let shifted = if value == 0 { Some(0) } else { zeros.and_then(|zeros| value.checked_mul(zeros)) };
    shifted.unwrap_or(MAX).min(MAX)
}

/// Billionths of `whole.fraction * 2^two`, rounded up, at most [`MAX`].
fn binary(whole: &str, fraction: &str, two: u32) -> i128 {
    let nanos = decimal(whole, "", 0).checked_mul(NANOS << two).unwrap_or(MAX);
    // The first 36 digits, in two halves so that each fits when it is multiplied; the rest only rounds up.
    let half = |from: usize| {
        let digits = fraction.bytes().chain(std::iter::repeat(b'0')).skip(from).take(18);
        digits.fold(0, |sum, byte| sum * 10 + i128::from(byte - b'0')) << two
    };
    let (high, low) = (half(0), half(18));
    let rest = high % NANOS * NANOS * NANOS + low;
    let unit = NANOS * NANOS * NANOS;
    let more = rest % unit != 0 || fraction.bytes().skip(36).any(|byte| byte != b'0');
    (nanos.min(MAX) + high / NANOS + rest / unit + i128::from(more)).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_exactly() {
        // text, whole units, thousandths
        let rows: &[(&str, i64, i64)] = &[
            ("0", 0, 0),
            ("1", 1, 1_000),
            ("+1", 1, 1_000),
            ("-1", -1, -1_000),
            ("-1500m", -2, -1_500),
            ("100m", 1, 100),
            ("0.5m", 1, 1),
            ("1500m", 2, 1_500),
            ("1n", 1, 1),
            ("1u", 1, 1),
            ("0.0000000001", 1, 1),
            ("1.", 1, 1_000),
            (".5", 1, 500),
            ("0.1", 1, 100),
            ("3k", 3_000, 3_000_000),
            ("1Ki", 1_024, 1_024_000),
            ("0.5Ki", 512, 512_000),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("1e3", 1_000, 1_000_000),
            ("1E3", 1_000, 1_000_000),
            ("1e-3", 1, 1),
            ("1.5e2", 150, 150_000),
            ("2E", 2_000_000_000_000_000_000, i64::MAX),
            ("7Ei", 8_070_450_532_247_928_832, i64::MAX),
            ("9Ei", i64::MAX, i64::MAX),
            ("9223372036854775807", i64::MAX, i64::MAX),
            ("99999999999999999999999999999999999999999999", i64::MAX, i64::MAX),
            ("1e999999999999", i64::MAX, i64::MAX),
            ("0e999999999999", 0, 0),
            ("1e-999999999999", 1, 1),
            ("000123", 123, 123_000),
            ("0.1000000000000000000000000000001", 1, 101),
            ("0.0000000000000000001E", 1, 100),
            ("-0.5", -1, -500),
        ];
        for (text, value, milli) in rows {
            let q = Quantity::parse(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((q.value(), q.milli_value()), (*value, *milli), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_a_billionth_is_rounded_up_once() {
        let rows = [
            ("15.5e-10", "2n"),
            ("1.5e-10", "1n"),
            ("1.5n", "2n"),
            ("-1.5n", "-2n"),
            ("10.0e-1n", ""),
            ("0.1Ki", "102.4"),
            ("0.0000000000000000000000000001Ei", "1n"),
            ("0.000000000000000000000000001Ei", "2n"),
            ("0.000000000000000001Ei", "1.152921505"),
        ];
        for (text, same) in rows {
            assert_eq!(Quantity::parse(text).ok(), Quantity::parse(same).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in ["0", "-0.5", "0.5", "-1.000000001", "1n", "-1n", "9E", "-99E"] {
            let read = Quantity::parse(text).unwrap();
            assert_eq!(Quantity::parse(&format!("{read:?}")), Ok(read), "{text}: {read:?}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", "1x", "x", "-", ".", "1..2", "1.2.3", "1 ", " 1", "1mm", "1ki", "1KI", "e3", "1e", "1e+", "0x10", "1_0",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Quantity::parse("1x").unwrap_err().to_string(),
            "\"1x\" is not a quantity (such as 2, 100m, 1.5Gi or 3e6)"
        );
    }

    #[test]
    fn sums_are_rounded_once() {
        let half = Quantity::parse("0.5m").unwrap();
        assert_eq!(half.plus(half).milli_value(), 1);
        let big = Quantity::from_value(i64::MAX);
        assert_eq!(big.plus(big).value(), i64::MAX);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[-+]?[0-9.]{0,45}[a-zA-Z]{0,3}[-+]?[0-9]{0,14}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn milli_units_survive(milli in proptest::num::i64::ANY) {
            let q = Quantity::parse(&format!("{milli}m")).unwrap();
            proptest::prop_assert_eq!(q, Quantity::from_milli(milli));
            proptest::prop_assert_eq!(q.milli_value(), milli);
        }
    }
}
