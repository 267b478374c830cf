//! The rules of reference section 11, on nodes that differ in CPU alone.

use std::cell::RefCell;

use plimsoll_framework::cluster_event::Object;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::plugin::{EvictionPolicy, RejectedBy};
use plimsoll_framework::table::Table;
use serde_json::{Value, json};

use super::*;
use crate::node_resources_fit::NodeResourcesFit;
use crate::testing;

/// Pods of one CPU-second each are of no use here: `cpu` is in thousandths, `start` in minutes of an hour.
struct Running {
    name: &'static str,
    node: &'static str,
    milli_cpu: i64,
    priority: i32,
    start: Option<u32>,
    app: Option<&'static str>,
    terminating: bool,
    preempted: bool,
}

fn running(name: &'static str, node: &'static str, milli_cpu: i64, priority: i32) -> Running {
    Running { name, node, milli_cpu, priority, start: None, app: None, terminating: false, preempted: false }
}

impl Running {
    fn since(self, minute: u32) -> Self {
        Self { start: Some(minute), ..self }
    }
    fn of(self, app: &'static str) -> Self {
        Self { app: Some(app), ..self }
    }
    fn leaving(self, preempted: bool) -> Self {
        Self { terminating: true, preempted, ..self }
    }
    fn json(&self) -> Value {
        let mut pod = pod(self.milli_cpu, self.priority);
        pod["metadata"] = json!({"name": self.name, "uid": self.name, "namespace": "default"});
        pod["spec"]["nodeName"] = self.node.into();
        if let Some(minute) = self.start {
            pod["status"]["startTime"] = format!("2026-01-01T00:{minute:02}:00Z").into();
        }
        if let Some(app) = self.app {
            pod["metadata"]["labels"] = json!({"app": app});
        }
        if self.terminating {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T01:00:00Z".into();
        }
        if self.preempted {
            pod["status"]["conditions"] =
                json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
        }
        pod
    }
}

fn pod(milli_cpu: i64, priority: i32) -> Value {
    json!({
        "metadata": {"name": "p", "uid": "p", "namespace": "default"},
        "spec": {"priority": priority, "containers": [{"resources": {"requests": {"cpu": format!("{milli_cpu}m")}}}]},
        "status": {}
    })
}

/// Nodes of one CPU each.
fn cluster(nodes: &[&str], pods: &[Running], budgets: &[(&str, Option<&str>, i64, &[&str])]) -> Table {
    let mut table = Table::default();
    for name in nodes {
        let node =
            json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "9"}}});
        table.set_node(Arc::new(testing::node(node)));
    }
    for running in pods {
        table.add_pod(&running.node.into(), Arc::new(testing::pod(running.json())));
    }
    for (name, app, allowed, disrupted) in budgets {
        let selector = app.map(|app| json!({"matchLabels": {"app": app}})).unwrap_or_else(|| json!({}));
        let gone: serde_json::Map<String, Value> =
            disrupted.iter().map(|name| ((*name).to_owned(), "2026-01-01T00:00:00Z".into())).collect();
        let budget =
            json!({"spec": {"selector": selector}, "status": {"disruptionsAllowed": allowed, "disruptedPods": gone}});
        let kind = KindRef::of::<PodDisruptionBudgets>();
        let key = ObjectKey { namespace: "default".into(), name: (*name).into() };
        table.cluster_mut().set_object(
            KindId::of::<PodDisruptionBudgets>(),
            key,
            Some((kind.decode)(&budget).unwrap()),
        );
    }
    table
}

fn ask(table: &Table, asked: &Value, args: DefaultPreemptionArgs) -> Result<(String, Vec<String>), String> {
    match say(table, asked, args, (&EvictionPolicy::default(), ExtendersSay::Nothing)).unwrap() {
        PostFilterVerdict::Nominate { node, victims } => {
            Ok((node.to_string(), victims.iter().map(|v| v.key.name.to_string()).collect()))
        }
        PostFilterVerdict::Ask(candidates) => panic!("there is nobody to ask about {candidates:?}"),
        PostFilterVerdict::Reject { rejection, .. } | PostFilterVerdict::Forbid(rejection) => Err(rejection.reason),
    }
}

fn say(
    table: &Table,
    asked: &Value,
    args: DefaultPreemptionArgs,
    (policy, extenders): (&EvictionPolicy, ExtendersSay<'_>),
) -> Result<PostFilterVerdict, PluginError> {
    let (asked, view) = (testing::pod(asked.clone()), table.view());
    let fit = Extensions::of(NodeResourcesFit::default()).filter().done();
    let bound = fit.filter.unwrap().bind(&asked, view).unwrap();
    let fits = |row: Row, overlay: &Overlay| {
        let verdict = bound.one(view, Some(overlay), row);
        let (code, reasons) = (verdict.code(), bound.reasons(verdict.reasons()));
        if verdict.fits() { Ok(()) } else { Err(RejectedBy { plugin: "NodeResourcesFit", code, reasons }) }
    };
    let code = |row: Row| view.node(row).map(|_| bound.one(view, None, row).code());
    let context = PostFilterContext {
        view,
        not_asked: &[],
        code: &code,
        fits: &fits,
        shortcuts: &(),
        draw: 0,
        policy,
        passes: &|row| bound.one(view, None, row).fits(),
        extenders,
    };
    DefaultPreemption::new(args).post_filter(&asked, &context)
}

fn victims(nodes: &[&str], pods: &[Running], asked: &Value) -> Result<(String, Vec<String>), String> {
    ask(&cluster(nodes, pods, &[]), asked, DefaultPreemptionArgs::default())
}

fn chosen(node: &str, victims: &[&str]) -> Result<(String, Vec<String>), String> {
    Ok((node.to_owned(), victims.iter().map(|v| (*v).to_owned()).collect()))
}

#[test]
fn who_may_not_even_look() {
    let taken = || vec![running("low", "a", 900, 1)];
    let mut never = pod(500, 10);
    never["spec"]["preemptionPolicy"] = "Never".into();
    assert_eq!(
        victims(&["a"], &taken(), &never),
        Err("preemption: not eligible due to preemptionPolicy=Never.".to_owned())
    );
    let mut nominated = pod(500, 10);
    nominated["status"]["nominatedNodeName"] = "a".into();
    let waits = Err("preemption: not eligible due to a terminating pod on the nominated node.".to_owned());
    assert_eq!(victims(&["a"], &[running("low", "a", 900, 1).leaving(true)], &nominated), waits);
    // Somebody else is deleting it, or it is as important: nothing is waited for.
    assert_eq!(victims(&["a"], &[running("low", "a", 900, 1).leaving(false)], &nominated), chosen("a", &["low"]));
    let equal = [running("low", "a", 400, 1), running("peer", "a", 500, 10).leaving(true)];
    assert_eq!(victims(&["a"], &equal, &nominated), chosen("a", &["low"]));
    // The nominated node can never do: look elsewhere.
    let mut large = pod(1_500, 10);
    large["status"]["nominatedNodeName"] = "a".into();
    assert_eq!(
        victims(&["a"], &[running("low", "a", 900, 1).leaving(true)], &large),
        Err("preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.".to_owned())
    );
}

#[test]
fn as_few_and_as_unimportant_as_will_do() {
    // All are imagined away; the most important come back first, for as long as there is room.
    let pods = || {
        vec![
            running("five", "a", 300, 5),
            running("one", "a", 300, 1),
            running("three", "a", 300, 3),
            running("peer", "a", 100, 10),
        ]
    };
    assert_eq!(victims(&["a"], &pods(), &pod(300, 10)), chosen("a", &["one"]));
    assert_eq!(victims(&["a"], &pods(), &pod(400, 10)), chosen("a", &["three", "one"]));
    assert_eq!(victims(&["a"], &pods(), &pod(900, 10)), chosen("a", &["five", "three", "one"]));
    assert_eq!(
        victims(&["a"], &pods(), &pod(950, 10)),
        Err("preemption: 0/1 nodes are available: 1 Insufficient cpu.".to_owned())
    );
    // A pod that was kept although a more important one had to go: it is small.
    let uneven = [running("large", "a", 800, 5), running("small", "a", 100, 1)];
    assert_eq!(victims(&["a"], &uneven, &pod(500, 10)), chosen("a", &["large"]));
    // Of equal priority the one that has run longer stays; one that has not started goes first.
    let old = [running("new", "a", 500, 1).since(30), running("old", "a", 500, 1).since(10)];
    assert_eq!(victims(&["a"], &old, &pod(400, 10)), chosen("a", &["new"]));
    let unstarted = [running("unstarted", "a", 500, 1), running("new", "a", 500, 1).since(30)];
    assert_eq!(victims(&["a"], &unstarted, &pod(400, 10)), chosen("a", &["unstarted"]));
    // Of several that have not started the one that came last to the node stays; otherwise the one that came first.
    let both = || vec![running("first", "a", 500, 1), running("second", "a", 500, 1)];
    assert_eq!(victims(&["a"], &both(), &pod(400, 10)), chosen("a", &["first"]));
    let same = both().into_iter().map(|p| p.since(3)).collect::<Vec<_>>();
    assert_eq!(victims(&["a"], &same, &pod(400, 10)), chosen("a", &["second"]));
}

#[test]
fn what_is_said_of_every_node() {
    let pods = [running("peer", "b", 900, 10), running("x", "c", 600, 10), running("y", "c", 300, 1)];
    let message = "preemption: 0/3 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming \
                   pod, 1 Preemption is not helpful for scheduling.";
    let table = cluster(&["b", "c", "d"], &pods, &[]);
    // Node d would do; where a plugin has turned it away for good it is not tried.
    let (asked, view) = (testing::pod(pod(500, 10)), table.view());
    let fit = Extensions::of(NodeResourcesFit::default()).filter().done();
    let bound = fit.filter.unwrap().bind(&asked, view).unwrap();
    let fits = |row: Row, overlay: &Overlay| {
        let verdict = bound.one(view, Some(overlay), row);
        let (code, reasons) = (verdict.code(), bound.reasons(verdict.reasons()));
        if verdict.fits() { Ok(()) } else { Err(RejectedBy { plugin: "NodeResourcesFit", code, reasons }) }
    };
    let code = |row: Row| {
        let name = &view.node(row)?.name;
        Some(if **name == *"d" { Code::UnschedulableAndUnresolvable } else { Code::Unschedulable })
    };
    let context = PostFilterContext {
        view,
        not_asked: &[],
        code: &code,
        fits: &fits,
        shortcuts: &(),
        draw: 7,
        policy: &EvictionPolicy::default(),
        passes: &|_| false,
        extenders: ExtendersSay::Nothing,
    };
    let verdict = DefaultPreemption::default().post_filter(&asked, &context).unwrap();
    let rejection = Rejection::unschedulable(message);
    assert_eq!(verdict, PostFilterVerdict::Reject { rejection, clears_nomination: true });
    // A question that cannot be answered is a fault where there is no candidate, and none where there is one.
    let calls = RefCell::new(0);
    let failing = |row: Row, overlay: &Overlay| {
        *calls.borrow_mut() += 1;
        let named = &view.node(row).unwrap().name;
        let failed = RejectedBy { plugin: "X", code: Code::Error, reasons: vec!["lost".to_owned()] };
        if **named == *"c" { Err(failed) } else { fits(row, overlay) }
    };
    let context = PostFilterContext {
        view,
        not_asked: &[],
        code: &code,
        fits: &failing,
        shortcuts: &(),
        draw: 7,
        policy: &EvictionPolicy::default(),
        passes: &|_| false,
        extenders: ExtendersSay::Nothing,
    };
    let error = DefaultPreemption::default().post_filter(&asked, &context).unwrap_err();
    assert_eq!(error.to_string(), "preemption: lost");
    assert!(*calls.borrow() > 0);
}

#[test]
fn the_node_whose_clearing_does_the_least_harm() {
    let rows: [(&str, Vec<Running>, &str, &[&str]); 5] = [
        (
            "the lowest of the highest priorities",
            vec![running("a1", "a", 900, 5), running("b1", "b", 500, 4), running("b2", "b", 400, 4)],
            "b",
            &["b1", "b2"],
        ),
        (
            "then the smallest sum, negative priorities counted as some harm",
            vec![running("a1", "a", 500, 4), running("a2", "a", 400, -9), running("b1", "b", 900, 4)],
            "b",
            &["b1"],
        ),
        (
            "then the latest of the earliest starts of the most important",
            vec![
                running("a1", "a", 500, 4).since(10),
                running("a2", "a", 400, 4).since(50),
                running("b1", "b", 500, 4).since(20),
                running("b2", "b", 400, 4).since(20),
            ],
            "b",
            &["b1", "b2"],
        ),
        (
            "starts of less important victims do not count",
            vec![
                running("a1", "a", 500, 4).since(30),
                running("a2", "a", 400, 3).since(0),
                running("b1", "b", 500, 4).since(20),
                running("b2", "b", 400, 3).since(59),
            ],
            "a",
            &["a1", "a2"],
        ),
        (
            "not started yet is later than any start",
            vec![running("a1", "a", 900, 4).since(59), running("b1", "b", 900, 4)],
            "b",
            &["b1"],
        ),
    ];
    for (name, pods, node, expect) in rows {
        assert_eq!(victims(&["a", "b"], &pods, &pod(900, 10)), chosen(node, expect), "{name}");
    }
}

#[test]
fn budgets_are_broken_last() {
    let pods = || {
        vec![
            running("guarded-1", "a", 300, 1).of("db"),
            running("guarded-2", "a", 300, 2).of("db"),
            running("free", "a", 300, 3).of("web"),
        ]
    };
    let decide = |budgets: &[(&str, Option<&str>, i64, &[&str])], milli_cpu| {
        ask(&cluster(&["a"], &pods(), budgets), &pod(milli_cpu, 10), DefaultPreemptionArgs::default())
    };
    assert_eq!(decide(&[], 400), chosen("a", &["guarded-1"]));
    // Protected pods come back first, important as the others may be.
    assert_eq!(decide(&[("db", Some("db"), 0, &[])], 400), chosen("a", &["free"]));
    // The budget allows one: by importance that is guarded-2, so guarded-1 is the one that breaks it.
    assert_eq!(decide(&[("db", Some("db"), 1, &[])], 400), chosen("a", &["guarded-2"]));
    assert_eq!(decide(&[("db", Some("db"), 2, &[])], 400), chosen("a", &["guarded-1"]));
    // One that is counted as gone already is nobody's loss.
    assert_eq!(decide(&[("db", Some("db"), 0, &["guarded-1"])], 400), chosen("a", &["guarded-1"]));
    // Of two budgets each is asked.
    assert_eq!(decide(&[("x", Some("db"), 5, &[]), ("y", Some("db"), 0, &[])], 400), chosen("a", &["free"]));
    // An empty selector protects nobody.
    assert_eq!(decide(&[("all", None, 0, &[])], 400), chosen("a", &["guarded-1"]));
    // Where nothing else will do, budgets are broken; the node that breaks none is preferred to all others.
    assert_eq!(decide(&[("db", Some("db"), 0, &[])], 900), chosen("a", &["free", "guarded-2", "guarded-1"]));
    let both = [running("guarded", "a", 900, 1).of("db"), running("dear", "b", 900, 9)];
    let table = cluster(&["a", "b"], &both, &[("db", Some("db"), 0, &[])]);
    assert_eq!(ask(&table, &pod(900, 10), DefaultPreemptionArgs::default()), chosen("b", &["dear"]));
    // Pods without labels are in no budget.
    let selector = LabelSelector::default();
    let all = PodDisruptionBudget { selector: Some(selector), ..PodDisruptionBudget::default() };
    assert!(!protects(&all, &testing::pod(running("x", "a", 1, 1).json())));
}

#[test]
fn enough_candidates_are_enough() {
    let rows = [((10, 100), 50, 50), ((10, 100), 500, 100), ((10, 100), 5_000, 500), ((0, 1), 9, 1), ((100, 0), 9, 9)];
    for ((percentage, absolute), nodes, expect) in rows {
        let args = DefaultPreemptionArgs {
            min_candidate_nodes_percentage: percentage,
            min_candidate_nodes_absolute: absolute,
        };
        assert_eq!(wanted(&args, nodes), expect);
    }
    let pods = [running("a1", "a", 900, 1), running("b1", "b", 900, 1), running("c1", "c", 900, 1)];
    let args = DefaultPreemptionArgs { min_candidate_nodes_percentage: 0, min_candidate_nodes_absolute: 1 };
    let (node, victims) = ask(&cluster(&["a", "b", "c"], &pods, &[]), &pod(900, 10), args).unwrap();
    assert_eq!((node.as_str(), victims), ("a", vec!["a1".to_owned()]), "the first that will do, from the offset on");
}

#[test]
fn budgets_that_are_strict_forbid_and_what_relaxes_them_is_heard() {
    let strict = EvictionPolicy { strict_budgets: true, ..EvictionPolicy::default() };
    let pods = [running("guarded", "a", 900, 1).of("db")];
    let forbids = |budgets: &[(&str, Option<&str>, i64, &[&str])]| {
        let table = cluster(&["a"], &pods, budgets);
        let answer =
            say(&table, &pod(900, 10), DefaultPreemptionArgs::default(), (&strict, ExtendersSay::Nothing)).unwrap();
        matches!(answer, PostFilterVerdict::Forbid(_))
    };
    assert!(forbids(&[("db", Some("db"), 0, &[])]) && !forbids(&[("db", Some("db"), 1, &[])]) && !forbids(&[]));
    let budget = |app: &str, allowed: i64, disrupted: &[&str]| PodDisruptionBudget {
        selector: LabelSelector::compile(&serde_json::from_value(json!({"matchLabels": {"app": app}})).unwrap()).ok(),
        disruptions_allowed: allowed,
        disrupted_pods: disrupted.iter().map(|name| (*name).into()).collect(),
    };
    let (event, waits) = (ClusterEvent::new(EventResource::Pod, Actions::UPDATE), testing::pod(pod(900, 10)));
    let hint = |change: &Change<'_>| DefaultPreemption::default().hint(&waits, &event, change) == QueueingHint::Queue;
    let old = budget("db", 1, &["x"]);
    for (what, new, worth_it) in [
        ("gone", None, true),
        ("more may go", Some(budget("db", 2, &["x"])), true),
        ("fewer may go", Some(budget("db", 0, &["x"])), false),
        ("other pods", Some(budget("web", 1, &["x"])), true),
        ("one is counted as gone", Some(budget("db", 1, &["x", "y"])), true),
        ("one is counted as there again", Some(budget("db", 1, &[])), false),
    ] {
        let new = new.as_ref().map(|new| Object::Other(new as &(dyn std::any::Any + Send + Sync)));
        assert_eq!(hint(&Change { old: Some(Object::Other(&old)), new }), worth_it, "{what}");
    }
    let is = |priority: i32, app: &'static str| testing::pod(running("p", "a", 1, priority).of(app).json());
    for (priority, app, worth_it) in [(1, "web", true), (10, "web", false), (1, "db", false)] {
        let (old, new) = (is(priority, "db"), is(priority, app));
        let change = Change { old: Some(Object::Pod(&old)), new: Some(Object::Pod(&new)) };
        assert_eq!(hint(&change), worth_it, "{priority} {app}");
    }
    assert!(!hint(&Change { old: Some(Object::Pod(&is(1, "db"))), new: None }), "other plugins tell what that means");
}

// --- 11.5: extenders ---

#[test]
fn extenders_are_asked_about_all_candidates_and_the_best_of_what_they_leave_is_cleared() {
    let pods = [running("x", "a", 900, 3), running("y", "b", 900, 1), running("z", "b", 100, 2)];
    let table = cluster(&["a", "b", "c"], &pods, &[]);
    let (asked, args) = (pod(600, 10), DefaultPreemptionArgs::default());
    let verdict =
        |extenders: ExtendersSay<'_>| say(&table, &asked, args.clone(), (&EvictionPolicy::default(), extenders));
    let running = |name: &str| {
        let view = table.view();
        view.rows().flat_map(|row| view.pods(row)).find(|p| &*p.key.name == name).map(Arc::clone).unwrap()
    };
    let candidate = |node: &str, victims: &[&str], pdb_violations| Candidate {
        node: node.into(),
        victims: victims.iter().map(|name| running(name)).collect(),
        pdb_violations,
    };
    let mut expect = vec![candidate("a", &["x"], 0), candidate("b", &["y"], 0)];
    expect.sort_by_key(|c| c.node.to_string());
    let Ok(PostFilterVerdict::Ask(mut candidates)) = verdict(ExtendersSay::NotAsked) else { panic!("they are asked") };
    candidates.sort_by_key(|c| c.node.to_string());
    assert_eq!(candidates, expect);
    let node = |left: &[Candidate]| match verdict(ExtendersSay::Left(left)).unwrap() {
        PostFilterVerdict::Nominate { node, victims } => {
            (node.to_string(), victims.iter().map(|v| v.key.name.to_string()).collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(node(&expect), ("b".into(), "y".into()));
    assert_eq!(node(&expect[..1]), ("a".into(), "x".into()));
    // Other victims than were proposed, in whatever order; and budgets by the extender's count.
    let others = [candidate("a", &["x"], 1), candidate("b", &["y", "z"], 0)];
    assert_eq!(node(&others), ("b".into(), "z y".into()));
    let none = PostFilterVerdict::Reject {
        rejection: Rejection::unschedulable("preemption: no candidate node for preemption"),
        clears_nomination: false,
    };
    assert_eq!(verdict(ExtendersSay::Left(&[])), Ok(none));
    assert_eq!(verdict(ExtendersSay::Failed("lost")).unwrap_err().to_string(), "preemption: lost");
    // Where there is no candidate there is nothing to ask.
    let full = cluster(&["a"], &[self::running("x", "a", 900, 10)], &[]);
    let verdict = say(&full, &asked, args, (&EvictionPolicy::default(), ExtendersSay::NotAsked));
    assert!(matches!(verdict, Ok(PostFilterVerdict::Reject { clears_nomination: true, .. })), "{verdict:?}");
}

#[test]
fn nobody_goes_for_what_an_extender_alone_turned_down() {
    let table = cluster(&["a", "b"], &[running("low", "a", 100, 1)], &[]);
    let (asked, view) = (testing::pod(pod(500, 10)), table.view());
    let context = PostFilterContext {
        view,
        not_asked: &[],
        code: &|_| Some(Code::Unschedulable),
        passes: &|_| true,
        fits: &|_, _| panic!("the answer is known"),
        shortcuts: &(),
        draw: 0,
        policy: &EvictionPolicy::default(),
        extenders: ExtendersSay::NotAsked,
    };
    // kube-scheduler's own words.
    let error = DefaultPreemption::default().post_filter(&asked, &context).unwrap_err();
    assert_eq!(error.to_string(), "preemption: expected at least one victim pod on node \"a\"");
}
