//! What the engine's tests have in common: builders, small plugins written against the contract, and a cluster with a
//! hand-set clock.

#![allow(dead_code, reason = "every test program uses its own part")]

pub(crate) mod build;
pub(crate) mod cluster;
pub(crate) mod inspect;
pub(crate) mod plugins;
pub(crate) mod world;

use std::time::Duration;

use plimsoll_engine::profile::{Profile, ProfileBuilder};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::time::Time;

/// The time so many milliseconds after the beginning, which is a whole second.
pub(crate) fn at(millis: u64) -> Time {
    Time::since_epoch(Duration::from_millis(1_000_000 + millis))
}

/// A profile that enables each plugin at every point it extends.
pub(crate) fn profile(name: &str, plugins: &[Extensions]) -> Profile {
    let mut builder = ProfileBuilder::new(name.into());
    for plugin in plugins {
        for point in plugin.points() {
            builder.enable(point, plugin, 1).expect("the plugin extends the point");
        }
    }
    builder.build().expect("one QueueSort, one Bind")
}
