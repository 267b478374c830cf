//! Reading JSON with an eye on fields that are given twice: parsers keep the last and say nothing.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// More names than that help nobody.
const MOST_NAMED: usize = 16;

/// The value, and the fields that were given more than once, by path.
pub(super) fn read(bytes: &[u8]) -> serde_json::Result<(Value, Vec<String>)> {
    let twice = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Part { path: String::new(), twice: &twice }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, twice.into_inner()))
}

/// A value at a path.
struct Part<'a> {
    path: String,
    twice: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let part = Part { path: format!("{}[{}]", self.path, list.len()), twice: self.twice };
            match items.next_element_seed(part)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let value = fields.next_value_seed(Part { path: path.clone(), twice: self.twice })?;
            let mut twice = self.twice.borrow_mut();
            if map.insert(key, value).is_some() && twice.len() < MOST_NAMED && !twice.contains(&path) {
                twice.push(path);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn fields_given_twice_are_named_and_the_last_one_counts() {
        let text = r#"{"a": 1, "b": [{"c": 1.5, "c": "x"}, null, true, -1], "a": {"d": 1, "d": 2, "d": 3}}"#;
        let (value, twice) = super::read(text.as_bytes()).unwrap();
        assert_eq!(value, json!({"a": {"d": 3}, "b": [{"c": "x"}, null, true, -1]}));
        assert_eq!(twice, ["b[0].c", "a.d", "a"]);
    }

    #[test]
    fn everything_else_is_read_as_usual() {
        for text in ["{}", r#"{"a":[1,2.5,18446744073709551615,"x\n",{"b":{}}]}"#, "7"] {
            let (value, twice) = super::read(text.as_bytes()).unwrap();
            assert_eq!((value, twice), (serde_json::from_str::<Value>(text).unwrap(), vec![]));
        }
        for text in ["", "{", "{} x", &"[".repeat(1000)] {
            assert!(super::read(text.as_bytes()).is_err());
        }
    }
}
