//! Strategic merge patch: merge patch with lists merged by key where the kinds say so, and with directives.

mod order;

use serde_json::{Map, Value};

use crate::{failure::Failure, json, kinds::Role};

/// Lists of objects that are merged, and the key by which their items are one. All other lists are replaced.
const MERGE_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("schedulingGates", "name"),
    ("resourceClaims", "name"),
    ("resourceClaimStatuses", "name"),
    ("conditions", "type"),
    ("addresses", "type"),
    ("ownerReferences", "uid"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
    ("secrets", "name"),
];

/// Lists of strings that are merged as sets.
const SETS: &[&str] = &["finalizers", "podCIDRs"];

/// The key by which the items of a list merge.
fn merge_key(role: Role, field: &str) -> Option<&'static str> {
    if field == "ports" {
        return Some(if role == Role::Service { "port" } else { "containerPort" });
    }
    MERGE_KEYS.iter().find(|(name, _)| *name == field).map(|(_, key)| *key)
}

/// Applies a patch to an object of a kind with that role.
pub(super) fn apply(role: Role, target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let patch = patch.as_object().ok_or_else(|| Failure::bad_request("a strategic merge patch is a JSON object"))?;
    merge_object(role, json::object(target), patch)
}

fn merge_object(role: Role, target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Failure> {
    match patch.get("$patch").map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            target.clear();
            target.extend(patch.iter().filter(|(key, _)| !key.starts_with('$')).map(|(k, v)| (k.clone(), v.clone())));
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Failure::bad_request(format!("Unknown patch type: {other}"))),
    }
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        target.retain(|key, _| kept.iter().any(|k| k == key));
    }
    let before = ordered_lists(target, patch);
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (target.get_mut(field), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if !key.starts_with('$') {
            merge_field(role, target, key, value)?;
        }
    }
    for (field, order, before) in before {
        let key = merge_key(role, field);
        order::check(key, patch.get(field), order)?;
        if let Some(Value::Array(items)) = target.get_mut(field) {
            order::arrange(key, items, order, &before);
        }
    }
    Ok(())
}

/// The lists for which the patch tells an order: their names, that order, and their items before the patch.
fn ordered_lists<'a>(
    target: &Map<String, Value>,
    patch: &'a Map<String, Value>,
) -> Vec<(&'a str, &'a [Value], Vec<Value>)> {
    let ordered = patch.iter().filter_map(|(key, order)| {
        let (field, order) = (key.strip_prefix("$setElementOrder/")?, order.as_array()?);
        let before = target.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        Some((field, order.as_slice(), before))
    });
    ordered.collect()
}

fn merge_field(role: Role, target: &mut Map<String, Value>, key: &str, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Null => {
            target.remove(key);
        }
        Value::Object(patch) => {
            let slot = target.entry(key.to_owned()).or_insert(Value::Null);
            merge_object(role, json::object(slot), patch)?;
        }
        Value::Array(patch) => {
            let slot = target.entry(key.to_owned()).or_insert(Value::Null);
            merge_list(role, key, slot, patch)?;
        }
        plain => {
            target.insert(key.to_owned(), plain.clone());
        }
    }
    Ok(())
}

fn merge_list(role: Role, field: &str, target: &mut Value, patch: &[Value]) -> Result<(), Failure> {
    let replaced = patch.iter().any(|item| json::text(item, &["$patch"]) == "replace");
    let key = merge_key(role, field);
    if replaced || (key.is_none() && !SETS.contains(&field)) {
        let kept = patch.iter().filter(|item| item.get("$patch").is_none());
        *target = Value::Array(kept.cloned().collect());
        return Ok(());
    }
    let items = json::array_at(target, &[]);
    let Some(key) = key else {
        for item in patch {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        return Ok(());
    };
    patch.iter().try_for_each(|item| merge_item(role, key, items, item))
}

fn merge_item(role: Role, key: &str, items: &mut Vec<Value>, patch: &Value) -> Result<(), Failure> {
    let Some(fields) = patch.as_object() else { return Err(no_key(key, patch)) };
    let id = fields.get(key).ok_or_else(|| no_key(key, patch))?;
    let same = |item: &Value| item.get(key) == Some(id);
    if json::text(patch, &["$patch"]) == "delete" {
        items.retain(|item| !same(item));
        return Ok(());
    }
    match items.iter_mut().find(|item| same(item)) {
        Some(item) => merge_object(role, json::object(item), fields),
        None => {
            let mut new = Map::new();
            merge_object(role, &mut new, fields)?;
            items.push(Value::Object(new));
            Ok(())
        }
    }
}

fn no_key(key: &str, item: &Value) -> Failure {
    Failure::bad_request(format!("map: {item} does not contain declared merge key: {key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::Role;

    fn patched(role: Role, target: &Value, patch: &Value) -> Option<Value> {
        let mut got = target.clone();
        super::apply(role, &mut got, patch).ok().map(|()| got)
    }

    #[test]
    fn lists_merge_by_their_keys() {
        for (name, target, patch, want) in [
            (
                "a container is found by name",
                json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}),
                json!({"containers": [{"name": "c"}, {"name": "b", "image": "z"}], "$setElementOrder/containers": [
                    {"name": "c"}, {"name": "b"},
                ]}),
                json!({"containers": [{"name": "c"}, {"name": "a", "image": "x"}, {"name": "b", "image": "z"}]}),
            ),
            (
                "a condition is found by type",
                json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
                json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}),
                json!({"status": {"conditions": [
                    {"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "False"},
                ]}}),
            ),
            (
                "taints and tolerations are replaced",
                json!({"taints": [{"key": "a"}], "tolerations": [{"key": "a"}]}),
                json!({"taints": [{"key": "b"}], "tolerations": []}),
                json!({"taints": [{"key": "b"}], "tolerations": []}),
            ),
            (
                "an item is deleted",
                json!({"env": [{"name": "a"}, {"name": "b"}]}),
                json!({"env": [{"name": "a", "$patch": "delete"}]}),
                json!({"env": [{"name": "b"}]}),
            ),
            (
                "a merged list is replaced on order",
                json!({"env": [{"name": "a"}]}),
                json!({"env": [{"name": "b"}, {"$patch": "replace"}]}),
                json!({"env": [{"name": "b"}]}),
            ),
            (
                "an object is replaced on order",
                json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}),
                json!({"strategy": {"$patch": "replace", "type": "Recreate"}}),
                json!({"strategy": {"type": "Recreate"}}),
            ),
            (
                "keys not retained go",
                json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}),
                json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
                json!({"strategy": {"type": "Recreate"}}),
            ),
            (
                "finalizers are a set",
                json!({"finalizers": ["a", "b"]}),
                json!({"finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"]}),
                json!({"finalizers": ["b", "c"]}),
            ),
            (
                "container ports",
                json!({"ports": [{"containerPort": 1, "name": "x"}]}),
                json!({"ports": [{"containerPort": 1, "name": "y"}]}),
                json!({"ports": [{"containerPort": 1, "name": "y"}]}),
            ),
            ("null removes", json!({"a": 1, "b": {"c": 1}}), json!({"a": null, "b": {"c": null}}), json!({"b": {}})),
            ("an object replaces rubbish", json!({"a": 7}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
        ] {
            assert_eq!(patched(Role::Pod, &target, &patch), Some(want), "{name}");
        }
        let service = json!({"ports": [{"port": 80, "name": "x"}]});
        let patch = json!({"ports": [{"port": 80, "name": "y"}]});
        assert_eq!(patched(Role::Service, &service, &patch), Some(json!({"ports": [{"port": 80, "name": "y"}]})));
    }

    #[test]
    fn items_without_their_key_and_unknown_directives_are_refused() {
        let unordered = json!({"env": [{"name": "x"}], "$setElementOrder/env": []});
        for patch in
            [unordered, json!({"env": [{"value": "x"}]}), json!({"env": ["x"]}), json!({"$patch": "dance"}), json!([])]
        {
            assert_eq!(patched(Role::Pod, &json!({}), &patch), None, "{patch}");
        }
    }
}
