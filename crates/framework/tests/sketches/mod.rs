//! Sketches of two plugins, random small clusters, and the rules as they are written.

pub(crate) mod affinity;
pub(crate) mod clusters;
pub(crate) mod naive;
pub(crate) mod spread;

/// Cut to the whole number: scores are small.
#[expect(clippy::cast_possible_truncation, reason = "there is no other way from a float to an integer")]
pub(crate) fn whole(x: f64) -> i64 {
    x as i64
}

pub(crate) fn float(n: i64) -> f64 {
    f64::from(i32::try_from(n).expect("counts in these tests are small"))
}
