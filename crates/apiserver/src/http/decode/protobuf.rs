//! Objects in Kubernetes' form of protobuf, which kubectl's own `create` and `auth` commands send. Only messages and
//! fields in the table below are known; a body that says more is refused rather than understood in part.

mod schema;
mod wire;

use serde_json::{Map, Value, json};

use self::schema::{Field, Sort};
use self::wire::{Part, Parts};

/// What such bodies begin with.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper messages than that are none of ours.
const MAX_DEPTH: usize = 32;

/// The object in a body; none when it is malformed, or of a kind or with a field that is not known.
pub(super) fn read(body: &[u8]) -> Option<Value> {
    let envelope = body.strip_prefix(MAGIC)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for part in Parts::of(envelope) {
        match part? {
            (1, Part::Bytes(meta)) => {
                for part in Parts::of(meta) {
                    match part? {
                        (1, Part::Bytes(text)) => api_version = text_of(text)?,
                        (2, Part::Bytes(text)) => kind = text_of(text)?,
                        _ => return None,
                    }
                }
            }
            (2, Part::Bytes(bytes)) => raw = bytes,
            // How the object is encoded and compressed: always empty.
            (3 | 4, Part::Bytes([])) => {}
            _ => return None,
        }
    }
    let mut object = message(&kind, raw, MAX_DEPTH)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Some(Value::Object(object))
}

fn text_of(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// A message of that name as a JSON object. What is empty is left out, as its writers leave it out of JSON.
fn message(name: &str, bytes: &[u8], depth: usize) -> Option<Map<String, Value>> {
    let depth = depth.checked_sub(1)?;
    let fields = schema::message(name)?;
    let mut object = Map::new();
    for part in Parts::of(bytes) {
        let (number, part) = part?;
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            if says_nothing(&part, depth) {
                continue;
            }
            return None;
        };
        put(&mut object, field, part, depth)?;
    }
    Some(object)
}

/// Go writes members that are not pointers even when they say nothing: a status, say, whose fields are all empty.
fn says_nothing(part: &Part<'_>, depth: usize) -> bool {
    match part {
        Part::Number(number) => *number == 0,
        Part::Bytes(bytes) => {
            let Some(depth) = depth.checked_sub(1) else { return bytes.is_empty() };
            Parts::of(bytes).all(|part| part.is_some_and(|(_, part)| says_nothing(&part, depth)))
        }
    }
}

fn put(object: &mut Map<String, Value>, field: &Field, part: Part<'_>, depth: usize) -> Option<()> {
    if field.sort == Sort::Map {
        let (Part::Bytes(entry), slot) = (part, object.entry(field.name).or_insert_with(|| json!({}))) else {
            return None;
        };
        let (key, value) = entry_of(entry, field.of)?;
        slot.as_object_mut()?.insert(key, value);
        return Some(());
    }
    let value = value(field, part, depth)?;
    if field.repeated {
        object.entry(field.name).or_insert_with(|| json!([])).as_array_mut()?.push(value);
    } else if field.pointer || !is_empty(&value) {
        object.insert(field.name.to_owned(), value);
    }
    Some(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn value(field: &Field, part: Part<'_>, depth: usize) -> Option<Value> {
    match (field.sort, part) {
        (Sort::Text, Part::Bytes(bytes)) => text_of(bytes).map(Value::from),
        (Sort::Int, Part::Number(number)) => Some(number.cast_signed().into()),
        (Sort::Flag, Part::Number(number)) => Some((number != 0).into()),
        (Sort::Message, Part::Bytes(bytes)) => special(field.of, bytes, depth),
        _ => None,
    }
}

/// A message that JSON writes as a scalar, or any other.
fn special(name: &str, bytes: &[u8], depth: usize) -> Option<Value> {
    let mut parts = message(name, bytes, depth)?;
    match name {
        "Quantity" => Some(parts.remove("string").unwrap_or_else(|| "0".into())),
        "IntOrString" => {
            let is_text = parts.get("type").is_some();
            Some(parts.remove(if is_text { "strVal" } else { "intVal" }).unwrap_or_else(|| 0.into()))
        }
        "Time" => {
            let seconds = parts.get("seconds").and_then(Value::as_i64);
            let time = seconds.map(jiff::Timestamp::from_second).transpose().ok()?;
            Some(time.map_or(Value::Null, |time| crate::clock::stamp(time).into()))
        }
        _ => Some(Value::Object(parts)),
    }
}

/// Key and value of an entry of a map.
fn entry_of(bytes: &[u8], of: &str) -> Option<(String, Value)> {
    let (mut key, mut found) = (String::new(), Value::from(""));
    for part in Parts::of(bytes) {
        match part? {
            (1, Part::Bytes(text)) => key = text_of(text)?,
            (2, Part::Bytes(bytes)) if of.is_empty() => found = text_of(bytes)?.into(),
            (2, Part::Bytes(bytes)) => found = special(of, bytes, MAX_DEPTH)?,
            _ => return None,
        }
    }
    Some((key, found))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    /// A field with a length, its number and content given.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128, "one byte of length is enough here");
        [&[number << 3 | 2, length], content].concat()
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), bytes(1, &meta), bytes(2, raw), bytes(3, b""), bytes(4, b"")].concat()
    }

    #[test]
    fn known_messages_become_json() {
        let label = [bytes(1, b"a"), bytes(2, b"b")].concat();
        let metadata = [bytes(1, b"web"), bytes(2, b""), bytes(8, b""), bytes(11, &label)].concat();
        let container = [bytes(1, b"c"), bytes(2, b"x"), bytes(8, b"")].concat();
        let template = bytes(2, &bytes(2, &container));
        let surge = [vec![1 << 3, 1], bytes(3, b"25%")].concat();
        let strategy = bytes(2, &bytes(2, &surge));
        // `replicas` is a pointer: its zero means something.
        let spec = [vec![1 << 3, 0], bytes(3, &template), bytes(4, &strategy)].concat();
        let body = envelope("apps/v1", "Deployment", &[bytes(1, &metadata), bytes(2, &spec), bytes(3, b"")].concat());
        let want = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "b"}},
            "spec": {
                "replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": "25%"}},
                "template": {"spec": {"containers": [{"name": "c", "image": "x"}]}},
            },
        });
        assert_eq!(read(&body), Some(want));
    }

    #[test]
    fn what_is_not_known_and_says_nothing_is_passed_over() {
        let attributes = [bytes(2, b"list"), bytes(3, b""), bytes(5, b"pods")].concat();
        // As kubectl sends it: `allowed`, `reason`, `evaluationError` and `denied`, all of them empty.
        let status = [vec![1 << 3, 0], bytes(2, b""), bytes(3, b""), vec![4 << 3, 0]].concat();
        let raw = [bytes(1, &bytes(8, b"")), bytes(2, &bytes(1, &attributes)), bytes(3, &status)].concat();
        let review = read(&envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", &raw)).unwrap();
        assert_eq!(review["spec"], json!({"resourceAttributes": {"verb": "list", "resource": "pods"}}));
        let allowed = bytes(3, &[1 << 3, 1]);
        assert_eq!(read(&envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", &allowed)), None);
    }

    #[test]
    fn a_request_for_a_token_is_understood() {
        let metadata = [bytes(1, b""), bytes(8, b"")].concat();
        let spec = [bytes(1, b"vault"), vec![4 << 3, 60]].concat();
        let status = [bytes(1, b""), bytes(2, b"")].concat();
        let raw = [bytes(1, &metadata), bytes(2, &spec), bytes(3, &status)].concat();
        let request = read(&envelope("authentication.k8s.io/v1", "TokenRequest", &raw)).unwrap();
        assert_eq!(request["spec"], json!({"audiences": ["vault"], "expirationSeconds": 60}));
    }

    #[test]
    fn what_is_not_known_in_full_is_refused() {
        let namespace = |raw: &[u8]| read(&envelope("v1", "Namespace", raw));
        assert_eq!(namespace(&bytes(1, &bytes(1, b"x"))).unwrap()["metadata"], json!({"name": "x"}));
        for raw in
            [&bytes(9, b"x")[..], &[0xff], &[10, 7], &[8, 1], &[10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]]
        {
            assert_eq!(namespace(raw), None::<Value>, "{raw:?}");
        }
        assert_eq!(read(&envelope("v1", "Dance", b"")), None);
        assert_eq!(read(b"{}"), None);
    }
}
