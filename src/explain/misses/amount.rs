//! Amounts that a pod would have to ask less for: never fewer than it takes, and written exactly.

const UNITS: [(&str, i64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
/// Amounts of bytes are rounded up to this where they are larger.
const FINEST_BYTES: i64 = 1 << 20;

/// An amount of bytes that is at least this one, and that people can read.
pub(super) fn rounded_up(bytes: i64) -> i64 {
    match bytes % FINEST_BYTES {
        rest if bytes > FINEST_BYTES && rest > 0 => bytes.saturating_add(FINEST_BYTES - rest),
        _ => bytes,
    }
}

/// An amount of a resource in the unit it is kept in: milli-CPU, bytes or whole ones.
pub(super) fn write(resource: &str, amount: i64) -> String {
    match resource {
        "cpu" if amount % 1_000 == 0 => (amount / 1_000).to_string(),
        "cpu" => format!("{amount}m"),
        _ if is_bytes(resource) => bytes(amount),
        _ => amount.to_string(),
    }
}

/// Whether amounts of a resource are bytes.
pub(super) fn is_bytes(resource: &str) -> bool {
    matches!(resource, "memory" | "ephemeral-storage") || resource.starts_with("hugepages-")
}

fn bytes(amount: i64) -> String {
    match UNITS.into_iter().find(|(_, size)| amount >= *size && amount % size == 0) {
        Some((unit, size)) => format!("{}{unit}", amount / size),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_never_less() {
        let rows = [
            ("cpu", 300, "300m"),
            ("cpu", 2_000, "2"),
            ("cpu", 1_999, "1999m"),
            ("memory", 1 << 30, "1Gi"),
            ("memory", (3 << 30) / 2, "1536Mi"),
            ("memory", 1_000, "1000"),
            ("hugepages-2Mi", 2 << 20, "2Mi"),
            ("example.com/gpu", 2, "2"),
        ];
        for (resource, amount, text) in rows {
            assert_eq!(write(resource, amount), text);
        }
        assert_eq!([1, 1 << 20, (1 << 20) + 1, 5 << 20].map(rounded_up), [1, 1 << 20, 2 << 20, 5 << 20]);
        assert_eq!(rounded_up(i64::MAX), i64::MAX);
    }
}
