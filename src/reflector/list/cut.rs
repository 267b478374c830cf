//! Objects cut out of the text of a list.

/// More than this around the objects is no list.
const MAX_AROUND_BYTES: usize = 1 << 20;
/// A longer object is none: the API server takes a few megabytes.
const MAX_OBJECT_BYTES: usize = 64 << 20;

/// Cuts the objects out of `items`, as the text comes.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    place: Place,
    /// What was read and belongs to an object that is not complete.
    object: Vec<u8>,
    /// What is around the objects.
    around: Vec<u8>,
    scan: Scan,
    /// The last string at the top level, as far as it goes: a key or a value.
    last: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the items.
    #[default]
    Before,
    /// Between two items.
    Between,
    /// In one.
    Within,
    /// After all.
    After,
}

/// Where a text is, as far as strings and brackets go.
#[derive(Debug, Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// The place behind the end of what is open at depth 1, or nothing where it goes on beyond the text.
    fn end_of_object(&mut self, text: &[u8]) -> Option<usize> {
        let end = text.iter().position(|byte| {
            self.step(*byte);
            self.depth == 0
        });
        end.map(|last| last + 1)
    }
}

impl Cutter {
    /// Takes the next piece of the text, and gives every object that is complete with it to `each`. The outer error is
    /// that of `each`; the inner one says what is wrong with the text.
    pub(super) fn feed<E>(
        &mut self,
        text: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<(), &'static str>, E> {
        let mut rest = text;
        while !rest.is_empty() {
            let stepped = match self.place {
                Place::Before => self.before(rest),
                Place::Between => self.between(rest),
                Place::Within => self.within(rest, &mut each)?,
                Place::After => self.keep(rest).map(|()| rest.len()),
            };
            match stepped {
                Ok(taken) => rest = &rest[taken..],
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(()))
    }

    /// What is around the objects, as an object with no items; the error where the text is not complete.
    pub(super) fn rest(&self) -> Result<Vec<u8>, &'static str> {
        let complete = match self.place {
            Place::Before => self.scan.depth == 0 && self.around.contains(&b'{'),
            Place::After => true,
            Place::Between | Place::Within => false,
        };
        complete.then(|| self.around.clone()).ok_or("it ends in the middle")
    }

    fn keep(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if self.around.len() + text.len() > MAX_AROUND_BYTES {
            return Err("too much is around its items");
        }
        self.around.extend_from_slice(text);
        Ok(())
    }

    /// Looks for the bracket that the items begin with.
    fn before(&mut self, text: &[u8]) -> Result<usize, &'static str> {
        for (at, byte) in text.iter().enumerate() {
            let was_in_string = self.scan.in_string;
            self.scan.step(*byte);
            match byte {
                _ if was_in_string => {
                    if self.scan.depth == 1 && self.scan.in_string && self.last.len() <= b"items".len() {
                        self.last.push(*byte);
                    }
                }
                b'"' => self.last.clear(),
                b'[' if self.scan.depth == 2 && self.last == b"items" => {
                    self.keep(&text[..=at])?;
                    self.place = Place::Between;
                    return Ok(at + 1);
                }
                b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' => self.last.clear(),
                _ if self.scan.depth == 0 && *byte != b'}' => return Err("expected an object"),
                _ => self.last.clear(),
            }
        }
        self.keep(text)?;
        Ok(text.len())
    }

    fn between(&mut self, text: &[u8]) -> Result<usize, &'static str> {
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' => {
                    (self.place, self.scan) = (Place::Within, Scan::default());
                    return Ok(at);
                }
                b']' => {
                    self.place = Place::After;
                    return Ok(at);
                }
                _ => return Err("in items expected an object"),
            }
        }
        Ok(text.len())
    }

    fn within<E>(
        &mut self,
        text: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<usize, &'static str>, E> {
        let end = self.scan.end_of_object(text);
        let part = &text[..end.unwrap_or(text.len())];
        // Most objects come in one piece with others, and need not be copied.
        if end.is_some() && self.object.is_empty() {
            each(part)?;
        } else if self.object.len() + part.len() > MAX_OBJECT_BYTES {
            return Ok(Err("an object is too long"));
        } else {
            self.object.extend_from_slice(part);
            if end.is_some() {
                each(&self.object)?;
                self.object.clear();
            }
        }
        if end.is_some() {
            self.place = Place::Between;
        }
        Ok(Ok(part.len()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What comes of a text that comes in pieces of so many bytes.
    fn cut(text: &str, piece: usize) -> Result<(Vec<Value>, Value), &'static str> {
        let (mut cutter, mut objects) = (Cutter::default(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            let fed = cutter.feed(piece, |json| {
                objects.push(serde_json::from_slice(json)?);
                Ok::<_, serde_json::Error>(())
            });
            fed.unwrap()?;
        }
        let rest = cutter.rest()?;
        Ok((objects, serde_json::from_slice(&rest).unwrap()))
    }

    #[test]
    fn objects_are_the_same_however_the_text_comes() {
        let tricky = json!({"}": "]}", "items": [{"a": [1, "\"}{", "\\"]}], "ä": "\u{1F600}\\\"", "n": null});
        let lists = [
            json!({"metadata": {"resourceVersion": "7", "items": [1]}, "items": [tricky, {}, tricky], "kind": "PodList"}),
            json!({"items": [], "metadata": {}}),
            json!({"items": null, "metadata": {"a": "items"}}),
            json!({"a": "items", "b": [{}], "metadata": {}}),
            json!({}),
        ];
        for list in lists {
            for text in [list.to_string(), format!(" {} \n", serde_json::to_string_pretty(&list).unwrap())] {
                let mut around = list.clone();
                let objects = match around.get_mut("items") {
                    Some(Value::Array(items)) => std::mem::take(items),
                    _ => Vec::new(),
                };
                for piece in 1..=text.len() {
                    assert_eq!(cut(&text, piece), Ok((objects.clone(), around.clone())), "{text} by {piece}");
                }
            }
        }
    }

    #[test]
    fn whatever_is_no_list_is_an_error() {
        let rows = [
            ("", "it ends in the middle"),
            ("  ", "it ends in the middle"),
            ("<html></html>", "expected an object"),
            ("\u{feff}{}", "expected an object"),
            ("7", "expected an object"),
            ("]", "expected an object"),
            (r#"{"items":[{"a":1}"#, "it ends in the middle"),
            (r#"{"items":[{"a":1"#, "it ends in the middle"),
            (r#"{"items":[{"a":1},7]}"#, "in items expected an object"),
            (r#"{"items":[}"#, "in items expected an object"),
        ];
        for (text, want) in rows {
            for piece in 1..=text.len().max(1) {
                assert_eq!(cut(text, piece).map(|_| ()), Err(want), "{text} by {piece}");
            }
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let spaces = vec![b' '; 1 << 20];
        let endless = |beginning: &str, limit: usize| {
            let mut cutter = Cutter::default();
            let none = |_: &[u8]| Ok::<_, ()>(());
            assert_eq!(cutter.feed(beginning.as_bytes(), none), Ok(Ok(())));
            let pieces = (0..2 + limit / spaces.len()).map(|_| cutter.feed(&spaces, none).unwrap());
            pieces.into_iter().find_map(Result::err)
        };
        assert_eq!(endless("{", MAX_AROUND_BYTES), Some("too much is around its items"));
        assert_eq!(endless(r#"{"items":[]"#, MAX_AROUND_BYTES), Some("too much is around its items"));
        assert_eq!(endless(r#"{"items":[{"#, MAX_OBJECT_BYTES), Some("an object is too long"));
    }
}
