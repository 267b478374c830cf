//! The order of merged lists. A client that knows the whole list tells the order it wants in `$setElementOrder`; items
//! that only the server knows stay where they were among those that it had.

use serde_json::Value;

use crate::failure::Failure;

/// What identifies an item: the value of its merge key, or the item itself in a set.
fn identity<'a>(key: Option<&str>, item: &'a Value) -> Option<&'a Value> {
    key.map_or(Some(item), |key| item.get(key))
}

fn place(key: Option<&str>, list: &[Value], item: &Value) -> Option<usize> {
    let wanted = identity(key, item)?;
    list.iter().position(|other| identity(key, other) == Some(wanted))
}

/// Refuses a patch whose items are not in the order that it gives itself.
pub(super) fn check(key: Option<&str>, patch: Option<&Value>, order: &[Value]) -> Result<(), Failure> {
    let items = patch.and_then(Value::as_array).into_iter().flatten();
    let merged = items.filter(|item| item.get("$patch").is_none());
    let mut last = 0;
    for item in merged {
        match place(key, order, item) {
            Some(at) if at >= last => last = at,
            _ => return Err(Failure::bad_request("The order in patch list doesn't match $setElementOrder list")),
        }
    }
    Ok(())
}

/// Arranges the merged items by the wanted order, and those not named in it by what the list was before.
pub(super) fn arrange(key: Option<&str>, items: &mut Vec<Value>, order: &[Value], before: &[Value]) {
    let (mut named, unnamed): (Vec<_>, Vec<_>) =
        std::mem::take(items).into_iter().partition(|item| place(key, order, item).is_some());
    named.sort_by_key(|item| place(key, order, item));
    let mut unnamed = unnamed.into_iter().peekable();
    for item in named {
        let own = place(key, before, &item);
        while let Some(other) = unnamed.peek()
            && own.zip(place(key, before, other)).is_some_and(|(own, other)| other < own)
        {
            items.extend(unnamed.next());
        }
        items.push(item);
    }
    items.extend(unnamed);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn items_of_the_server_alone_keep_their_places() {
        for (before, merged, order, want) in [
            (json!(["a", "b"]), json!(["a", "b", "c"]), json!(["c", "b"]), json!(["c", "a", "b"])),
            (json!(["a", "b", "c"]), json!(["a", "b", "c"]), json!(["c", "a"]), json!(["b", "c", "a"])),
            (json!([]), json!(["b", "a"]), json!(["a", "b"]), json!(["a", "b"])),
            (json!(["x"]), json!(["x"]), json!([]), json!(["x"])),
        ] {
            let list = |value: &Value| value.as_array().unwrap().clone();
            let mut items = list(&merged);
            super::arrange(None, &mut items, &list(&order), &list(&before));
            assert_eq!(Value::Array(items), want, "{merged} by {order}");
        }
    }
}
