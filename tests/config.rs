//! Configuration files against what kube-scheduler v1.36.2 makes of them, and the messages of bad ones.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

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

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const OWN: &str = "apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\n";

/// The errors of a text that is refused, as they are printed.
fn errors(text: &str) -> Vec<String> {
    match Config::parse("f.yaml", text, &Defaults::plimsoll()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.errors().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn bad_files_and_their_messages() {
    let profile = |body: &str| format!("{HEAD}profiles:\n- schedulerName: a\n{body}");
    let rows: Vec<(String, &[&str])> = vec![
        (
            String::new(),
            &["f.yaml: the file is empty; a document of kind KubeSchedulerConfiguration or PlimsollConfiguration is expected"],
        ),
        (
            "# nothing\n---\n".to_owned(),
            &["f.yaml: the file is empty; a document of kind KubeSchedulerConfiguration or PlimsollConfiguration is expected"],
        ),
        ("- a\n".to_owned(), &["f.yaml:1:1: a document must be a mapping that begins with apiVersion and kind"]),
        (
            "apiVersion: v1\nkind: Pod\n".to_owned(),
            &["f.yaml:2:7: kind: must be KubeSchedulerConfiguration or PlimsollConfiguration, not \"Pod\""],
        ),
        (
            "kind: KubeSchedulerConfiguration\n".to_owned(),
            &["f.yaml:1:1: apiVersion: is required: kubescheduler.config.k8s.io/v1"],
        ),
        (
            format!("{HEAD}---\n{HEAD}"),
            &["f.yaml:4:1: kind: a second document of kind KubeSchedulerConfiguration; the first is in line 1, and one is allowed"],
        ),
        (
            format!("{HEAD}leaderElection:\n\tleaderElect: true\n"),
            &["f.yaml:4:1: not readable as YAML: a tab is used for indentation; use spaces"],
        ),
        (
            profile("\tplugins: {}\n"),
            &["f.yaml:5:1: not readable as YAML: a tab is used for indentation; use spaces"],
        ),
        ("a: [1".to_owned(), &["f.yaml:1:4: not readable as YAML: unclosed bracket '['"]),
        (
            format!("{HEAD}noSuchField: 1\n"),
            &["f.yaml:3:1: noSuchField: unknown field \"noSuchField\"; allowed here: apiVersion, kind, parallelism, \
               leaderElection, clientConnection, enableProfiling, enableContentionProfiling, percentageOfNodesToScore, \
               podInitialBackoffSeconds, podMaxBackoffSeconds, profiles, extenders, delayCacheUntilActive"],
        ),
        (
            format!("{HEAD}leaseDuration: 15s\nleaderElecton: {{}}\n"),
            &[
                "f.yaml:3:1: leaseDuration: unknown field \"leaseDuration\" here; it belongs under leaderElection",
                "f.yaml:4:1: leaderElecton: unknown field \"leaderElecton\"; did you mean \"leaderElection\"?",
            ],
        ),
        (
            profile("  hardPodAffinityWeight: 3\n"),
            &["f.yaml:5:3: profiles[0].hardPodAffinityWeight: unknown field \"hardPodAffinityWeight\" here; it belongs in \
               profiles[].pluginConfig[].args of InterPodAffinity"],
        ),
        (
            format!("{HEAD}healthzBindAddress: 0.0.0.0:10251\n"),
            &["f.yaml:3:1: healthzBindAddress: unknown field \"healthzBindAddress\"; it was removed: use the flag --http-address"],
        ),
        (
            format!("{HEAD}parallelism: 3\nparallelism: 4\n"),
            &["f.yaml:4:1: parallelism: field \"parallelism\" is written twice; the first is in line 3"],
        ),
        (
            profile("  plugins: {filter: {enabled: [{name: NodeResourceFit}]}}\n"),
            &["f.yaml:5:39: profiles[0].plugins.filter.enabled[0].name: unknown plugin \"NodeResourceFit\"; did you mean \
               \"NodeResourcesFit\"?"],
        ),
        (
            profile("  plugins: {filter: {enabled: [{name: Coscheduling}]}}\n"),
            &["f.yaml:5:39: profiles[0].plugins.filter.enabled[0].name: unknown plugin \"Coscheduling\"; known are \
               SchedulingGates, PrioritySort, NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, \
               NodeResourcesFit, VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone, PodTopologySpread, \
               InterPodAffinity, DynamicResources, DefaultPreemption, NodeResourcesBalancedAllocation, ImageLocality, \
               DefaultBinder, NodeDeclaredFeatures, GangScheduling, TopologyPlacementGenerator, PodGroupPodsCount, \
               TierDedication, MostAvailableCPU"],
        ),
        (
            profile("  plugins: {filter: {enabled: [{name: EBSLimits}]}}\n"),
            &["f.yaml:5:39: profiles[0].plugins.filter.enabled[0].name: plugin \"EBSLimits\" was removed from Kubernetes; \
               NodeVolumeLimits counts these volumes"],
        ),
        (
            profile("  plugins: {bind: {enabled: [{name: NodePorts}]}}\n"),
            &["f.yaml:5:37: profiles[0].plugins.bind.enabled[0].name: plugin \"NodePorts\" does not take part in bind, only in \
               preFilter, filter"],
        ),
        (
            profile("  plugins:\n    score:\n      enabled:\n      - name: NodeAffinity\n        weight: -3\n"),
            &["f.yaml:9:17: profiles[0].plugins.score.enabled[0].weight: must be between 0 (which means 1) and 2147483647, not \
               -3"],
        ),
        (
            format!("{HEAD}profiles:\n- schedulerName: a\n- schedulerName: a\n"),
            &["f.yaml:5:18: profiles[1].schedulerName: \"a\" is the name of profiles[0] already; names must differ"],
        ),
        (
            format!("{HEAD}leaderElection:\n  leaseDuration: 15x\n  retryPeriod: 2\n"),
            &[
                "f.yaml:4:18: leaderElection.leaseDuration: \"15x\" is not a duration: unknown unit \"x\"; units are h, m, s, \
                 ms, us and ns",
                "f.yaml:5:16: leaderElection.retryPeriod: must be a duration with a unit, such as 15s or 1m30s, not the number 2",
            ],
        ),
        (
            format!("{HEAD}parallelism: two\nleaderElection: {{leaderElect: \"true\"}}\nprofiles: {{}}\n"),
            &[
                "f.yaml:3:14: parallelism: must be a whole number, not the text \"two\"",
                "f.yaml:4:31: leaderElection.leaderElect: must be true or false, not the text \"true\"",
                "f.yaml:5:1: profiles: must be a list, not a mapping",
            ],
        ),
        (
            format!("{HEAD}profiles:\n- schedulerName: 5\n"),
            &["f.yaml:4:18: profiles[0].schedulerName: must be text, not the number 5; put it in quotes if it is meant as text"],
        ),
        (
            profile("  pluginConfig:\n  - name: NodeResourcesFit\n    args:\n      scoringStrategy: {}\n"),
            &["f.yaml:8:7: profiles[0].pluginConfig[0].args.scoringStrategy.type: is required"],
        ),
        (
            format!("{HEAD}---\n{OWN}workers: 0\ntieBreak: never\ncolour: red\n"),
            &[
                "f.yaml:6:10: workers: must be between 1 and 64, not 0",
                "f.yaml:7:11: tieBreak: must be one of random, name, not \"never\"",
                "f.yaml:8:1: colour: unknown field \"colour\"; allowed here: apiVersion, kind, paused, workers, tieBreak, \
                 seed, extenderParallelism, replaceDefaultScheduler, eventPolicy, preemption, memo, history, \
                 coexistence, mode, shadow",
            ],
        ),
        (
            format!(
                "{HEAD}---\n{OWN}coexistence:\n  refusalCooldown: 2h\n  headroom:\n  - {{}}\n  \
                 - {{nodeSelector: {{a/b/c: x}}, resources: {{cpu: 1x, cores: 1, memory: -1}}}}\n"
            ),
            &[
                "f.yaml:7:20: coexistence.refusalCooldown: must be between 0s, which switches it off, and 1h0m0s, not 2h0m0s",
                "f.yaml:9:5: coexistence.headroom[0].resources: is required: what is to stay free",
                "f.yaml:10:28: coexistence.headroom[1].nodeSelector.a/b/c: is no label name",
                "f.yaml:10:49: coexistence.headroom[1].resources.cpu: \"1x\" is not a quantity (such as 2, 100m, 1.5Gi or 3e6)",
                "f.yaml:10:60: coexistence.headroom[1].resources.cores: is no resource that pods ask for, such as cpu, \
                 memory or example.com/gpu",
                "f.yaml:10:71: coexistence.headroom[1].resources.memory: must not be negative",
            ],
        ),
        (
            format!(
                "{HEAD}---\n{OWN}mode: shadow\nshadow:\n  names: [a]\n  schedulerNames: [a, \"\", a]\n"
            ),
            &[
                "f.yaml:6:7: mode: must be one of Scheduler, Shadow, not \"shadow\"",
                "f.yaml:8:3: shadow.names: unknown field \"names\"; allowed here: schedulerNames",
                "f.yaml:9:23: shadow.schedulerNames[1]: must have between 1 and 253 characters, not 0",
                "f.yaml:9:27: shadow.schedulerNames[2]: is here twice: \"a\"",
            ],
        ),
        (
            format!("{HEAD}---\n{OWN}mode: Shadow\nshadow: {{schedulerNames: []}}\n"),
            &["f.yaml:7:10: shadow.schedulerNames: must be between 1 and 16 names, not 0"],
        ),
        (
            format!("{HEAD}---\n{OWN}coexistence: {{refusalCooldown: 30, headroom: [{{resources: {{cpu: true}}}}]}}\n"),
            &[
                "f.yaml:6:32: coexistence.refusalCooldown: must be a duration with a unit, such as 15s or 1m30s, not the \
                 number 30",
                "f.yaml:6:65: coexistence.headroom[0].resources.cpu: invalid type: boolean `true`, expected a quantity: \
                 a string or a number",
            ],
        ),
        (
            format!("{HEAD}workers: 4\n"),
            &["f.yaml:3:1: workers: unknown field \"workers\" here; it belongs in a document of its own, of kind \
               PlimsollConfiguration"],
        ),
        (
            format!("{HEAD}parallelism: !foo 3\n"),
            &["f.yaml:3:19: parallelism: tags (words that begin with '!') are not allowed"],
        ),
        (
            "{\n\t\"apiVersion\": \"kubescheduler.config.k8s.io/v1\",\n\t\"kind\": \"KubeSchedulerConfiguration\",\n\t\"parallelism\": 0\n}\n"
                .to_owned(),
            &["f.yaml:4:17: parallelism: must be 1 or more, not 0"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(errors(&text), expected, "{text}");
    }
}

#[test]
fn bounds_hold() {
    let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{text}a{level}: &a{level} [{below}]\n")
    });
    let chain: String = (1..200)
        .fold("a0: &a0 [x]\n".to_owned(), |text, level| format!("{text}a{level}: &a{level} [*a{}]\n", level - 1));
    for (text, part) in [
        ("a: b\n".repeat(300_000), "the file is larger than 1024 KiB"),
        (bomb, "too large once its aliases are written out"),
        (chain, "nested more than 64 deep"),
        ("[".repeat(100_000), "not readable as YAML"),
        ("{a: ".repeat(10_000), "not readable as YAML"),
        (format!("{HEAD}{}: 1\n", "x".repeat(600)), "a field name is longer than 512 bytes"),
        ("a: &a\n  b: *a\n".to_owned(), "refers to the value that it stands in"),
        ("\u{7f}ELF\u{1}\u{1}\0\0".to_owned(), "not readable as YAML"),
    ] {
        let errors = errors(&text);
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
    }
    let many = errors(&format!("{HEAD}{}", (0..500).map(|index| format!("x{index}: 1\n")).collect::<String>()));
    assert!(many.len() <= 101, "{}", many.len());
    let plugins = "{name: NoSuchPluginHere}, ".repeat(1_000);
    let many = errors(&format!("{HEAD}profiles: [{{plugins: {{filter: {{enabled: [{plugins}]}}}}}}]\n"));
    assert_eq!(many.len(), 101);
    assert_eq!(many[100], "f.yaml: 900 more errors");
    let rubbish: &[u8] = b"kind: x\nab\xff\xfe\0";
    let error = Config::read("f.yaml", rubbish, &Defaults::plimsoll()).unwrap_err();
    assert_eq!(error.to_string(), "f.yaml:2:3: the file is not text in UTF-8");
}

#[test]
fn a_missing_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.yaml");
    let error = Config::load(&path, &Defaults::plimsoll()).unwrap_err();
    assert!(matches!(error, ConfigErrors::Read { .. }));
    assert_eq!(error.to_string(), format!("reading configuration file {}", path.display()));
}

#[test]
fn defaults_of_this_scheduler() {
    let config = Config::default();
    assert_eq!(config.profiles.len(), 1);
    assert_eq!(config.profiles[0].scheduler_name, "plimsoll");
    assert_eq!(config.leader_election.resource_name, "plimsoll");
    assert_eq!(config.leader_election.resource_namespace, None);
    assert_eq!((config.client_connection.qps, config.client_connection.burst), (None, None));
    assert_eq!(config.plimsoll.workers, None);
    assert_eq!(config.plimsoll.tie_break, TieBreak::Random);
    assert!(config.unsupported(&|_| false).is_empty(), "the default set asks for nothing by name");
    assert!(config.refusals().is_empty());
    let written = Config::parse("f.yaml", HEAD, &Defaults::plimsoll()).unwrap();
    assert_eq!(written.to_v1(), config.to_v1());
    // Written out, the default set is named plugin by plugin, which still asks for nothing by name.
    let again = Config::parse("f.yaml", &config.to_yaml().unwrap(), &Defaults::plimsoll()).unwrap();
    assert_eq!(again.to_v1(), config.to_v1());
    assert_eq!(again.warnings, Vec::<String>::new());
    assert!(again.unsupported(&|_| false).is_empty());
}

#[test]
fn the_second_document_is_read() {
    let text = format!("{OWN}workers: 3\ntieBreak: name\nseed: 7\n---\n{HEAD}parallelism: 2\n");
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    assert_eq!(config.plimsoll.workers, Some(3));
    assert_eq!(config.plimsoll.tie_break, TieBreak::Name);
    assert_eq!(config.parallelism, 2);
    assert_eq!(config.warnings, ["f.yaml:5:7: seed: has no effect with tieBreak: name"]);
}

#[test]
fn what_is_done_about_others_is_read_and_written() {
    let config = Config::default();
    assert_eq!(config.plimsoll.coexistence.refusal_cooldown, Duration::from_secs(30));
    assert!(config.headroom().0.is_empty());
    let text = format!(
        "{HEAD}---\n{OWN}coexistence:\n  refusalCooldown: 0s\n  headroom:\n  \
         - {{nodeSelector: {{pool: batch}}, resources: {{cpu: 500m, memory: 1Gi, example.com/gpu: 2}}}}\n  \
         - {{resources: {{cpu: 1.5}}}}\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    assert_eq!(config.plimsoll.coexistence.refusal_cooldown, Duration::ZERO);
    let headroom = config.headroom();
    let [batch, all] = &*headroom.0 else { panic!("{headroom:?}") };
    assert_eq!(&*batch.node_selector, [("pool".into(), "batch".into())]);
    assert_eq!((batch.free.milli_cpu, batch.free.memory_bytes, batch.free.get("example.com/gpu")), (500, 1 << 30, 2));
    assert_eq!((all.node_selector.len(), all.free.milli_cpu, all.free.memory_bytes), (0, 1_500, 0));
    let again = Config::parse("f.yaml", &config.to_yaml().unwrap(), &Defaults::plimsoll()).unwrap();
    assert_eq!(again.plimsoll, config.plimsoll);
}

#[test]
fn whom_to_shadow_is_read_and_written() {
    let read = |lines: &str| Config::parse("f.yaml", &format!("{HEAD}---\n{OWN}{lines}"), &Defaults::plimsoll());
    let config = Config::default();
    assert!(!config.is_shadow());
    assert_eq!(config.scheduler_names(), ["plimsoll"]);
    let shadow = read("mode: Shadow\n").unwrap();
    assert!(shadow.is_shadow() && shadow.warnings.is_empty());
    assert_eq!(shadow.scheduler_names(), ["default-scheduler"]);
    let shadow = read("mode: Shadow\nshadow: {schedulerNames: [volcano, plimsoll]}\n").unwrap();
    assert_eq!(shadow.scheduler_names(), ["volcano", "plimsoll"]);
    assert_eq!(shadow.profile_for("volcano").map(|profile| &*profile.scheduler_name), Some("plimsoll"));
    for config in [config, shadow] {
        let again = Config::parse("f.yaml", &config.to_yaml().unwrap(), &Defaults::plimsoll()).unwrap();
        assert_eq!((again.plimsoll, again.warnings), (config.plimsoll, Vec::new()));
    }
    let idle = read("shadow: {schedulerNames: [volcano]}\n").unwrap();
    assert_eq!(idle.scheduler_names(), ["plimsoll"]);
    assert_eq!(idle.warnings, ["f.yaml:6:1: shadow: has no effect without mode: Shadow"]);
}

#[test]
fn a_shadow_may_have_any_names_and_asks_no_extender() {
    let text = format!(
        "{HEAD}extenders: [{{urlPrefix: \"http://h/x\", filterVerb: f}}]\n\
         leaderElection: {{resourceName: kube-scheduler, resourceNamespace: kube-system}}\n\
         profiles: [{{schedulerName: default-scheduler}}, {{schedulerName: mine}}]\n\
         ---\n{OWN}mode: Shadow\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    assert_eq!(config.refusals().len(), 0, "{:?}", config.refusals());
    assert_eq!(config.warnings, ["f.yaml:3:1: extenders: are not asked in mode Shadow"]);
    let policy = config.evictions();
    assert_eq!(policy.schedulers.unwrap(), [plimsoll_framework::intern::Istr::new("default-scheduler")].into());
}

#[test]
fn what_is_not_built_or_not_allowed_is_named_with_its_line() {
    let text = format!(
        "{HEAD}percentageOfNodesToScore: 50\n\
         delayCacheUntilActive: true\n\
         extenders: [{{urlPrefix: \"h/x\", filterVerb: f}}]\n\
         leaderElection: {{resourceName: kube-scheduler, resourceNamespace: kube-system, retryPeriod: 9s}}\n\
         profiles:\n\
         - schedulerName: default-scheduler\n  \
           percentageOfNodesToScore: 100\n  \
           plugins:\n    \
             multiPoint: {{enabled: [{{name: NodeName}}, {{name: VolumeZone}}]}}\n    \
             placementScore: {{enabled: [{{name: NodeResourcesFit}}]}}\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    let print = |errors: Vec<plimsoll::config::ConfigError>| -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        print(config.unsupported(&|plugin| plugin != "VolumeZone")),
        [
            "f.yaml:4:24: delayCacheUntilActive: is not supported yet: standbys keep their caches warm",
            "f.yaml:5:25: extenders[0].urlPrefix: is no URL: it lacks http:// or https://",
            "f.yaml:11:53: profiles[0].plugins.multiPoint.enabled[1].name: plugin \"VolumeZone\" is not supported yet",
            "f.yaml:12:39: profiles[0].plugins.placementScore.enabled[0].name: placement of groups of pods is not supported yet",
        ]
    );
    let own = "of the cluster's own scheduler; set replaceDefaultScheduler: true in the PlimsollConfiguration if this scheduler \
               is to replace it";
    assert_eq!(
        print(config.refusals()),
        [
            "f.yaml:6:1: leaderElection.renewDeadline: must be longer than 1.2 times retryPeriod (9s), not 10s"
                .to_owned(),
            format!("f.yaml:6:32: leaderElection.resourceName: kube-system/kube-scheduler is the lease {own}"),
            format!("f.yaml:8:18: profiles[0].schedulerName: \"default-scheduler\" is the name {own}"),
        ]
    );
    let allowed = format!("{text}---\n{OWN}replaceDefaultScheduler: true\n");
    let config = Config::parse("f.yaml", &allowed, &Defaults::plimsoll()).unwrap();
    assert_eq!(config.refusals().len(), 1);
    // Flags come after the file.
    let mut config = Config::default();
    config.leader_election.resource_name = "kube-scheduler".to_owned();
    config.leader_election.resource_namespace = Some("kube-system".to_owned());
    config.leader_election.lease_duration = config.leader_election.renew_deadline;
    let fields: Vec<String> = config.refusals().into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["leaderElection.resourceName", "leaderElection.leaseDuration"]);
}

#[test]
fn secrets_are_not_shown() {
    let text = format!(
        "{HEAD}extenders:\n- urlPrefix: https://user:passw0rd@h:8443/x?token=t0ken\n  filterVerb: f\n  enableHTTPS: true\n  \
         tlsConfig: {{keyData: c2VjcmV0, certData: Y2VydA==, caData: Y2E0NDQ=, certFile: /tls.crt, keyFile: /tls.key}}\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    let tls = config.extenders[0].tls_config.as_ref().unwrap();
    assert_eq!(tls.key_data.expose(), b"secret");
    let shown = [config.to_yaml().unwrap(), config.to_resolved().to_string(), format!("{:?}", config.to_v1())];
    for shown in shown {
        for secret in ["c2VjcmV0", "Y2VydA==", "Y2E0NDQ=", "passw0rd", "t0ken"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("/tls.crt") && shown.contains("https://<redacted>@h:8443/x?<redacted>"), "{shown}");
    }
    let refused = errors(&format!("{HEAD}extenders: [{{tlsConfig: {{keyData: \"!secret!\"}}}}]\n"));
    assert_eq!(refused, ["f.yaml:3:35: extenders[0].tlsConfig.keyData: must be base64"]);
}

#[test]
fn arguments_are_typed_and_defaulted() {
    let text = format!(
        "{HEAD}extenders:\n- managedResources: [{{name: example.com/fpga, ignoredByScheduler: true}}]\n\
         profiles:\n- schedulerName: a\n  pluginConfig:\n  \
         - name: NodeResourcesFit\n    args: {{apiVersion: kubescheduler.config.k8s.io/v1, kind: NodeResourcesFitArgs, \
         ignoredResources: [example.com/gpu], scoringStrategy: {{type: MostAllocated, resources: [{{name: cpu, weight: 0}}]}}}}\n  \
         - name: DynamicResources\n    args: {{filterTimeout: 1m30s}}\n  \
         - name: Mine\n    args: {{a: [1, x]}}\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    let args = &config.profiles[0].args;
    let PluginArgs::NodeResourcesFit(fit) = &args["NodeResourcesFit"] else { panic!("{args:?}") };
    assert_eq!(fit.ignored_resources, ["example.com/fpga"]);
    assert_eq!(fit.scoring_strategy.resources[0].weight, 1);
    let PluginArgs::DynamicResources(dynamic) = &args["DynamicResources"] else { panic!("{args:?}") };
    assert_eq!(dynamic.filter_timeout.to_std().as_secs(), 90);
    assert_eq!(dynamic.binding_timeout.to_std().as_secs(), 600);
    assert_eq!(args["Mine"], PluginArgs::Other(serde_json::json!({"a": [1, "x"]})));
    assert_eq!(args["VolumeBinding"], PluginArgs::default_for("VolumeBinding").unwrap());
}

#[test]
fn aliases_and_merge_keys_are_read() {
    let text = format!(
        "{HEAD}profiles:\n- &first\n  schedulerName: a\n  plugins: {{score: {{disabled: [{{name: \"*\"}}]}}}}\n\
         - <<: *first\n  schedulerName: b\n"
    );
    let config = Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap();
    assert_eq!(config.profiles[1].scheduler_name, "b");
    assert!(config.profiles[1].plugins.at(Point::Score).is_empty());
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    for (index, case) in golden().into_iter().enumerate() {
        let text = &case.config;
        for (cut, _) in text.char_indices().skip(index % 23).step_by(23) {
            // Cut off, with a piece missing, with a piece too many, and with a value where none belongs.
            let (before, after) = text.split_at(cut);
            let rest = after.char_indices().nth(5).map_or("", |(end, _)| &after[end..]);
            for damaged in [
                before.to_owned(),
                format!("{before}{rest}"),
                format!("{before}[{after}"),
                format!("{before}: *x\n{after}"),
            ] {
                if let Err(error) = Config::parse("f.yaml", &damaged, &Defaults::kube_scheduler()) {
                    assert!(!error.errors().is_empty(), "{damaged}");
                }
            }
        }
    }
}

#[test]
fn what_preemption_heeds_is_read() {
    use plimsoll::config::{Budgets, Preemption};
    let read = |lines: &str| {
        let text = format!("{HEAD}---\n{OWN}{lines}");
        Config::parse("f.yaml", &text, &Defaults::plimsoll()).unwrap().plimsoll.preemption
    };
    let strict = Preemption { pod_disruption_budgets: Budgets::Strict, other_schedulers: true };
    assert_eq!(read("preemption: {podDisruptionBudgets: Strict, otherSchedulers: true}\n"), strict);
    let default = Preemption { pod_disruption_budgets: Budgets::BestEffort, other_schedulers: false };
    assert_eq!((read(""), read("preemption: {}\n")), (default, default));
}
