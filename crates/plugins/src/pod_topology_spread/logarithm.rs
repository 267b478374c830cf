//! The natural logarithm, to the last bit as kube-scheduler has it: the logarithms of different libraries differ there.

use std::f64::consts::SQRT_2;

// ln 2 in two parts: the first has so few digits that a multiple of it is exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// The coefficients of the polynomial for ln(1 + f), those of odd and of even place.
const ODD: [f64; 4] = [
    f64::from_bits(0x3fe5_5555_5555_5593),
    f64::from_bits(0x3fd2_4924_9422_9359),
    f64::from_bits(0x3fc7_4664_96cb_03de),
    f64::from_bits(0x3fc2_f112_df3e_5244),
];
const EVEN: [f64; 3] = [
    f64::from_bits(0x3fd9_9999_9997_fa04),
    f64::from_bits(0x3fcc_71c5_1d8e_78af),
    f64::from_bits(0x3fc3_9a09_d078_c69f),
];

/// The natural logarithm of a number that is at least 1 and finite. The algorithm is FreeBSD's `e_log`, each operation
/// rounded by itself; `mul_add` would give other last bits.
pub(super) fn ln(x: f64) -> f64 {
    // x = m * 2^k, where m is between the square roots of 1/2 and of 2.
    const EXPONENT: u64 = 0x7ff << 52;
    let exponent = u32::try_from((x.to_bits() & EXPONENT) >> 52).unwrap_or(0);
    let half = f64::from_bits(x.to_bits() & !EXPONENT | 1022 << 52);
    let (m, k) = if half < SQRT_2 / 2.0 { (half * 2.0, -1.0) } else { (half, 0.0) };
    let k = f64::from(exponent) - 1022.0 + k;

    let f = m - 1.0;
    let s = f / (2.0 + f);
    let (s2, s4) = (s * s, (s * s) * (s * s));
    let odd = s2 * (ODD[0] + s4 * (ODD[1] + s4 * (ODD[2] + s4 * ODD[3])));
    let even = s4 * (EVEN[0] + s4 * (EVEN[1] + s4 * EVEN[2]));
    let half_square = 0.5 * f * f;
    k * LN2_HIGH - ((half_square - (s * (half_square + (odd + even)) + k * LN2_LOW)) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        let rows: [(f64, u64); 4] =
            [(1.0, 0), (2.0, 0x3fe6_2e42_fefa_39ef), (3.0, 0x3ff1_93ea_7aad_030a), (10.0, 0x4002_6bb1_bbb5_5516)];
        for (x, expect) in rows {
            assert_eq!(ln(x).to_bits(), expect, "{x}");
        }
        // It is at most in the last bit, as for 3, that it differs from the platform's.
        let mut differing = 0;
        for n in 2..=200_002 {
            let (ours, other) = (ln(f64::from(n)), f64::from(n).ln());
            assert!(ours.to_bits().abs_diff(other.to_bits()) <= 1, "{n}: {ours} {other}");
            differing += i32::from(ours != other);
        }
        assert!(differing < 4_000, "{differing}");
    }

    /// No score hangs on that last bit, so that a kube-scheduler on other hardware gives the same ones.
    #[test]
    fn no_score_depends_on_the_last_bit() {
        for size in 0..=200_000 {
            let (ours, other) = (ln(f64::from(size + 2)), f64::from(size + 2).ln());
            if ours == other {
                continue;
            }
            for count in 0..=2_000 {
                for skew in 1..=5 {
                    let score = |weight: f64| (f64::from(count) * weight + f64::from(skew - 1)).round();
                    assert_eq!(score(ours), score(other), "{size} {count} {skew}");
                }
            }
        }
    }
}
