//! What kube-scheduler sends, and what it gets, byte for byte.

use plimsoll_framework::table::Table;

use super::*;
use crate::config::Config;
use crate::registry::Registry;

/// Nodes of 1, 2 and 4 CPUs, and one with a taint.
fn view() -> View {
    let mut table = Table::default();
    for (name, cpu, taints) in
        [("a", 1, ""), ("b", 2, ""), ("c", 4, ""), ("t", 4, r#"{"key":"k","effect":"NoSchedule"}"#)]
    {
        let node: api::Node = serde_json::from_str(&node(name, cpu, taints)).unwrap();
        table.set_node(Arc::new(NodeInfo::parse(&node, &[]).0));
    }
    table.view().clone()
}

fn node(name: &str, cpu: u32, taints: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"taints":[{taints}]}},"status":{{"allocatable":{{"cpu":"{cpu}","memory":"8Gi","pods":"10"}}}}}}"#
    )
}

fn pod(cpu: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"p","namespace":"d","uid":"u"}},"spec":{{"schedulerName":"default-scheduler","containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}},"status":{{}}}}"#
    )
}

fn judged(body: &str) -> Result<Judged, String> {
    let question = Question::read(body.as_bytes(), &Vec::new().into())?;
    let profiles = Registry::default().profiles(&Config::default()).unwrap();
    question.judge(&mut Worker::default(), &profiles[0], view())
}

fn filtered(body: &str) -> String {
    String::from_utf8(to_json(&judged(body).unwrap().filtered()).unwrap()).unwrap()
}

fn scored(body: &str) -> String {
    String::from_utf8(to_json(&judged(body).unwrap().scored()).unwrap()).unwrap()
}

#[test]
fn names_are_filtered() {
    let asked = |cpu: &str, names: &str| format!(r#"{{"Pod":{},"Nodes":null,"NodeNames":[{names}]}}"#, pod(cpu));
    let rows = [
        (
            asked("100m", r#""a","b""#),
            r#"{"Nodes":null,"NodeNames":["a","b"],"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""}"#,
        ),
        (
            asked("2", r#""a","b","c","t","new""#),
            r#"{"Nodes":null,"NodeNames":["b","c"],"FailedNodes":{"new":"node(s) not known to plimsoll yet"},"FailedAndUnresolvableNodes":{"a":"Insufficient cpu","t":"node(s) had untolerated taint(s)"},"Error":""}"#,
        ),
        (
            asked("1", ""),
            r#"{"Nodes":null,"NodeNames":[],"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""}"#,
        ),
    ];
    for (body, expect) in rows {
        assert_eq!(filtered(&body), expect, "{body}");
    }
}

#[test]
fn nodes_are_filtered_and_come_back_as_they_were_sent() {
    let (b, new) = (node("b", 2, ""), node("new", 8, "").replace(r#""spec":{"#, r#""x":[1, 2],"spec":{"#));
    let items = [node("a", 1, ""), b.clone(), new.clone(), node("full", 1, "")].join(",");
    let body = format!(r#"{{"Pod":{},"Nodes":{{"metadata":{{}},"items":[{items}]}},"NodeNames":null}}"#, pod("2"));
    let expect = format!(
        r#"{{"Nodes":{{"items":[{b},{new}]}},"NodeNames":null,"FailedNodes":{{}},"FailedAndUnresolvableNodes":{{"a":"Insufficient cpu","full":"Insufficient cpu"}},"Error":""}}"#
    );
    assert_eq!(filtered(&body), expect);
    // In whatever case, and with fields that nobody knows.
    let body = body.replace("\"Pod\"", "\"pod\"").replace("\"Nodes\"", "\"extra\":{\"pod\":1},\"NODES\"");
    assert_eq!(filtered(&body), expect);
}

#[test]
fn scores_are_spread_over_what_the_protocol_has() {
    let asked = |names: &str| format!(r#"{{"Pod":{},"Nodes":null,"NodeNames":[{names}]}}"#, pod("500m"));
    let rows = [
        (asked(r#""c","a""#), r#"[{"Host":"c","Score":10},{"Host":"a","Score":0}]"#),
        (asked(r#""b""#), r#"[{"Host":"b","Score":0}]"#),
        (
            asked(r#""t","c","a","new""#),
            r#"[{"Host":"t","Score":0},{"Host":"c","Score":10},{"Host":"a","Score":0},{"Host":"new","Score":0}]"#,
        ),
        (asked(""), "[]"),
    ];
    for (body, expect) in rows {
        assert_eq!(scored(&body), expect, "{body}");
    }
}

#[test]
fn what_is_no_question_is_said_to_be_none() {
    let pod = pod("1");
    let rows = [
        ("".to_owned(), "not a question of an extender"),
        ("[1]".to_owned(), "not a question of an extender"),
        ("{}".to_owned(), "the question has no Pod"),
        (r#"{"Pod":null}"#.to_owned(), "the question has no Pod"),
        (r#"{"Pod":7}"#.to_owned(), "the Pod cannot be read"),
        (format!(r#"{{"Pod":{}}}"#, pod.replace(r#""cpu":"1""#, r#""cpu":"one""#)), "the Pod cannot be read: spec"),
        (format!(r#"{{"Pod":{pod},"NodeNames":"a"}}"#), "not a question of an extender"),
        (format!(r#"{{"Pod":{pod},"Nodes":{{"items":[7]}}}}"#), "a node cannot be read"),
    ];
    for (body, expect) in rows {
        let said = judged(&body).err().unwrap();
        assert!(said.starts_with(expect), "{body}: {said}");
    }
}
