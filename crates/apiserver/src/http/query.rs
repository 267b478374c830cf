//! Query strings, and percent-encoding in general.

use std::borrow::Cow;

use crate::{
    failure::Failure,
    kinds::Kind,
    selector::{FieldSelector, LabelSelector},
};

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        });
        Self { pairs: pairs.collect() }
    }

    /// The value of a parameter; empty when it is absent.
    pub(super) fn get(&self, key: &str) -> &str {
        self.pairs.iter().find(|(k, _)| k == key).map_or("", |(_, value)| value)
    }

    /// Whether a parameter is set to true.
    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), "true" | "1" | "True" | "t")
    }

    /// The number that a parameter holds; none when it is absent.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Failure> {
        match self.get(key) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Failure::bad_request(format!("invalid value {text:?} of the parameter {key}"))),
            },
        }
    }

    pub(super) fn labels(&self) -> Result<LabelSelector, Failure> {
        LabelSelector::parse(self.get("labelSelector"))
    }

    pub(super) fn fields(&self, kind: &Kind) -> Result<FieldSelector, Failure> {
        FieldSelector::parse(&kind.fields, self.get("fieldSelector"))
    }

    /// Whether the request is only to be tried out.
    pub(super) fn dry_run(&self) -> bool {
        self.get("dryRun") == "All"
    }
}

/// Decodes percent-encoding; what is no UTF-8 afterwards is replaced.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) * 16 + hex(*low));
                rest = after;
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, decode};

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2cc+in+%28d%29&watch=1&limit=x&=&%=%zz");
        assert_eq!(query.get("labelSelector"), "a=b,c in (d)");
        assert!(query.flag("watch"));
        assert_eq!(query.number("limit").unwrap_err().code, 400);
        assert_eq!(query.number("missing").unwrap(), None);
        assert_eq!(decode("a%2Fb+c%", false), "a/b+c%");
    }
}
