//! Configuration files against what kube-scheduler v1.36.2 makes of them, and the messages of bad ones.

use std::collections::BTreeMap;
use std::io::Read;

use plimsoll::config::{Config, ConfigErrors, Defaults, EnabledPlugin, TieBreak};
use plimsoll_plugins::args::PluginArgs;
use plimsoll_plugins::catalog::Point;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    name: String,
    config: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Refused { stage: String, errors: Vec<String> },
    Accepted(Box<Accepted>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Accepted {
    profiles: Vec<Profile>,
    parallelism: i32,
    percentage_of_nodes_to_score: i32,
    pod_initial_backoff_seconds: i64,
    pod_max_backoff_seconds: i64,
    leader_election: BTreeMap<String, serde_json::Value>,
    client_connection: ClientConnection,
    extenders: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    scheduler_name: String,
    percentage_of_nodes_to_score: Option<i32>,
    plugins: BTreeMap<String, Vec<Plugin>>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(untagged)]
enum Plugin {
    Named(String),
    Weighted { name: String, weight: i32 },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientConnection {
    burst: i32,
    content_type: String,
    qps: f64,
}

fn golden() -> Vec<Golden> {
    let bytes: &[u8] = include_bytes!("golden/config.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Former versions are gone from kube-scheduler and read here.
const READ_HERE: [&str; 2] = ["v1beta2", "v1beta3"];

#[test]
fn accepted_files_resolve_as_in_kube_scheduler() {
    let mut count = 0;
    for case in golden() {
        let Expect::Accepted(expected) = &case.expect else { continue };
        let name = &case.name;
        let config = Config::parse(name, &case.config, &Defaults::kube_scheduler())
            .unwrap_or_else(|error| panic!("{name} is refused: {error}\n{}", case.config));
        assert_resolved(name, &config, expected);
        // What is written out means the same when it is read again.
        let written = config.to_yaml().unwrap();
        let again = Config::parse(name, &written, &Defaults::kube_scheduler())
            .unwrap_or_else(|error| panic!("{name} written out is refused: {error}\n{written}"));
        assert_resolved(name, &again, expected);
        for (before, after) in config.profiles.iter().zip(&again.profiles) {
            assert_eq!(before.args, after.args, "{name}");
        }
        count += 1;
    }
    assert_eq!(count, 129);
}

fn assert_resolved(name: &str, config: &Config, expected: &Accepted) {
    assert_eq!(config.parallelism, expected.parallelism, "{name}");
    assert_eq!(config.percentage_of_nodes_to_score, expected.percentage_of_nodes_to_score, "{name}");
    assert_eq!(config.pod_initial_backoff_seconds, expected.pod_initial_backoff_seconds, "{name}");
    assert_eq!(config.pod_max_backoff_seconds, expected.pod_max_backoff_seconds, "{name}");
    assert_eq!(config.extenders.len(), expected.extenders, "{name}");
    let election = serde_json::to_value(config.to_v1().leader_election).unwrap();
    assert_eq!(election, serde_json::to_value(&expected.leader_election).unwrap(), "{name}");
    assert_eq!(config.client_connection.burst, Some(expected.client_connection.burst), "{name}");
    assert_eq!(config.client_connection.qps, Some(expected.client_connection.qps), "{name}");
    assert_eq!(config.client_connection.content_type, expected.client_connection.content_type, "{name}");
    assert_eq!(config.profiles.len(), expected.profiles.len(), "{name}");
    for (profile, expected) in config.profiles.iter().zip(&expected.profiles) {
        assert_eq!(profile.scheduler_name, expected.scheduler_name, "{name}");
        assert_eq!(profile.percentage_of_nodes_to_score, expected.percentage_of_nodes_to_score, "{name}");
        for point in Point::ALL {
            // Placement is behind a feature gate and not in the recording.
            let Some(expected) = expected.plugins.get(point.as_config_key()) else {
                assert!(matches!(point, Point::PlacementGenerate | Point::PlacementScore), "{name}");
                continue;
            };
            let resolved: Vec<Plugin> =
                profile.plugins.at(point).iter().map(|plugin| recorded(point, plugin)).collect();
            assert_eq!(&resolved, expected, "{name} {point:?}");
        }
    }
}

fn recorded(point: Point, plugin: &EnabledPlugin) -> Plugin {
    match point {
        Point::Score => Plugin::Weighted { name: plugin.name.clone(), weight: plugin.weight },
        _ => Plugin::Named(plugin.name.clone()),
    }
}

/// Most recorded errors begin with a path or end in one; the rest say it in words, and the field is given here.
fn field_of(case: &str, stage: &str, error: &str) -> String {
    let by_hand = match case {
        "multipoint-no-queuesort" => "profiles[0].plugins.queueSort",
        "multipoint-no-bind" => "profiles[0].plugins.bind",
        "score-weight-2147483648" | "score-weight--3" | "score-weight-1.5" => {
            "profiles[0].plugins.score.enabled[0].weight"
        }
        "multipoint-weight-2147483648" | "multipoint-weight--3" | "multipoint-weight-1.5" => {
            "profiles[0].plugins.multiPoint.enabled[0].weight"
        }
        "duplicate-enabled" => "profiles[0].plugins.score.enabled[1].name",
        "duplicate-multipoint" => "profiles[0].plugins.multiPoint.enabled[0].name",
        "unknown-plugin" => "profiles[0].plugins.filter.enabled[0].name",
        "plugin-without-point" => "profiles[0].plugins.bind.enabled[0].name",
        "leader-leaseDuration-ten" => "leaderElection.leaseDuration",
        "args-wrong-kind" => "profiles[0].pluginConfig[0].args.kind",
        "args-unknown-field" => "profiles[0].pluginConfig[0].args.hardPodAffinityWait",
        "wrong-kind" | "no-kind" => "kind",
        "not-yaml" => "",
        _ => {
            if let Some((_, field)) = error.split_once("unknown field \"") {
                return field.trim_end_matches('"').to_owned();
            }
            if let Some(rest) = error.strip_prefix("initializing plugin \"NodeResourcesFit\": ") {
                return format!("profiles[0].pluginConfig[0].args.{}", rest.split(": ").next().unwrap());
            }
            assert_eq!(stage, "validate", "{case}: no rule for {error}");
            return error.split(": ").next().unwrap().to_owned();
        }
    };
    by_hand.to_owned()
}

#[test]
fn refused_files_are_refused_for_the_same_field() {
    let (mut count, mut read_here) = (0, 0);
    for case in golden() {
        let Expect::Refused { stage, errors } = &case.expect else { continue };
        let name = case.name.as_str();
        let result = Config::parse(name, &case.config, &Defaults::kube_scheduler());
        if READ_HERE.contains(&name) {
            let config = result.unwrap();
            assert!(config.warnings[0].contains("is read as kubescheduler.config.k8s.io/v1"), "{:?}", config.warnings);
            read_here += 1;
            continue;
        }
        let Err(refused) = result else { panic!("{name} is accepted") };
        for error in errors {
            let field = field_of(name, stage, error);
            // Upstream writes one Go field name, `Enabled`, among the JSON ones.
            let same = refused.errors().iter().any(|error| error.field.eq_ignore_ascii_case(&field));
            assert!(same, "{name}: {field:?} is not named in\n{refused}");
        }
        for error in refused.errors() {
            assert!(error.mark.is_some(), "{name}: no line in {error}");
        }
        count += 1;
    }
    assert_eq!((count, read_here), (66, 2));
}
