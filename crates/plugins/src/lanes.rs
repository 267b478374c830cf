//! Arithmetic that compilers do for several numbers at once, also where the processor has no instruction for it:
//! between 64-bit integers and floating point, as bits.

/// Two to the 52nd. From here on a `f64` holds whole numbers only, each in the low bits as an integer has it.
const WHOLE: f64 = 4_503_599_627_370_496.0;
const WHOLE_BITS: u64 = WHOLE.to_bits();

/// Below this, and not negative, integers are converted exactly.
pub(crate) const SMALL: i64 = 1 << 52;

/// An integer of 0 to [`SMALL`], exclusive, in floating point; anything else is some other number.
pub(crate) fn from_small(x: i64) -> f64 {
    f64::from_bits(x.cast_unsigned() | WHOLE_BITS) - WHOLE
}

/// A number of 0 to [`SMALL`], exclusive, without what is behind the point.
pub(crate) fn cut(x: f64) -> f64 {
    // Added up, what is behind the point is rounded away: one too high, perhaps.
    let rounded = (x + WHOLE) - WHOLE;
    rounded - if rounded > x { 1.0 } else { 0.0 }
}

/// A whole number of 0 to [`SMALL`], exclusive, as an integer.
pub(crate) fn to_small(x: f64) -> i64 {
    ((x + WHOLE).to_bits() & (SMALL.cast_unsigned() - 1)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for x in [0, 1, 2, 3, 99, 100, 1 << 20, (1 << 52) - 1] {
            assert_eq!(to_small(from_small(x)), x);
            assert_eq!(from_small(x), x as f64);
        }
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "what it is compared with")]
    fn numbers_are_cut_as_a_cast_does() {
        let steps = (0..200_000).map(|n| f64::from(n) / 1_999.0);
        let whole = (0..=100).map(f64::from);
        let near = (1..=100).flat_map(|n| [f64::from(n).next_down(), f64::from(n).next_up()]);
        for x in steps.chain(whole).chain(near) {
            assert_eq!(to_small(cut(x)), x as i64, "{x}");
        }
    }
}
