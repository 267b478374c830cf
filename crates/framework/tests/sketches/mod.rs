//! Random small clusters, and the rules as they are written.

pub(crate) mod clusters;
pub(crate) mod naive;
