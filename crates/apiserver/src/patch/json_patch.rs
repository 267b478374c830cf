//! JSON patch (RFC 6902).

use serde_json::Value;

use crate::{failure::Failure, json};

/// More operations than that are refused, as upstream.
const MAX_OPERATIONS: usize = 10_000;

/// Copies could double the object again and again; so many bytes may be copied in all.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

pub(super) fn apply(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch
        .as_array()
        .ok_or_else(|| Failure::bad_request("error decoding patch: a JSON patch is an array of operations"))?;
    if operations.len() > MAX_OPERATIONS {
        let message =
            format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len());
        return Err(Failure::new(413, "RequestEntityTooLarge", message));
    }
    let mut copied_bytes = 0;
    operations.iter().try_for_each(|operation| {
        if json::text(operation, &["op"]) == "copy" {
            let from = target.pointer(json::text(operation, &["from"]));
            copied_bytes += from.map_or(0, |value| value.to_string().len());
        }
        if copied_bytes > MAX_COPIED_BYTES {
            return Err(Failure::too_large(MAX_COPIED_BYTES));
        }
        // The real server does not say which operation it was either.
        step(target, operation).ok_or_else(|| {
            Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
        })
    })
}

/// Applies one operation; none when it cannot be applied.
fn step(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation.get("path")?.as_str()?;
    match json::text(operation, &["op"]) {
        "add" => add(target, path, operation.get("value")?.clone()),
        "remove" => take(target, path).map(drop),
        "replace" => {
            let value = fitting(path, operation.get("value")?.clone())?;
            *target.pointer_mut(path)? = value;
            Some(())
        }
        "move" => {
            let from = operation.get("from")?.as_str()?;
            // A value cannot move into itself.
            if path.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
                return None;
            }
            let value = take(target, from)?;
            add(target, path, value)
        }
        "copy" => {
            let value = target.pointer(operation.get("from")?.as_str()?)?.clone();
            add(target, path, value)
        }
        "test" => (target.pointer(path)? == operation.get("value")?).then_some(()),
        _ => None,
    }
}

/// The value, unless it would be nested too deeply at that path.
fn fitting(path: &str, value: Value) -> Option<Value> {
    (path.matches('/').count() + json::depth(&value) <= json::MAX_DEPTH).then_some(value)
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    let value = fitting(path, value)?;
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, key) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let index = if key == "-" { items.len() } else { array_index(&key)? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&key),
        Value::Array(items) => {
            let index = array_index(&key)?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

/// The pointer to the parent and the last key, unescaped.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn array_index(key: &str) -> Option<usize> {
    let plain = key == "0" || !key.starts_with(['0', '+']);
    key.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn patched(target: &Value, patch: &Value) -> Option<Value> {
        let mut got = target.clone();
        super::apply(&mut got, patch).ok().map(|()| got)
    }

    #[test]
    fn an_object_cannot_be_blown_up() {
        let copy = json!({"op": "copy", "from": "/a", "path": "/a/b"});
        let nested = Value::Array(vec![copy; 200]);
        assert_eq!(patched(&json!({"a": {}}), &nested), None, "each copy nests it twice as deeply");
        let copies: Vec<Value> = (0..64).map(|i| json!({"op": "copy", "from": "", "path": format!("/{i}")})).collect();
        let bytes = patched(&json!({"a": "x".repeat(1000)}), &Value::Array(copies));
        assert_eq!(bytes, None, "each copy doubles it");
    }

    #[test]
    fn operations_apply_or_fail_as_a_whole() {
        let target = json!({"a": {"b/c": 1}, "list": [1, 2]});
        for (patch, want) in [
            (json!([{"op": "add", "path": "/x", "value": 1}]), Some(json!({"a": {"b/c": 1}, "list": [1, 2], "x": 1}))),
            (json!([{"op": "remove", "path": "/a/b~1c"}]), Some(json!({"a": {}, "list": [1, 2]}))),
            (json!([{"op": "add", "path": "/list/-", "value": 3}]), Some(json!({"a": {"b/c": 1}, "list": [1, 2, 3]}))),
            (json!([{"op": "add", "path": "/list/0", "value": 0}]), Some(json!({"a": {"b/c": 1}, "list": [0, 1, 2]}))),
            (json!([{"op": "move", "from": "/list", "path": "/a/l"}]), Some(json!({"a": {"b/c": 1, "l": [1, 2]}}))),
            (
                json!([{"op": "copy", "from": "/list/0", "path": "/y"}]),
                Some(json!({"a": {"b/c": 1}, "list": [1, 2], "y": 1})),
            ),
            (json!([{"op": "replace", "path": "/list/1", "value": 9}]), Some(json!({"a": {"b/c": 1}, "list": [1, 9]}))),
            (json!([{"op": "test", "path": "/list/1", "value": 2}]), Some(target.clone())),
            (json!([{"op": "test", "path": "/list/1", "value": 3}]), None),
            (json!([{"op": "replace", "path": "/nope", "value": 3}]), None),
            (json!([{"op": "remove", "path": "/list/7"}]), None),
            (json!([{"op": "remove", "path": ""}]), None),
            (json!([{"op": "add", "path": "/list/9", "value": 3}]), None),
            (json!([{"op": "move", "from": "/a", "path": "/a/b"}]), None),
            (json!([{"op": "dance", "path": "/a"}]), None),
            (json!([7]), None),
            (json!({}), None),
        ] {
            assert_eq!(patched(&target, &patch), want, "{patch}");
        }
    }
}
