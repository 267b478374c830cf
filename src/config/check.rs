//! Collects what is wrong with one document, each with its place.

use super::error::Fault;
use super::source::Node;

/// Collects errors and warnings of one document.
pub(super) struct Check<'a> {
    /// The document; `None` when everything is defaulted.
    tree: Option<&'a Node>,
    /// What could not be decoded.
    unreadable: Vec<Fault>,
    faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl<'a> Check<'a> {
    pub(super) fn new(tree: Option<&'a Node>) -> Self {
        Self { tree, unreadable: Vec::new(), faults: Vec::new(), warnings: Vec::new() }
    }

    /// Records what could not be decoded.
    pub(super) fn unreadable(&mut self, faults: Vec<Fault>) {
        self.unreadable.extend(faults);
    }

    /// Records an error at `field`, unless the field, one around it or one inside it could not be decoded: what could not be
    /// read breaks rules that it might have kept.
    pub(super) fn fail(&mut self, field: &str, message: &str) {
        let hidden = |fault: &Fault| contains(&fault.field, field) || contains(field, &fault.field);
        if !self.unreadable.iter().any(hidden) {
            self.faults.push(self.fault(field, message));
        }
    }

    pub(super) fn warn(&mut self, field: &str, message: &str) {
        self.warnings.push(self.fault(field, message));
    }

    /// The document.
    pub(super) fn tree(&self) -> Option<&'a Node> {
        self.tree
    }

    /// Number of errors so far.
    pub(super) fn count(&self) -> usize {
        self.unreadable.len() + self.faults.len()
    }

    /// All errors.
    pub(super) fn into_faults(mut self) -> Vec<Fault> {
        self.unreadable.append(&mut self.faults);
        self.unreadable
    }

    fn fault(&self, field: &str, message: &str) -> Fault {
        Fault::new(self.tree.map(|tree| tree.locate(field)), field, message)
    }
}

/// Whether `inner` is the field `outer` or lies in it.
fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_decoded_breaks_no_further_rule() {
        let mut check = Check::new(None);
        check.unreadable(vec![Fault::new(None, "profiles[1].schedulerName", "must be text")]);
        check.fail("profiles[1].schedulerName", "is required");
        check.fail("profiles[1]", "other");
        check.fail("profiles[1].schedulerName.x", "other");
        check.fail("profiles[10].schedulerName", "is required");
        assert_eq!(check.into_faults().len(), 2);
    }
}
