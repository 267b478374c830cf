//! Plimsoll's mechanism: queue, cache, view, decision and commit, without I/O, clock or randomness.
//!
//! ```text
//!  Event --> ingest --> queue --> decide ----------> commit ----------> Effect
//!                       pop       PreFilter Filter   re-check, assume
//!                                 PreScore Score     Reserve Permit
//!                                 select             PreBind Bind
//! ```
//!
//! One owner holds the [`engine::Engine`]. Deciding is a function of a pod, a view and an overlay, so any number of
//! [`decide::Worker`]s can do it at the same time; their proposals are committed in the order in which the pods were
//! popped, after a re-check on the live state. The engine names no plugin.

pub mod cache;
mod changes;
pub mod decide;
pub mod diagnosis;
pub mod effect;
pub mod engine;
pub mod event;
pub mod extender;
pub mod gang;
pub mod headroom;
pub mod history;
pub mod memo;
pub mod profile;
pub mod queue;
mod recent;
pub mod shadow;
pub mod sight;
