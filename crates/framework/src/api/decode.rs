//! Decoding that notices unknown fields.
//!
//! Serde's derived code skips a field that it does not know without a word. Here a struct also lists the fields that are
//! known to be irrelevant, so that what is left has a name that nobody has thought of. That costs nothing but a few more
//! names to compare with: the place is passed down on the stack, and a note is made only where there is one to make.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::unknown::Place;
use crate::intern::Istr;
use crate::quantity::RawQuantity;

/// What is decoded at a place.
pub(super) trait Decode<'de>: Sized {
    fn decode<D: Deserializer<'de>>(deserializer: D, place: &Place<'_>) -> Result<Self, D::Error>;
}

/// A struct whose fields are all accounted for; made by [`objects_that_notice`].
pub(super) trait Object: Default {
    /// Which of its fields.
    type Field: Copy;
    const NAME: &'static str;
    const FIELDS: &'static [&'static str];
    fn find(name: &str) -> Found<Self::Field>;
    /// The place of a field in `FIELDS`.
    fn index(field: Self::Field) -> usize;
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        field: Self::Field,
        map: &mut A,
        place: &Place<'_>,
    ) -> Result<(), A::Error>;
}

/// What a name stands for.
pub(super) enum Found<F> {
    Used(F),
    Irrelevant,
    Unknown,
}

/// What has no fields to be noticed in.
macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        impl<'de> Decode<'de> for $type {
            fn decode<D: Deserializer<'de>>(deserializer: D, _: &Place<'_>) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }
        }
    )*};
}

plain! {
    Istr,
    bool,
    i32,
    super::Anything,
    BTreeMap<Istr, Istr>,
    BTreeMap<Istr, RawQuantity>,
    super::ContainerPort,
    super::ContainerRestartRule,
}

/// Decodes a value of this type at a place.
struct At<'a, T>(&'a Place<'a>, PhantomData<T>);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::decode(deserializer, self.0)
    }
}

/// The same where `null` means that there is none.
struct Nullable<'a, T>(&'a Place<'a>, PhantomData<T>);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for Nullable<'_, T> {
    type Value = Option<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Decode<'de>> Visitor<'de> for Nullable<'_, T> {
    type Value = Option<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("option")
    }
    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::decode(deserializer, self.0).map(Some)
    }
}

impl<'de, T: Decode<'de>> Decode<'de> for Option<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D, place: &Place<'_>) -> Result<Self, D::Error> {
        Nullable(place, PhantomData).deserialize(deserializer)
    }
}

impl<'de, T: Decode<'de>> Decode<'de> for Vec<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D, place: &Place<'_>) -> Result<Self, D::Error> {
        struct Items<'a, T>(&'a Place<'a>, PhantomData<T>);
        impl<'de, T: Decode<'de>> Visitor<'de> for Items<'_, T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element_seed(At(self.0, PhantomData))? {
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Items(place, PhantomData))
    }
}

/// Reads the value of a field, where `null` is as good as nothing.
pub(super) fn value<'de, T: Decode<'de> + Default, A: MapAccess<'de>>(
    map: &mut A,
    place: &Place<'_>,
    field: &'static str,
) -> Result<T, A::Error> {
    Ok(map.next_value_seed(Nullable(&place.field(field), PhantomData))?.unwrap_or_default())
}

/// Reads the name of a field.
struct Name<'a, T>(&'a Place<'a>, PhantomData<T>);

impl<'de, T: Object> DeserializeSeed<'de> for Name<'_, T> {
    type Value = Option<T::Field>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<T: Object> Visitor<'_> for Name<'_, T> {
    type Value = Option<T::Field>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("field identifier")
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(match T::find(name) {
            Found::Used(field) => Some(field),
            Found::Irrelevant => None,
            Found::Unknown => {
                self.0.note(name);
                None
            }
        })
    }
}

struct Fields<'a, T>(&'a Place<'a>, PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Fields<'_, T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "struct {}", T::NAME)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let (mut object, mut seen) = (T::default(), 0_u64);
        while let Some(name) = map.next_key_seed(Name::<T>(self.0, PhantomData))? {
            let Some(field) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1 << T::index(field);
            if seen & bit != 0 {
                return Err(A::Error::duplicate_field(T::FIELDS[T::index(field)]));
            }
            seen |= bit;
            object.read(field, &mut map, self.0)?;
        }
        Ok(object)
    }
}

/// Decodes a struct.
pub(super) fn object<'de, T: Object, D: Deserializer<'de>>(deserializer: D, place: &Place<'_>) -> Result<T, D::Error> {
    deserializer.deserialize_struct(T::NAME, T::FIELDS, Fields(place, PhantomData))
}

/// Structs that notice fields they do not know. Each field with its name in JSON; after `irrelevant`, those that are
/// known not to matter, or `_` where none is noticed.
macro_rules! objects_that_notice {
    ($($(#[$meta:meta])* $name:ident {
        $($field:ident ($json:literal): $type:ty),* $(,)?
        $(; irrelevant $irrelevant:pat)?
        $(, also $extra:ident: $extra_type:ty)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs, reason = "the fields are Kubernetes' own, under Kubernetes' names")]
        pub struct $name {
            $(pub $field: $type,)*
            $(
                /// The fields that are neither used nor known to be irrelevant, of this and of all that is in it.
                pub $extra: $extra_type,
            )?
        }

        const _: () = {
            #[derive(Clone, Copy)]
            #[allow(non_camel_case_types, reason = "they are the names of fields")]
            pub(super) enum Field { $($field),* }
            assert!([$($json),*].len() <= 64, "the fields that were seen are marked in 64 bits");

            impl Object for $name {
                type Field = Field;
                const NAME: &'static str = stringify!($name);
                const FIELDS: &'static [&'static str] = &[$($json),*];
                #[allow(unreachable_patterns, reason = "where no field is noticed, all of them are irrelevant")]
                fn find(name: &str) -> Found<Field> {
                    match name {
                        $($json => Found::Used(Field::$field),)*
                        $($irrelevant => Found::Irrelevant,)?
                        _ => Found::Unknown,
                    }
                }
                fn index(field: Field) -> usize {
                    field as usize
                }
                fn read<'de, A: MapAccess<'de>>(
                    &mut self,
                    field: Field,
                    map: &mut A,
                    place: &Place<'_>,
                ) -> Result<(), A::Error> {
                    match field {
                        $(Field::$field => self.$field = value(map, place, $json)?,)*
                    }
                    Ok(())
                }
            }

            impl<'de> Decode<'de> for $name {
                fn decode<D: Deserializer<'de>>(deserializer: D, place: &Place<'_>) -> Result<Self, D::Error> {
                    object(deserializer, place)
                }
            }

            impl Absent for $name {}

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    let mut map = serializer.serialize_map(None)?;
                    $(field(&mut map, $json, &self.$field)?;)*
                    map.end()
                }
            }
        };
    )*};
}
pub(super) use objects_that_notice;
