//! Fields that this version does not know.

use std::cell::Cell;
use std::fmt;

/// The name under which is kept what has no name that can be kept: too long, or with characters that no field has.
pub const OTHER: &str = "other";
/// How many fields are kept by name of one object; further ones are [`OTHER`].
const KEPT: usize = 16;
/// The longest name that is kept. The longest there is today has 47 characters.
const LONGEST: usize = 64;

/// The fields of one object that are neither used nor known to be irrelevant, as paths from its root without the
/// places in lists, such as `spec.affinity.podAffinity.fooBar`. Each is kept once. Takes up one word while there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields(Option<Box<Kept>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    paths: Vec<Box<str>>,
    others: bool,
}

impl UnknownFields {
    /// Whether every field was known.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The paths in the order in which they were met, [`OTHER`] last. Letters, digits, `.`, `_` and `-` only.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let kept = self.0.as_deref();
        let others = kept.is_some_and(|kept| kept.others).then_some(OTHER);
        kept.into_iter().flat_map(|kept| kept.paths.iter().map(|path| &**path)).chain(others)
    }

    fn note(&mut self, place: &Place<'_>, name: &str) {
        let kept = self.0.get_or_insert_default();
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(safe) {
            kept.others = true;
            return;
        }
        let path = format!("{place}.{name}");
        if kept.paths.iter().any(|known| **known == *path) {
            return;
        }
        if kept.paths.len() < KEPT { kept.paths.push(path.into()) } else { kept.others = true }
    }
}

/// Where in an object decoding stands, and where is noted what is not known there. Kept on the stack: put into words
/// only when there is something to note.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    above: Option<&'a Self>,
    field: &'static str,
    unknown: Option<&'a Cell<UnknownFields>>,
}

impl<'a> Place<'a> {
    /// Of something that is decoded by itself: nobody asks what is unknown in it.
    pub(super) const ANYWHERE: Place<'static> = Place { above: None, field: "", unknown: None };

    /// A field of the object's root.
    pub(super) fn root(field: &'static str, unknown: &'a Cell<UnknownFields>) -> Self {
        Self { above: None, field, unknown: Some(unknown) }
    }

    /// A field of what stands here.
    pub(super) fn field(&'a self, field: &'static str) -> Self {
        Self { above: Some(self), field, unknown: self.unknown }
    }

    /// Notes a field that stands here and is not known.
    #[cold]
    pub(super) fn note(&self, name: &str) {
        let Some(unknown) = self.unknown else { return };
        let mut fields = unknown.take();
        fields.note(self, name);
        unknown.set(fields);
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        f.write_str(self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(names: &[&str]) -> Vec<String> {
        let unknown = Cell::default();
        let spec = Place::root("spec", &unknown);
        let volumes = spec.field("volumes");
        names.iter().for_each(|name| volumes.note(name));
        unknown.take().iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_field_is_kept_once_by_its_path() {
        assert!(UnknownFields::default().is_empty());
        assert_eq!(noted(&["a", "b", "a"]), ["spec.volumes.a", "spec.volumes.b"]);
        Place::ANYWHERE.note("a");
    }

    #[test]
    fn what_is_kept_is_bounded_and_harmless() {
        let (long, longest) = ("x".repeat(65), "x".repeat(64));
        for name in ["", "a b", "a\nb", "a\"", "a.b", "ä", "a{", &long] {
            assert_eq!(noted(&[name]), [OTHER], "{name:?}");
        }
        assert_eq!(noted(&[&longest]), [format!("spec.volumes.{longest}")]);
        let many: Vec<String> = (0..1_000).map(|i| format!("f{i}")).collect();
        let kept = noted(&many.iter().map(|name| &**name).collect::<Vec<_>>());
        assert_eq!((kept.len(), &*kept[15], &*kept[16]), (17, "spec.volumes.f15", OTHER));
    }
}
