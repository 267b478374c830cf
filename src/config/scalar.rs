//! What a word without quotes means: nothing, a truth value, a number or text.
//!
//! The rules are those that Kubernetes' components follow: YAML 1.1, so `yes` is true and `0x10` is a number.

/// A value without parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    /// A whole number; larger ones than fit are floats, as in Go.
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// The value in the words of a message: `the number 15`, `the text "x"`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text {:?}", text.chars().take(60).collect::<String>()),
        }
    }
}

/// What a plain word means.
pub(crate) fn resolve(word: &str) -> Scalar {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Scalar::Bool(false),
        _ => {}
    }
    // Only what begins like a number can be one; it also keeps "inf", "nan" and names of digits apart.
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Scalar::Text(word.to_owned());
    }
    let digits = word.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Scalar::Integer(number);
    }
    let looks_decimal = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    match digits.parse::<f64>() {
        Ok(number) if looks_decimal && number.is_finite() => Scalar::Float(number),
        _ => Scalar::Text(word.to_owned()),
    }
}

fn integer(digits: &str) -> Option<i128> {
    let (negative, rest) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits),
    };
    let (radix, rest) = match rest.get(..2) {
        Some("0x" | "0X") => (16, &rest[2..]),
        Some("0o" | "0O") => (8, &rest[2..]),
        Some("0b" | "0B") => (2, &rest[2..]),
        Some(_) if rest.starts_with('0') && rest.len() > 1 => (8, &rest[1..]),
        _ => (10, rest),
    };
    // A second sign would be accepted by the parser below.
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(rest, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, scalar) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("yes", Scalar::Bool(true)),
            ("off", Scalar::Bool(false)),
            ("15", Scalar::Integer(15)),
            ("-3", Scalar::Integer(-3)),
            ("0x10", Scalar::Integer(16)),
            ("010", Scalar::Integer(8)),
            ("1_000", Scalar::Integer(1000)),
            ("1.5", Scalar::Float(1.5)),
            ("1e3", Scalar::Float(1000.0)),
            (".5", Scalar::Float(0.5)),
        ] {
            assert_eq!(resolve(word), scalar, "{word}");
        }
        for text in ["15s", "inf", "nan", "-", ".", "+-1", "0x", "1.2.3", "a", "-\u{e9}", "0\u{e9}"] {
            assert_eq!(resolve(text), Scalar::Text(text.to_owned()), "{text}");
        }
    }
}
