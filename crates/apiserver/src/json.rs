//! Reading and writing inside JSON objects that came from outside: nothing here panics on an unexpected shape.

use serde_json::{Map, Value};

/// How deeply objects may be nested: well below what JSON readers, our own included, accept inside lists and events.
pub(crate) const MAX_DEPTH: usize = 100;

/// How deeply a value is nested; 0 for a scalar.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The value at a path of object keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

/// The string at a path; empty when it is absent or no string.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a path.
pub(crate) fn int(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path)?.as_i64()
}

/// The boolean at a path; false when it is absent.
pub(crate) fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The items of the array at a path; none when it is absent.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The value as an object. What is no object is replaced by an empty one.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was made an object above"),
    }
}

/// The object at a path, made where it is absent.
pub(crate) fn object_at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut value = value;
    for key in path {
        value = slot(value, key);
    }
    object(value)
}

/// The place of a key in an object, null when it was absent.
pub(crate) fn slot<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    let map = object(value);
    if !map.contains_key(key) {
        map.insert(key.to_owned(), Value::Null);
    }
    match map.get_mut(key) {
        Some(slot) => slot,
        None => unreachable!("the key was inserted above"),
    }
}

/// Sets the value at a path, making the objects on the way.
pub(crate) fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if let Some((last, way)) = path.split_last() {
        object_at(value, way).insert((*last).to_owned(), new.into());
    }
}

/// Sets the value at a path unless something other than null is there.
pub(crate) fn set_default(value: &mut Value, path: &[&str], default: impl Into<Value>) {
    if at(value, path).is_none_or(Value::is_null) {
        set(value, path, default);
    }
}

/// Removes the value at a path.
pub(crate) fn remove(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let mut value = value;
    for key in way {
        value = value.get_mut(*key)?;
    }
    value.as_object_mut()?.remove(*last)
}

/// The array at a path, made where it is absent.
pub(crate) fn array_at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Vec<Value> {
    let mut value = value;
    for key in path {
        value = slot(value, key);
    }
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("the value was made an array above"),
    }
}

/// The array at a path to be edited; empty when it is absent.
pub(crate) fn array_at_if_any<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut [Value] {
    let array = path.iter().try_fold(value, |value, key| value.get_mut(*key)).and_then(Value::as_array_mut);
    array.map_or(&mut [], Vec::as_mut_slice)
}

/// Whether the condition of that type in `status.conditions` is True.
pub(crate) fn condition_holds(value: &Value, kind: &str) -> bool {
    let conditions = items(value, &["status", "conditions"]);
    conditions.iter().any(|c| text(c, &["type"]) == kind && text(c, &["status"]) == "True")
}

/// Sets the condition of that type in `status.conditions`, keeping its transition time while its status stays.
pub(crate) fn set_condition(value: &mut Value, condition: Value) {
    let conditions = array_at(value, &["status", "conditions"]);
    let kind = text(&condition, &["type"]);
    match conditions.iter_mut().find(|c| text(c, &["type"]) == kind) {
        Some(old) => {
            let kept = (old.get("status") == condition.get("status")).then(|| old.get("lastTransitionTime").cloned());
            *old = condition;
            if let Some(Some(time)) = kept {
                set(old, &["lastTransitionTime"], time);
            }
        }
        None => conditions.push(condition),
    }
}
