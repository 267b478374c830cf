//! Rules as text, for command lines: `verb=create,resource=pods/binding,status=409,share=0.1,times=3`.

use std::{num::NonZeroU64, str::FromStr, time::Duration};

use super::{Fault, Rule, WatchFault};

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A part of the text is not a word, an equals sign and a value.
    #[error("{0:?} is not a word with a value, such as status=409")]
    NotAWord(String),
    /// The word has no meaning.
    #[error("unknown word {0:?}: known are {known}", known = WORDS.join(", "))]
    UnknownWord(String),
    /// A word occurs more than once.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Nothing says what is to go wrong.
    #[error("nothing goes wrong: give one of {faults}", faults = FAULTS.join(", "))]
    NoFault,
    /// More than one word says what is to go wrong.
    #[error("{first} and {second} are two faults: give each a rule of its own")]
    TwoFaults {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A value cannot be read, or is out of range.
    #[error("{word}={value} is wrong: it takes {takes}")]
    Value {
        /// The word.
        word: &'static str,
        /// Its value.
        value: String,
        /// What its values look like.
        takes: &'static str,
    },
    /// Two words that mean something only apart.
    #[error("{word} does nothing without {without}")]
    Idle {
        /// The word that has no effect.
        word: &'static str,
        /// What it needs.
        without: &'static str,
    },
}

/// What says what goes wrong.
const FAULTS: [&str; 6] = ["status", "limit", "after", "drop", "delay", "watch"];

const WORDS: [&str; 13] = [
    "verb",
    "resource",
    "except",
    "name",
    "share",
    "times",
    "status",
    "limit",
    "retry-after",
    "after",
    "drop",
    "delay",
    "watch",
];

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// Longer is as good as for ever, and sums of such times never overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads words with their values, separated by commas: exactly one of
///
/// - `status=409` (with `retry-after=2`, in seconds): answered so, and not handled
/// - `limit=100`: answered with 429 beyond so many a second, all that the rule matches taken together; with
///   `retry-after`, 1 if it is not given
/// - `after=504`: handled, and answered so all the same
/// - `drop=before`, `drop=after`, `drop=within`: the connection is closed before the request is handled, after it, or
///   within the answer
/// - `delay=200ms`, `delay=0s..15s`: handled later, by this time or one drawn from the range
/// - `watch=lag:2s`, `watch=end:30s`, `watch=cut:30s`, `watch=expire:30s`, `watch=stall:30s`: see [`WatchFault`]
///
/// and any of `verb=create`, `resource=pods/binding`, `except=leases` (not this resource), `name=web-` (what the name starts with), `share=0.1` (the
/// probability), `times=3`. Times are whole numbers of `ms`, `s`, `m` or `h`, up to 24 hours.
impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let words = Words::read(text)?;
        let mut rule = Self::new(words.fault()?);
        if let Some(verb) =
            words.value("verb", "get, list, watch, create, update, patch, delete or deletecollection", verb)?
        {
            if verb != "watch" && matches!(rule.fault, Fault::Watch(_)) {
                return Err(RuleError::Idle { word: "watch", without: "verb=watch" });
            }
            rule = rule.verb(verb);
        }
        if let Some(resource) = words.value("resource", "a resource such as pods or pods/binding", resource)? {
            rule = rule.resource(resource);
        }
        if let Some(spared) = words.value("except", "a resource such as leases", plural)? {
            rule = rule.except(spared);
        }
        if let Some(prefix) = words.get("name") {
            rule = rule.name_prefix(prefix);
        }
        if let Some(share) = words.value("share", "a number from 0 to 1", share)? {
            rule = rule.probability(share);
        }
        if let Some(times) = words.value("times", "a whole number from 1", |text| text.parse::<NonZeroU64>().ok())? {
            rule = rule.times(times.get());
        }
        Ok(rule)
    }
}

/// The words of a rule with their values, each at most once.
struct Words<'t>(Vec<(&'static str, &'t str)>);

impl<'t> Words<'t> {
    fn read(text: &'t str) -> Result<Self, RuleError> {
        let mut words = Vec::with_capacity(WORDS.len());
        for part in text.split(',').map(str::trim) {
            let pair = part.split_once('=').map(|(word, value)| (word.trim(), value.trim()));
            let Some((word, value)) = pair.filter(|(word, value)| !word.is_empty() && !value.is_empty()) else {
                return Err(RuleError::NotAWord(part.to_owned()));
            };
            let known = WORDS.into_iter().find(|known| *known == word);
            let word = known.ok_or_else(|| RuleError::UnknownWord(word.to_owned()))?;
            if words.iter().any(|(other, _)| *other == word) {
                return Err(RuleError::Twice(word));
            }
            words.push((word, value));
        }
        Ok(Self(words))
    }

    fn get(&self, word: &str) -> Option<&'t str> {
        self.0.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    }

    /// The value of a word as `read` reads it; none where the word is not given.
    fn value<T>(
        &self,
        word: &'static str,
        takes: &'static str,
        read: impl FnOnce(&'t str) -> Option<T>,
    ) -> Result<Option<T>, RuleError> {
        let Some(text) = self.get(word) else { return Ok(None) };
        let value = read(text).ok_or_else(|| RuleError::Value { word, value: text.to_owned(), takes })?;
        Ok(Some(value))
    }

    /// What goes wrong.
    fn fault(&self) -> Result<Fault, RuleError> {
        const STATUS: &str = "the status of a failure, 400 to 599";
        let mut given = FAULTS.into_iter().filter(|word| self.get(word).is_some());
        let first = given.next().ok_or(RuleError::NoFault)?;
        if let Some(second) = given.next() {
            return Err(RuleError::TwoFaults { first, second });
        }
        let retry_after_seconds = self.value("retry-after", "a number of seconds", |text| text.parse().ok())?;
        if retry_after_seconds.is_some() && !matches!(first, "status" | "limit") {
            return Err(RuleError::Idle { word: "retry-after", without: "status or limit" });
        }
        let fault = match first {
            "status" => self.value(first, STATUS, status)?.map(|code| Fault::Status { code, retry_after_seconds }),
            "limit" => {
                let limit =
                    |per_second| Fault::Limit { per_second, retry_after_seconds: retry_after_seconds.unwrap_or(1) };
                self.value(first, "requests a second, from 1", |text| text.parse().ok())?.map(limit)
            }
            "after" => self.value(first, STATUS, status)?.map(|code| Fault::StatusAfter { code }),
            "drop" => self.value(first, "before, after or within", drop_when)?,
            "delay" => self.value(first, "a time such as 200ms or a range such as 0s..15s, up to 24h", delay)?,
            _ => self.value(first, "lag, end, cut, expire or stall with a time up to 24h, such as stall:30s", watch)?,
        };
        fault.ok_or(RuleError::NoFault)
    }
}

fn verb(text: &str) -> Option<&str> {
    VERBS.contains(&text).then_some(text)
}

fn resource(text: &str) -> Option<&str> {
    let mut parts = text.split('/');
    let named = parts.by_ref().take(2).all(|part| !part.is_empty());
    (named && parts.next().is_none()).then_some(text)
}

fn plural(text: &str) -> Option<&str> {
    (!text.contains('/')).then_some(text)
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (400..=599).contains(code))
}

fn drop_when(text: &str) -> Option<Fault> {
    match text {
        "before" => Some(Fault::DropBefore),
        "after" => Some(Fault::DropAfter),
        "within" => Some(Fault::DropWithin),
        _ => None,
    }
}

fn delay(text: &str) -> Option<Fault> {
    let Some((least, most)) = text.split_once("..") else { return Some(Fault::Delay(time(text)?)) };
    let (least, most) = (time(least)?, time(most)?);
    (least <= most).then_some(Fault::DelayBetween(least, most))
}

fn watch(text: &str) -> Option<Fault> {
    let (what, when) = text.split_once(':')?;
    let when = time(when)?;
    Some(Fault::Watch(match what {
        "lag" => WatchFault::Lag(when),
        "end" => WatchFault::End(when),
        "cut" => WatchFault::Cut(when),
        "expire" => WatchFault::Expire(when),
        "stall" => WatchFault::Stall(when),
        _ => return None,
    }))
}

/// A whole number with its unit.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::{Fault, Rule, WatchFault};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn texts_are_rules() {
        let watch = |fault| Rule::new(Fault::Watch(fault));
        let busy = Fault::Status { code: 429, retry_after_seconds: Some(2) };
        let limit = |per_second, retry_after_seconds| Fault::Limit {
            per_second: NonZeroU32::new(per_second).unwrap(),
            retry_after_seconds,
        };
        let rows = [
            ("status=500", Rule::status(500)),
            (
                "verb=create,resource=pods/binding,status=409,share=0.1,times=3",
                Rule::status(409).verb("create").resource("pods/binding").probability(0.1).times(3),
            ),
            ("status=429,retry-after=2", Rule::new(busy)),
            ("limit=100,except=leases", Rule::new(limit(100, 1)).except("leases")),
            ("resource=events,limit=1,retry-after=0", Rule::new(limit(1, 0)).resource("events")),
            (" after = 504 , name = web- ", Rule::new(Fault::StatusAfter { code: 504 }).name_prefix("web-")),
            ("drop=before,resource=pods", Rule::new(Fault::DropBefore).resource("pods")),
            ("drop=after", Rule::new(Fault::DropAfter)),
            ("share=1,drop=within", Rule::new(Fault::DropWithin)),
            ("delay=200ms", Rule::new(Fault::Delay(SECOND / 5))),
            ("delay=0s..15s", Rule::new(Fault::DelayBetween(Duration::ZERO, 15 * SECOND))),
            ("delay=1m..24h", Rule::new(Fault::DelayBetween(60 * SECOND, 86_400 * SECOND))),
            ("watch=lag:2s", watch(WatchFault::Lag(2 * SECOND))),
            ("watch=end:30s", watch(WatchFault::End(30 * SECOND))),
            ("watch=cut:30s,verb=watch", watch(WatchFault::Cut(30 * SECOND)).verb("watch")),
            ("watch=expire:30s", watch(WatchFault::Expire(30 * SECOND))),
            ("watch=stall:0s,share=0", watch(WatchFault::Stall(Duration::ZERO)).probability(0.0)),
        ];
        for (text, rule) in rows {
            assert_eq!(text.parse::<Rule>(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_for_a_reason() {
        let rows = [
            ("", r#""" is not a word with a value"#),
            ("status", r#""status" is not a word with a value"#),
            ("status=", r#""status=" is not a word with a value"#),
            ("=409", r#""=409" is not a word with a value"#),
            ("status=409,", r#""" is not a word with a value"#),
            ("statsu=409", r#"unknown word "statsu": known are verb, resource, except, name, share"#),
            ("status=409,status=500", "status is given twice"),
            ("verb=create,resource=pods", "nothing goes wrong: give one of status, limit, after, drop, delay, watch"),
            ("drop=after,status=409", "status and drop are two faults"),
            ("status=200", "status=200 is wrong: it takes the status of a failure"),
            ("status=99999", "status=99999 is wrong"),
            ("after=ok", "after=ok is wrong: it takes the status of a failure"),
            ("status=429,retry-after=soon", "retry-after=soon is wrong: it takes a number of seconds"),
            ("after=504,retry-after=2", "retry-after does nothing without status or limit"),
            ("limit=0", "limit=0 is wrong: it takes requests a second, from 1"),
            ("limit=1,except=pods/binding", "except=pods/binding is wrong: it takes a resource such as leases"),
            ("drop=never", "drop=never is wrong: it takes before, after or within"),
            ("delay=200", "delay=200 is wrong: it takes a time such as 200ms"),
            ("delay=s", "delay=s is wrong"),
            ("delay=-1s", "delay=-1s is wrong"),
            ("delay=25h", "delay=25h is wrong"),
            ("delay=99999999999999999999h", "is wrong"),
            ("delay=18446744073709551615h", "is wrong"),
            ("delay=2s..1s", "delay=2s..1s is wrong"),
            ("delay=1s..", "delay=1s.. is wrong"),
            ("watch=stall", "watch=stall is wrong: it takes lag, end, cut, expire or stall with a time"),
            ("watch=sleep:3s", "watch=sleep:3s is wrong"),
            ("watch=cut:3s,verb=list", "watch does nothing without verb=watch"),
            ("verb=bind,status=409", "verb=bind is wrong: it takes get, list, watch, create"),
            ("resource=/binding,status=409", "resource=/binding is wrong"),
            ("resource=pods/,status=409", "resource=pods/ is wrong"),
            ("resource=pods/a/b,status=409", "resource=pods/a/b is wrong"),
            ("share=1.5,status=409", "share=1.5 is wrong: it takes a number from 0 to 1"),
            ("share=NaN,status=409", "share=NaN is wrong"),
            ("times=0,status=409", "times=0 is wrong: it takes a whole number from 1"),
        ];
        for (text, reason) in rows {
            let error = text.parse::<Rule>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
