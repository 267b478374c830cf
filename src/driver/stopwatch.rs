//! Times the extension points of decisions.

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_engine::decide::Probe;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::point::Point;
use plimsoll_framework::verdict::Code;
use tokio::time::Instant;

use crate::metrics::{ExtensionPoint, Metrics, PluginMetrics, ProfileMetrics, Status};

/// One for each worker.
pub(super) struct Stopwatch {
    metrics: Arc<Metrics>,
    profiles: HashMap<Istr, ProfileTimes>,
    profile: Istr,
    lap: Instant,
    gang: Instant,
}

struct ProfileTimes {
    points: ProfileMetrics,
    plugins: HashMap<&'static str, PluginMetrics>,
}

impl Stopwatch {
    pub(super) fn new(metrics: Arc<Metrics>, profiles: &[Profile]) -> Self {
        let times = |p: &Profile| {
            let points = metrics.scheduler.profile(&p.name);
            (p.name.clone(), ProfileTimes { points, plugins: HashMap::new() })
        };
        let profiles = profiles.iter().map(times).collect();
        Self { profiles, metrics, profile: Istr::default(), lap: Instant::now(), gang: Instant::now() }
    }
}

impl Probe for Stopwatch {
    fn begin(&mut self, profile: &Profile) {
        self.profile = profile.name.clone();
        self.lap = Instant::now();
    }

    fn gang_begins(&mut self) {
        self.gang = Instant::now();
    }

    fn gang_ended(&mut self) {
        self.metrics.scheduler.podgroup_scheduling_algorithm_duration.observe(self.gang.elapsed().as_secs_f64());
    }

    fn asked(&mut self, point: Point, plugin: &'static str) {
        let (Some(profile), Some(point)) = (self.profiles.get_mut(&self.profile), extension_point(point)) else {
            return;
        };
        let metrics = profile.plugins.entry(plugin);
        let metrics = metrics.or_insert_with(|| self.metrics.scheduler.plugin(plugin, &self.profile));
        metrics.evaluations.at(point).inc();
    }

    fn ran(&mut self, point: Point, code: Code) {
        let now = Instant::now();
        let took = now.duration_since(std::mem::replace(&mut self.lap, now));
        if let (Some(profile), Some(point)) = (self.profiles.get(&self.profile), extension_point(point)) {
            profile.points.extension_point_duration.at((point, status(code))).observe(took.as_secs_f64());
        }
    }

    fn failed(&mut self, point: Point, plugin: &'static str) {
        self.metrics.scheduler.plugin_failed(point, plugin);
    }
}

fn extension_point(point: Point) -> Option<ExtensionPoint> {
    ExtensionPoint::ALL.iter().copied().find(|p| p.as_str() == point.as_str())
}

fn status(code: Code) -> Status {
    Status::ALL.iter().copied().find(|s| s.as_str() == code.as_str()).unwrap_or(Status::Error)
}
