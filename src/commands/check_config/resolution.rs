//! What a configuration resolves to in kube-scheduler, in the form in which that is recorded
//! (tests/golden/README.md), and what this scheduler does otherwise.

use plimsoll_plugins::catalog::Point;
use serde_json::{Map, Value, json};

use crate::config::{Config, ConfigError, ProfileConfig};

/// What a configuration resolves to. `config` was read with kube-scheduler's defaults, or with this scheduler's own.
pub(super) fn resolution(config: &Config) -> Value {
    let written = config.to_v1();
    let client = &config.client_connection;
    json!({
        "profiles": config.profiles.iter().map(profile).collect::<Vec<_>>(),
        "parallelism": config.parallelism,
        "percentageOfNodesToScore": config.percentage_of_nodes_to_score,
        "podInitialBackoffSeconds": config.pod_initial_backoff_seconds,
        "podMaxBackoffSeconds": config.pod_max_backoff_seconds,
        "leaderElection": written.leader_election,
        "clientConnection": {
            "qps": client.qps.map_or(Value::Null, number),
            "burst": client.burst,
            "contentType": client.content_type,
        },
        "extenders": config.extenders.len(),
    })
}

/// Go writes a whole number without a point.
fn number(number: f64) -> Value {
    match format!("{number}").parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => number.into(),
    }
}

fn profile(profile: &ProfileConfig) -> Value {
    let points: Map<String, Value> = Point::ALL
        .into_iter()
        .filter(|p| !is_of_groups(*p))
        .map(|point| {
            let plugins = profile.plugins.at(point).iter().map(|plugin| match point {
                Point::Score => json!({"name": plugin.name, "weight": plugin.weight}),
                _ => plugin.name.as_str().into(),
            });
            (point.as_config_key().to_owned(), plugins.collect())
        })
        .collect();
    json!({
        "schedulerName": profile.scheduler_name,
        "percentageOfNodesToScore": profile.percentage_of_nodes_to_score,
        "plugins": points,
    })
}

/// Points for the placement of groups of pods, which kube-scheduler has behind a feature gate that is off.
fn is_of_groups(point: Point) -> bool {
    matches!(point, Point::PlacementGenerate | Point::PlacementScore)
}

/// What this scheduler does otherwise than kube-scheduler with the same file.
pub(super) struct Difference {
    field: String,
    upstream: Value,
    plimsoll: Value,
    why: String,
}

impl Difference {
    fn new(field: &str, upstream: impl Into<Value>, plimsoll: impl Into<Value>, why: &str) -> Self {
        Self { field: field.to_owned(), upstream: upstream.into(), plimsoll: plimsoll.into(), why: why.to_owned() }
    }

    pub(super) fn value(&self) -> Value {
        json!({"field": self.field, "upstream": self.upstream, "plimsoll": self.plimsoll, "why": self.why})
    }

    /// The field, what kube-scheduler does, what this scheduler does, and why.
    pub(super) fn row(&self) -> [String; 4] {
        [self.field.clone(), shown(&self.upstream), shown(&self.plimsoll), self.why.clone()]
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why a field that is not set is another here; by the end of its path.
static WHY: [(&str, &str); 6] = [
    ("schedulerName", "it lives beside the cluster's own scheduler, so its profile has a name of its own"),
    ("leaderElection.resourceName", "it lives beside the cluster's own scheduler, so its lease has a name of its own"),
    ("leaderElection.resourceNamespace", "the lease is in the namespace that the scheduler runs in"),
    ("clientConnection.qps", "not limited where the file sets no limit: it adapts to what the API server bears"),
    ("clientConnection.burst", "not limited where the file sets no limit: it adapts to what the API server bears"),
    ("clientConnection.contentType", "requests and answers are JSON"),
];

/// Every difference, in the order of the form.
pub(super) fn differences(upstream: Option<&Config>, own: &Config, not_done: &[&ConfigError]) -> Vec<Difference> {
    let mut all = Vec::new();
    match upstream {
        Some(upstream) => {
            let (theirs, ours) = (resolution(upstream), resolution(own));
            leaves("", &theirs, &ours, &mut all);
        }
        None => all.push(Difference::new("", "refuses the file", "reads it", "see the errors")),
    }
    if let Some(warning) = own.warnings.iter().find(|warning| warning.contains("is read as kubescheduler.config")) {
        all.push(Difference::new("apiVersion", "refused", "read as v1", warning));
    }
    all.push(Difference::new(
        "parallelism",
        own.parallelism,
        Value::Null,
        "shown only: the number of deciding threads is workers of the PlimsollConfiguration",
    ));
    if own.percentage_of_nodes_to_score == 0 {
        let why = "unset, every node is looked at; kube-scheduler looks at fewer of them from 100 nodes on";
        all.push(Difference::new("percentageOfNodesToScore", "by cluster size", "all nodes", why));
    }
    let coexistence = &own.plimsoll.coexistence;
    if !coexistence.refusal_cooldown.is_zero() {
        let ours = format!("avoids it for {}", crate::config::show_duration(coexistence.refusal_cooldown));
        let why = "of the node of a pod that its kubelet has refused, where another node will do";
        all.push(Difference::new("coexistence.refusalCooldown", "chooses it again", ours, why));
    }
    if !coexistence.headroom.is_empty() {
        let why = "of what is to stay free on nodes, where another node will do";
        all.push(Difference::new("coexistence.headroom", "takes it up", "leaves it", why));
    }
    // The plugin is built, but not all of what it does.
    let devices =
        |profile: &ProfileConfig| profile.plugins.at(Point::Filter).iter().any(|p| p.name == "DynamicResources");
    if own.profiles.iter().any(devices) {
        let why = "pods that need devices (resource claims, resources of a DeviceClass) stay pending with the reason \
                   UnsupportedByPlimsoll";
        all.push(Difference::new("plugins.DynamicResources", "schedules them", "holds them back", why));
    }
    all.extend(
        not_done.iter().map(|error| Difference::new(&error.field, "accepted", "refused by run", &error.message)),
    );
    all
}

/// The fields in which two values differ.
fn leaves(path: &str, theirs: &Value, ours: &Value, all: &mut Vec<Difference>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                leaves(&below(name), value, ours.get(name).unwrap_or(&Value::Null), all);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                leaves(&format!("{path}[{at}]"), theirs, ours, all);
            }
        }
        (theirs, ours) if theirs != ours => {
            let why = WHY.iter().find(|(end, _)| path.ends_with(end)).map_or("a default of its own", |(_, why)| why);
            all.push(Difference::new(path, theirs.clone(), ours.clone(), why));
        }
        _ => {}
    }
}
