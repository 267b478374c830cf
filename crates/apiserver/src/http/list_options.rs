//! Which parameters of lists and watches go together.

use super::query::Query;
use crate::failure::Failure;

const MATCH: &str = "resourceVersionMatch";
const NOT_OLDER_THAN: &str = "NotOlderThan";

/// Refuses combinations that a list forbids. Whether the version itself is served is another question.
pub(super) fn check_list(query: &Query<'_>) -> Result<(), Failure> {
    let (rule, version) = (query.get(MATCH), query.get("resourceVersion"));
    match rule {
        "" => {}
        _ if version.is_empty() => {
            return Err(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        _ if !query.get("continue").is_empty() => return Err(no_match_with_continue()),
        "Exact" if version == "0" => {
            return Err(forbidden(MATCH, r#"resourceVersionMatch "exact" is forbidden for resourceVersion "0""#));
        }
        "Exact" | NOT_OLDER_THAN => {}
        _ => return Err(unsupported(rule, r#""Exact", "NotOlderThan", """#)),
    }
    if query.get("sendInitialEvents").is_empty() {
        return Ok(());
    }
    Err(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
}

/// Refuses combinations that a watch forbids. Whether it can begin with a list depends on the minor: that was on in 1.32, off
/// again in 1.33, and is on since 1.34.
pub(super) fn check_watch(query: &Query<'_>, minor: u32) -> Result<(), Failure> {
    let rule = query.get(MATCH);
    let decides = !query.get("sendInitialEvents").is_empty();
    if decides && rule != NOT_OLDER_THAN {
        return Err(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if decides && minor != 32 && minor < 34 {
        let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(forbidden("sendInitialEvents", why));
    }
    if rule.is_empty() {
        return Ok(());
    }
    if !decides {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        return Err(forbidden(MATCH, why));
    }
    if query.get("continue").is_empty() { Ok(()) } else { Err(no_match_with_continue()) }
}

fn no_match_with_continue() -> Failure {
    forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided")
}

fn forbidden(field: &str, why: &str) -> Failure {
    refused("FieldValueForbidden", field, &format!("Forbidden: {why}"))
}

fn unsupported(value: &str, supported: &str) -> Failure {
    refused("FieldValueNotSupported", MATCH, &format!("Unsupported value: {value:?}: supported values: {supported}"))
}

fn refused(reason: &str, field: &str, why: &str) -> Failure {
    let mut failure = Failure::invalid_option("ListOptions", field, why);
    failure.details["causes"][0]["reason"] = reason.into();
    failure
}
