//! What Kubernetes allows as a label name, a label value and the name of an extended resource.

/// Why `name` is no label name (`[prefix/]name`), or `None` when it is one.
pub fn label_name_error(name: &str) -> Option<String> {
    let (prefix, local) = match name.split_once('/') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    if let Some(prefix) = prefix
        && !is_dns_subdomain(prefix)
    {
        return Some(format!(
            "the part before '/' of {:?} must be a DNS name of lower case letters, digits, '-' and '.'",
            clip(name)
        ));
    }
    if local.is_empty() || local.len() > 63 || !is_token(local) {
        return Some(format!(
            "{:?} must be at most 63 letters, digits, '-', '_' and '.', begin and end with a letter or digit, \
             and may have a DNS name and '/' before",
            clip(name)
        ));
    }
    None
}

/// Why `value` is no label value, or `None` when it is one.
pub fn label_value_error(value: &str) -> Option<String> {
    if value.is_empty() || (value.len() <= 63 && is_token(value)) {
        return None;
    }
    Some(format!(
        "{:?} must be empty or at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit",
        clip(value)
    ))
}

/// Whether `name` is a resource outside Kubernetes' own names, such as `example.com/gpu`.
pub fn is_extended_resource_name(name: &str) -> bool {
    name.contains('/')
        && !name.contains("kubernetes.io/")
        && !name.starts_with("requests.")
        && label_name_error(name).is_none()
        // A quota on the resource is named `requests.NAME`, which must be a name too.
        && label_name_error(&format!("requests.{name}")).is_none()
}

fn is_token(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_dns_subdomain(text: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text
            .split('.')
            .all(|part| part.starts_with(lower) && part.ends_with(lower) && part.chars().all(|c| lower(c) || c == '-'))
}

/// Names come from outside: a message quotes no more than this of them.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names() {
        for good in ["cpu", "example.com/gpu", "a", "A_b.c-d", "kubernetes.io/hostname"] {
            assert_eq!(label_name_error(good), None, "{good}");
        }
        let long = "x".repeat(64);
        for bad in ["", "-a", "a-", "/a", "a/", "A.com/x", "a/b/c", "a b", "\u{e9}", long.as_str()] {
            assert!(label_name_error(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn label_values() {
        assert_eq!(label_value_error(""), None);
        assert_eq!(label_value_error("a.b"), None);
        assert!(label_value_error("a/b").is_some());
    }

    #[test]
    fn extended_resources() {
        assert!(is_extended_resource_name("example.com/foo"));
        for other in ["foo", "cpu", "kubernetes.io/foo", "requests.example.com/foo", "example.com/"] {
            assert!(!is_extended_resource_name(other), "{other}");
        }
    }
}
