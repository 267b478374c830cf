//! The serde deserializer over the tree of a file. What it refuses it refuses in the user's words.

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use plimsoll_plugins::args::GoDuration;

use super::decode::{Context, Error, Place};
use super::scalar::Scalar;
use super::source::{Entry, Node, Value};

/// Deserializer of one value of the tree.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'a> {
    pub(super) node: &'a Node,
    pub(super) context: &'a Context,
}

impl<'a> NodeDeserializer<'a> {
    fn refuse<T>(self, wanted: &str) -> Result<T, Error> {
        let found = match &self.node.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        };
        Err(Error::new(format!("must be {wanted}, not {found}")))
    }

    fn integer(self, lowest: i128, highest: i128) -> Result<i128, Error> {
        let number = match &self.node.value {
            Value::Scalar(Scalar::Integer(number)) => *number,
            Value::Scalar(Scalar::Float(number)) => match whole(*number) {
                Some(number) => number,
                None => return self.refuse("a whole number"),
            },
            _ => return self.refuse("a whole number"),
        };
        if (lowest..=highest).contains(&number) {
            return Ok(number);
        }
        Err(Error::new(format!("must be between {lowest} and {highest}, not {number}")))
    }

    fn mapping<V: Visitor<'a>>(self, visitor: V, allowed: Option<&'static [&'static str]>) -> Result<V::Value, Error> {
        let entries = match &self.node.value {
            Value::Mapping(entries) => entries.as_slice(),
            // Nothing where fields could be: all of them are unset.
            Value::Scalar(Scalar::Null) => &[],
            _ => return self.refuse("a mapping"),
        };
        visitor.visit_map(Fields { entries: entries.iter(), value: None, allowed, context: self.context })
    }
}

/// The whole number that a float stands for, as in `1e3`.
fn whole(number: f64) -> Option<i128> {
    // Above 2^53 floats skip whole numbers; a configuration has none that large.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            let number = <$type>::try_from(number).map_err(de::Error::custom)?;
            visitor.$visit(number)
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(Scalar::Null) => visitor.visit_unit(),
            Value::Scalar(Scalar::Bool(value)) => visitor.visit_bool(*value),
            Value::Scalar(Scalar::Integer(number)) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => self.refuse("a number of at most 64 bits"),
            },
            Value::Scalar(Scalar::Float(number)) => visitor.visit_f64(*number),
            Value::Scalar(Scalar::Text(text)) => visitor.visit_borrowed_str(text),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.mapping(visitor, None),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(Scalar::Bool(value)) => visitor.visit_bool(*value),
            _ => self.refuse("true or false"),
        }
    }

    integers!(deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
              deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64);

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(Scalar::Float(number)) => visitor.visit_f64(*number),
            Value::Scalar(Scalar::Integer(_)) => {
                let number = self.integer(i128::from(i32::MIN), i128::from(i32::MAX))?;
                visitor.visit_f64(f64::from(i32::try_from(number).map_err(de::Error::custom)?))
            }
            _ => self.refuse("a number"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(Scalar::Text(text)) => visitor.visit_borrowed_str(text),
            Value::Scalar(Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_)) => self
                .refuse("text")
                .map_err(|error| Error::new(format!("{error}; put it in quotes if it is meant as text"))),
            _ => self.refuse("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == GoDuration::TYPE_NAME && !matches!(self.node.value, Value::Scalar(Scalar::Text(_))) {
            return self.refuse("a duration with a unit, such as 15s or 1m30s");
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Sequence(items) => {
                visitor.visit_seq(Items { items: items.iter().enumerate(), context: self.context })
            }
            _ => self.refuse("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.mapping(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.mapping(visitor, Some(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(Scalar::Text(text)) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => self.refuse(&format!("one of {}", variants.join(", "))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    context: &'a Context,
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let context = self.context;
        let Some((index, node)) = self.items.find(|(_, node)| !context.left_out.contains(&node.id)) else {
            return Ok(None);
        };
        let place = |field| Place { id: node.id, mark: node.mark, field, element: true };
        let value =
            context.inside(&format!("[{index}]"), || seed.deserialize(NodeDeserializer { node, context }), place)?;
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'a> {
    entries: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    /// The fields that exist; `None` where any may.
    allowed: Option<&'static [&'static str]>,
    context: &'a Context,
}

impl<'a> MapAccess<'a> for Fields<'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for entry in self.entries.by_ref() {
            if self.context.left_out.contains(&entry.value.id) {
                continue;
            }
            if let Some(allowed) = self.allowed {
                if !allowed.contains(&entry.key.as_str()) {
                    self.context.report_unknown(entry, allowed);
                    continue;
                }
                // As in Go, a field without a value is unset.
                if entry.value.is_null() {
                    continue;
                }
            }
            self.value = Some(entry);
            return seed.deserialize(entry.key.as_str().into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let context = self.context;
        let Some(entry) = self.value.take() else {
            return Err(Error::new("a value was asked for before its name".to_owned()));
        };
        let place = |field| Place { id: entry.value.id, mark: entry.position(), field, element: false };
        context.inside(&entry.key, || seed.deserialize(NodeDeserializer { node: &entry.value, context }), place)
    }
}
