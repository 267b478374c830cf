//! All nodes at once.

use super::*;

/// All rows of the view at once, through `R` only; never seen through an overlay.
pub struct Rows<'a, R: Read> {
    counters: &'a Counters,
    reads: PhantomData<R>,
}

impl<'a, R: Read> Rows<'a, R> {
    pub(crate) fn new(counters: &'a Counters) -> Self {
        Self { counters, reads: PhantomData }
    }
}

impl<'a> Rows<'a, TopologyDomains> {
    /// The counts in the domains of all nodes.
    pub fn domains(&self) -> DomainRows<'a> {
        DomainRows::new(self.counters)
    }
}

impl<'a, R: Read> Rows<'a, (R, TopologyDomains)> {
    /// The counts in the domains of all nodes.
    pub fn domains(&self) -> DomainRows<'a> {
        DomainRows::new(self.counters)
    }
}
