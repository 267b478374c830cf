//! What holds of every text from outside, whatever stands in it.
//!
//! Each of these takes bytes and fails when a law is broken. They are fed by fuzzing (`fuzz/`), and with the texts that
//! are kept in `fuzz/corpus`, by a test. They are built for these two only.

mod quantities;
mod selectors;

#[cfg(test)]
mod tests;

/// Something that is decoded: its name, and what holds of it.
pub type Target = (&'static str, fn(&[u8]));

/// All there are. A fuzz target and a folder of the corpus have the name of each.
pub const TARGETS: [Target; 7] = [
    ("pods", crate::reflector::laws::pods),
    ("nodes", crate::reflector::laws::nodes),
    ("quantities", quantities::quantities),
    ("selectors", selectors::selectors),
    ("configuration", crate::config::laws::configuration),
    ("extender_answers", crate::extender::laws::answers),
    ("api_errors", crate::write::laws::errors),
];

/// Feeds a target.
///
/// # Panics
/// When a law is broken, and when there is no such target.
pub fn check(name: &str, data: &[u8]) {
    let (_, law) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name");
    law(data);
}
