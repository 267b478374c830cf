//! Amounts as people write them.

const STEPS: [(&str, i64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// Thousandths of a CPU: `250m`, `1.5`, `32`.
pub(super) fn cpu(milli: i64) -> String {
    match milli {
        0 => "0".to_owned(),
        _ if milli % 1_000 == 0 => (milli / 1_000).to_string(),
        _ if milli.abs() < 1_000 => format!("{milli}m"),
        _ => format!("{}.{}", milli / 1_000, tenths(milli, 1_000)),
    }
}

/// Bytes: `512Mi`, `1.5Gi`.
pub(super) fn bytes(amount: i64) -> String {
    let Some((unit, size)) = STEPS.into_iter().find(|(_, size)| amount.abs() >= *size) else {
        return amount.to_string();
    };
    match tenths(amount, size) {
        0 => format!("{}{unit}", amount / size),
        tenths => format!("{}.{tenths}{unit}", amount / size),
    }
}

/// The first digit behind the point, cut off.
fn tenths(amount: i64, unit: i64) -> i64 {
    (amount % unit).abs().saturating_mul(10) / unit
}

/// Which part of a whole, in percent, cut off: only what is full says 100.
pub(super) fn percent(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return if part > 0 { i64::MAX } else { 0 };
    }
    let percent = i128::from(part) * 100 / i128::from(whole);
    i64::try_from(percent).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let written = [0, 1, 250, 1_000, 1_500, 1_999, 32_000].map(cpu);
        assert_eq!(written, ["0", "1m", "250m", "1", "1.5", "1.9", "32"]);
        let written = [0, 1_000, 1_024, 64 << 20, (3 << 30) / 2, 256 << 30, 3 << 40].map(bytes);
        assert_eq!(written, ["0", "1000", "1Ki", "64Mi", "1.5Gi", "256Gi", "3Ti"]);
    }

    #[test]
    fn a_part_of_nothing_is_no_number() {
        assert_eq!([percent(1, 3), percent(3, 3), percent(299, 300), percent(0, 0)], [33, 100, 99, 0]);
        assert_eq!(percent(1, 0), i64::MAX);
        assert_eq!(percent(i64::MAX, 1), i64::MAX);
    }
}
