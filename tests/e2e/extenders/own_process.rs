//! An extender in a process of its own, with its ways by path.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use plimsoll_testkit::pod;
use serde_json::{Value, json};

use super::{SOME, extenders, nodes};
use crate::rig::{Rig, condition, text};
use crate::scripted::{Reply, Scripted, only};

/// Set where the test is the extender.
const ROLE: &str = "PLIMSOLL_TEST_EXTENDER";
const TEST: &str = "extenders::own_process::one_that_filters_scores_fails_hangs_and_answers_rubbish";

fn behave(path: &str, body: &Value) -> Reply {
    match path {
        "/filters/filter" => only(body, |name| name == "n1"),
        "/scores/filter" => only(body, |_| true),
        "/scores/prioritize" => Reply::Json(json!([{"Host": "n2", "Score": 10}])),
        "/hangs/filter" => Reply::Hang,
        "/rubbish/filter" => Reply::Text("\u{0}]"),
        _ => Reply::Code(500),
    }
}

/// The process, which ends with this.
struct Extender {
    child: Child,
    url: String,
}

impl Extender {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture"]).env(ROLE, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.split_once("http://").map(|(_, rest)| format!("http://{rest}"))).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn is(&self, way: &str, rest: &str) -> String {
        format!("{{urlPrefix: \"{}/{way}\", filterVerb: filter, nodeCacheCapable: true, {rest}}}", self.url)
    }
}

impl Drop for Extender {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_filters_scores_fails_hangs_and_answers_rubbish() {
    if std::env::var_os(ROLE).is_some() {
        let extender = Scripted::start(behave).await;
        println!("\n{}", extender.url);
        // Until whoever started it ends.
        drop(tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await);
        return;
    }
    let mut extender = Extender::start();
    let places = [
        ("filters", extender.is("filters", ""), Ok("n1")),
        ("scores", extender.is("scores", "prioritizeVerb: prioritize, weight: 9"), Ok("n2")),
        ("fails", extender.is("fails", ""), Err("failed filter with extender at URL $/fails/filter, code 500")),
        ("may-fail", extender.is("fails", "ignorable: true"), Ok("n")),
        ("hangs", extender.is("hangs", "httpTimeout: 50ms"), Err("Post \"$/hangs/filter\": no answer within 50ms")),
        ("may-hang", extender.is("hangs", "httpTimeout: 50ms, ignorable: true"), Ok("n")),
        (
            "rubbish",
            extender.is("rubbish", ""),
            Err("filter with extender at URL $/rubbish/filter: reading the answer"),
        ),
        ("may-rubbish", extender.is("rubbish", "ignorable: true"), Ok("n")),
    ];
    for (name, config, expect) in places {
        let rig = Rig::start_with(nodes(3), extenders(&[config])).await;
        rig.create(pod(name).requests(SOME));
        match expect {
            Ok(node) => assert!(rig.bound(name).await.starts_with(node), "{name}"),
            Err(text) => {
                let said = rig.refused(name, "SchedulerError").await;
                assert!(said.starts_with(&text.replace('$', &extender.url)), "{said}");
            }
        }
        rig.end().await;
    }
    // One that hangs, and in the end dies.
    let gpus = "httpTimeout: 1h, managedResources: [{name: example.com/gpu, ignoredByScheduler: true}]";
    let rig = Rig::start_with(nodes(3), extenders(&[extender.is("hangs", gpus)])).await;
    let mut wants: Value = pod("wants").requests(SOME).into();
    wants["spec"]["containers"][0]["resources"]["limits"] = json!({"example.com/gpu": "1"});
    rig.create(wants);
    let reads = || rig.server.calls().iter().any(|call| call.verb == "get" && call.name == "wants");
    rig.until("the pod to be read for the question", reads).await;
    rig.create(pod("plain").requests(SOME));
    rig.bound("plain").await;
    assert!(text(&rig.pod("wants"), "/spec/nodeName").is_empty() && condition(&rig.pod("wants")).is_none());
    extender.child.kill().unwrap();
    let said = rig.refused("wants", "SchedulerError").await;
    assert!(said.starts_with(&format!("Post \"{}/hangs/filter\": ", extender.url)), "{said}");
    rig.end().await;
}
