//! Objects that are kept in the words of one kind and shown in those of another. Events are kept as the group
//! `events.k8s.io` writes them, and shown in the core group's words on demand. Other kinds differ in their version alone.

use serde_json::Value;

use crate::{
    json,
    kinds::{Kind, Role},
};

/// A stored object in the words of a kind by which it is asked for.
pub(crate) fn shown(kind: &Kind, mut object: Value) -> Value {
    match kind.role {
        Role::CoreEvent => to_core(object),
        _ if kind.is_view() => {
            json::set(&mut object, &["apiVersion"], kind.api_version());
            object
        }
        _ => object,
    }
}

/// An object that a client wrote in the words of a kind, in those of the kind under which it is stored. What names
/// another version than that of the request keeps it, and is refused for that.
pub(crate) fn stored(kind: &Kind, stored: &Kind, mut object: Value) -> Value {
    match kind.role {
        Role::CoreEvent => from_core(object),
        _ if kind.is_view() && json::text(&object, &["apiVersion"]) == kind.api_version() => {
            json::set(&mut object, &["apiVersion"], stored.api_version());
            object
        }
        _ => object,
    }
}

/// Field names in `events.k8s.io/v1` and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// The event in the core group's words.
fn to_core(mut event: Value) -> Value {
    for (stored, core) in NAMES {
        if let Some(value) = json::remove(&mut event, &[stored]) {
            json::set(&mut event, &[core], value);
        }
    }
    json::set(&mut event, &["apiVersion"], "v1");
    event
}

/// The event in the words of `events.k8s.io`.
fn from_core(mut event: Value) -> Value {
    if !event.is_object() {
        return event;
    }
    for (stored, core) in NAMES {
        if let Some(value) = json::remove(&mut event, &[core]) {
            json::set(&mut event, &[stored], value);
        }
    }
    json::set(&mut event, &["apiVersion"], "events.k8s.io/v1");
    event
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_two_forms_are_one_event() {
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "bound",
            "regarding": {"kind": "Pod", "name": "web-1"}, "reportingController": "plimsoll", "reason": "Scheduled",
        });
        let core = super::to_core(event.clone());
        assert_eq!(core["involvedObject"]["name"], "web-1");
        assert_eq!(core["message"], "bound");
        assert_eq!(super::from_core(core), event);
    }
}
