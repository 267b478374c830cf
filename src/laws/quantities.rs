//! Quantities: what is read is what is written, rounded up to a billionth, compared with arithmetic on digits.

use std::cmp::Ordering;

use plimsoll_framework::quantity::Quantity;

/// Longer texts, and greater exponents, are for the arithmetic on digits too slow.
const LONGEST: usize = 64;
const GREATEST: i32 = 100;

/// Two quantities, one a line.
pub(super) fn quantities(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read: Vec<Quantity> = text.split('\n').take(2).filter_map(one).collect();
    let &[a, b] = read.as_slice() else { return };
    assert_eq!(a.plus(b), b.plus(a));
    assert_eq!(a.plus(Quantity::ZERO), a);
    assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
    if a.cmp(&b) != Ordering::Greater {
        assert!(a.value() <= b.value() && a.milli_value() <= b.milli_value(), "{a:?} and {b:?}");
    }
}

fn one(text: &str) -> Option<Quantity> {
    let read = Quantity::parse(text);
    if let Err(error) = &read {
        assert!(error.to_string().chars().count() <= 64 * 10 + 100, "{error}");
    }
    if text.len() <= LONGEST {
        match slow(text) {
            Slow::None => assert!(read.is_err(), "{text:?} is no quantity, and is read as {read:?}"),
            Slow::Nanos(nanos) => {
                let expect = Quantity::parse(&format!("{nanos}n"));
                assert_eq!(read, expect, "{text:?}");
            }
            Slow::TooGreat => assert!(read.is_ok(), "{text:?}"),
        }
    }
    let read = read.ok()?;
    let printed = format!("{read:?}");
    assert_eq!(Quantity::parse(&printed), Ok(read), "{text:?} is printed as {printed}");
    assert_eq!(read.is_zero(), read.value() == 0 && read.milli_value() == 0, "{text:?}");
    Some(read)
}

enum Slow {
    None,
    /// Whole billionths, with a sign.
    Nanos(String),
    TooGreat,
}

/// A quantity by the book, digit by digit.
fn slow(text: &str) -> Slow {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number: String = unsigned.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let (points, digits) = (number.matches('.').count(), number.replace('.', ""));
    if points > 1 || digits.is_empty() {
        return Slow::None;
    }
    let Some((exponent, twos)) = suffix(&unsigned[number.len()..]) else { return Slow::None };
    if exponent.abs() > GREATEST {
        return Slow::TooGreat;
    }
    let mut digits: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
    (0..twos).for_each(|_| double(&mut digits));
    let places = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let shift = exponent + 9 - i32::try_from(places).unwrap_or(i32::MAX);
    let cut = usize::try_from(-shift).unwrap_or(0);
    digits.extend(std::iter::repeat_n(0, usize::try_from(shift).unwrap_or(0)));
    let rest = digits.split_off(digits.len().saturating_sub(cut));
    if rest.iter().any(|digit| *digit != 0) {
        increment(&mut digits);
    }
    let nanos: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    let nanos = nanos.trim_start_matches('0');
    let sign = if text.starts_with('-') { "-" } else { "" };
    Slow::Nanos(format!("{sign}{}", if nanos.is_empty() { "0" } else { nanos }))
}

/// The powers of ten and of two that a suffix stands for.
fn suffix(suffix: &str) -> Option<(i32, u32)> {
    let tens = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].into_iter().zip((-9..).step_by(3));
    let twos = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter().zip((10..).step_by(10));
    let by_ten = tens.map(|(name, ten)| (name, (ten, 0)));
    let named = by_ten.chain(twos.map(|(name, two)| (name, (0, two)))).find(|(name, _)| *name == suffix);
    let exponent = || {
        let exponent = suffix.strip_prefix(['e', 'E'])?;
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| (exponent.parse().unwrap_or(i32::MAX), 0))
    };
    named.map(|(_, by)| by).or_else(exponent)
}

fn double(digits: &mut Vec<u8>) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let twice = *digit * 2 + carry;
        (*digit, carry) = (twice % 10, twice / 10);
    }
    if carry > 0 {
        digits.insert(0, carry);
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
}
