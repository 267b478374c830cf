//! How a decision goes, for those who measure it.

use plimsoll_framework::point::Point;
use plimsoll_framework::verdict::Code;

use crate::profile::Profile;

/// Told what a worker is doing, as it does it. The engine has no clock; who has one can time the points by it.
pub trait Probe: Send {
    /// A decision begins.
    fn begin(&mut self, profile: &Profile);
    /// A plugin was asked at a point and had something to say.
    fn asked(&mut self, point: Point, plugin: &'static str);
    /// The decision of a group of pods begins, with the first of them.
    fn gang_begins(&mut self) {}
    /// A group of pods is decided.
    fn gang_ended(&mut self) {}
    /// A point is done with: PreFilter, Filter (all nodes), PreScore, Score.
    fn ran(&mut self, point: Point, code: Code);
    /// A plugin could not answer at a point, which ended the decision.
    fn failed(&mut self, point: Point, plugin: &'static str) {
        let _ = (point, plugin);
    }
}
