//! Recordings: a scheduler's life is written down, and another process comes to the same.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use plimsoll_testkit::{node, pod, priority_class};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Replica, Rig, cluster, single, text};
use crate::scripted::{Reply, Scripted, only};
use crate::volumes::{claim, classes, volume, with};

const SEGMENT: &str = "segment-00001.jsonl.gz";

/// Replays; gives the exit code and what was said, the report as JSON where there is one.
fn replay(dir: &Path) -> (i32, Value, String) {
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.arg("replay").arg(dir);
        command
    };
    let output = program().args(["-o", "json"]).output().unwrap();
    let code = output.status.code().unwrap();
    let said = program().output().unwrap();
    assert_eq!(said.status.code(), Some(code), "whatever the form of the output");
    let said = [said.stdout, said.stderr].concat();
    (code, serde_json::from_slice(&output.stdout).unwrap_or_default(), String::from_utf8(said).unwrap())
}

fn lines(dir: &Path) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(dir.join(SEGMENT)).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A copy of a recording with other lines.
fn copy(dir: &Path, lines: &[String]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("head.json"), copy.path().join("head.json")).unwrap();
    let file = std::fs::File::create(copy.path().join(SEGMENT)).unwrap();
    let mut out = GzEncoder::new(file, Compression::fast());
    lines.iter().for_each(|line| writeln!(out, "{line}").unwrap());
    out.finish().unwrap();
    copy
}

/// Lines with sums that are right.
fn summed(lines: &[String]) -> Vec<String> {
    let mut sum = 0_u32;
    let line = |line: &String| {
        let (body, _) = line.rsplit_once(",\"sum\":").unwrap();
        let mut crc = Crc::new();
        crc.update(&sum.to_be_bytes());
        crc.update(body.as_bytes());
        sum = crc.sum();
        format!("{body},\"sum\":\"{sum:08x}\"}}")
    };
    lines.iter().map(line).collect()
}

fn place(report: &Value) -> (PathBuf, u64) {
    (report["file"].as_str().unwrap().into(), report["line"].as_u64().unwrap())
}

fn with_lines(dir: &Path) -> PathBuf {
    dir.join(SEGMENT)
}

/// Something of everything: pods that fit and that do not, a gang, claims, room made for others, nodes that change.
async fn life(dir: &Path) {
    let server = cluster().await;
    let room = [("cpu", "4"), ("memory", "16Gi"), ("pods", "20")];
    let mut objects = classes();
    objects.extend([priority_class("high", 1_000).build(), claim("data", "local"), volume("shelf", "local", "a")]);
    objects.extend(["a", "b"].map(|name| node(name).zone(name).capacity(&room).build()));
    server.load(objects);
    let rig = Rig { scheduler: Replica::recorded(&server.url(), single(""), dir), server };
    for n in 0..4 {
        let mut web = pod(&format!("web-{n}")).requests(&[("cpu", "1")]).label("app", "web").build();
        web["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "hunter2"}]);
        rig.create(web);
    }
    rig.create(with("disk", "data").requests(&[("cpu", "500m")]));
    rig.create(pod("huge").requests(&[("cpu", "64")]));
    assert_eq!(rig.bound("disk").await, "a");
    rig.refused("huge", "Unschedulable").await;
    for n in 0..2 {
        let member = pod(&format!("gang-{n}")).label("plimsoll/gang", "gang").label("plimsoll/gang-size", "2");
        rig.create(member.requests(&[("cpu", "1")]));
    }
    rig.bound("gang-1").await;
    rig.create(pod("urgent").priority_class("high").requests(&[("cpu", "3")]));
    rig.bound("urgent").await;
    rig.server.edit("nodes", "", "b", |node| node["spec"]["unschedulable"] = json!(true)).unwrap();
    rig.create(node("large").capacity(&[("cpu", "96"), ("memory", "256Gi"), ("pods", "20")]));
    assert_eq!(rig.bound("huge").await, "large");
    rig.server.delete("pods", "default", "huge").unwrap();
    rig.end().await;
}

/// A recording of such a life, made once.
fn recording() -> &'static Path {
    static RECORDING: OnceLock<TempDir> = OnceLock::new();
    let dir = RECORDING.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(life(dir.path()));
        dir
    });
    dir.path()
}

/// The number, from 1, of the first line with this text.
fn line_with(lines: &[String], text: &str) -> usize {
    1 + lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| unreachable!("no {text} in {lines:#?}"))
}

#[test]
fn a_life_is_replayed_alike() {
    let (code, report, said) = replay(recording());
    assert_eq!(code, 0, "{said}");
    assert_eq!((&report["ended"], &report["difference"]), (&json!("stopped"), &Value::Null));
    for (effect, least) in [("bind", 9), ("status", 1), ("record", 9), ("evict", 1), ("write", 1)] {
        assert!(report["effects"][effect].as_u64().unwrap() >= least, "{effect}: {report:#}");
    }
    let sum: u64 = report["effects"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(said.contains(&format!("all {sum} effects of ")), "{said}");
    let head: Value = serde_json::from_slice(&std::fs::read(recording().join("head.json")).unwrap()).unwrap();
    assert_eq!(head["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(head["componentconfig"]["leaderElection"]["leaderElect"], false);
    let lines = lines(recording());
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "what pods are told is not recorded");
    assert!(line_with(&lines, r#""call":"lead""#) > line_with(&lines, "podsListed"));
}

#[test]
fn a_changed_byte_is_found_and_its_place_named() {
    let lines = lines(recording());
    for text in [r#""event":{"node":{"#, r#""event":{"pod":{"#, r#""effect":{"bind":{"#, r#""call":"decide""#] {
        let at = line_with(&lines, text);
        let mut changed = lines.clone();
        let line = &mut changed[at - 1];
        let digit = line.rfind(|c: char| c.is_ascii_digit() && c != '9').unwrap();
        let digit = line[..digit - 20].rfind(|c: char| c.is_ascii_digit()).unwrap_or(digit);
        let other = if &line[digit..=digit] == "7" { "3" } else { "7" };
        line.replace_range(digit..=digit, other);
        let dir = copy(recording(), &changed);
        let (code, _, said) = replay(dir.path());
        assert_eq!(code, 2, "{text}: {said}");
        let place = format!("reading {}, line {at}: its sum is wrong", with_lines(dir.path()).display());
        assert!(said.contains(&place), "{said}\n{place}");
    }
    let mut fewer = lines.clone();
    fewer.remove(9);
    let (code, _, said) = replay(copy(recording(), &fewer).path());
    assert!(code == 2 && said.contains("line 10: its sum is wrong"), "{said}");
}

#[test]
fn the_first_difference_is_shown() {
    let lines = lines(recording());
    // Another node in a binding.
    let at = line_with(&lines, r#""effect":{"bind":"#);
    let mut changed = lines.clone();
    changed[at - 1] = changed[at - 1].replace(r#""node":""#, r#""node":"not-"#);
    let dir = copy(recording(), &summed(&changed));
    let (code, report, said) = replay(dir.path());
    assert_eq!(code, 1, "{said}");
    let parted = &report["difference"];
    assert_eq!(place(parted), (with_lines(dir.path()), at as u64), "{report:#}");
    assert_eq!(parted["called"], "decide a pod");
    let node = |which: &str| serde_json::from_str::<Value>(text(parted, which)).unwrap()["bind"]["node"].clone();
    assert_eq!(node("/recorded"), format!("not-{}", node("/replayed").as_str().unwrap()));
    assert!(said.contains(&format!("then they differ: {}, line {at}", with_lines(dir.path()).display())), "{said}");
    // An effect less, and an effect more.
    let mut fewer = lines.clone();
    let gone = fewer.remove(at - 1);
    let (code, report, _) = replay(copy(recording(), &summed(&fewer)).path());
    assert_eq!((code, &report["difference"]["recorded"]), (1, &Value::Null));
    assert!(gone.contains(text(&report["difference"], "/replayed")), "{report:#}");
    let mut more = lines.clone();
    more.insert(at, gone);
    let (code, report, _) = replay(copy(recording(), &summed(&more)).path());
    assert_eq!((code, report["difference"]["line"].as_u64()), (1, Some(at as u64 + 1)), "{report:#}");
    // A node that was larger when it was recorded.
    let mut smaller = lines.clone();
    for line in smaller.iter_mut().filter(|line| line.contains(r#""name":"large""#)) {
        *line = line.replace(r#""cpu":"96""#, r#""cpu":"32""#);
    }
    assert_ne!(smaller, lines);
    let (code, report, said) = replay(copy(recording(), &summed(&smaller)).path());
    assert_eq!(code, 1, "{said}");
    assert!(report["difference"]["called"].is_string(), "{report:#}");
}

#[test]
fn one_that_is_cut_off_is_replayed_up_to_there() {
    let whole = std::fs::read(recording().join(SEGMENT)).unwrap();
    let (_, all, _) = replay(recording());
    let mut before = 0;
    for eighths in 0..8 {
        let dir = copy(recording(), &[]);
        std::fs::write(dir.path().join(SEGMENT), &whole[..whole.len() * eighths / 8]).unwrap();
        let (code, report, said) = replay(dir.path());
        assert_eq!((code, &report["ended"]), (0, &json!("cutOff")), "{eighths}: {said}");
        let (file, line) = place(&report["cutOffBehind"]);
        assert!(said.contains(&format!(
            "the recording is cut off behind {}, line {line}: replayed up to there",
            file.display()
        )));
        assert!(line >= before, "{line} < {before}");
        before = line;
        assert!(report["calls"]["events"].as_u64() <= all["calls"]["events"].as_u64());
    }
    assert!(before > 50, "{before}");
    // In the middle of a line that is not compressed away.
    let mut lines = lines(recording());
    lines.truncate(40);
    lines[39].truncate(30);
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(recording().join("head.json"), dir.path().join("head.json")).unwrap();
    let mut out = GzEncoder::new(std::fs::File::create(dir.path().join(SEGMENT)).unwrap(), Compression::fast());
    out.write_all(lines.join("\n").as_bytes()).unwrap();
    out.finish().unwrap();
    let (code, report, said) = replay(dir.path());
    assert_eq!((code, place(&report["cutOffBehind"]).1), (0, 39), "{said}");
    // A segment that is not the last has to be whole.
    std::fs::copy(recording().join(SEGMENT), dir.path().join("segment-00002.jsonl.gz")).unwrap();
    let (code, _, said) = replay(dir.path());
    assert!(code == 2 && said.contains("line 40: the segment is not whole"), "{said}");
}

#[test]
fn rubbish_is_named() {
    let lines = lines(recording());
    let damaged = |name: &str, bytes: &[u8]| {
        let dir = copy(recording(), &lines);
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let (code, _, said) = replay(dir.path());
        (code, said.replace(&dir.path().display().to_string(), "DIR"))
    };
    let head = std::fs::read_to_string(recording().join("head.json")).unwrap();
    let rows: [(&str, Vec<u8>, &str); 6] = [
        ("head.json", b"{}".to_vec(), "reading DIR/head.json: no head of a recording: missing field `format`"),
        ("head.json", head.replace(r#""format": 1"#, r#""format": 2"#).into(), "DIR/head.json: its form is 2"),
        (
            "head.json",
            head.replace("NodeResourcesFit", "NodeResourcesFoo").into(),
            "making the recorded scheduler: the recorded configuration",
        ),
        (
            SEGMENT,
            b"no gzip at all, but some text".to_vec(),
            &format!("reading DIR/{SEGMENT}, line 1: the segment cannot be read"),
        ),
        ("segment-00002.jsonl.gz", std::fs::read(recording().join(SEGMENT)).unwrap(), "goes on behind its end"),
        (SEGMENT, [&std::fs::read(recording().join(SEGMENT)).unwrap()[..], b"more"].concat(), "goes on behind its end"),
    ];
    for (name, bytes, expect) in rows {
        let (code, said) = damaged(name, &bytes);
        assert!(code == 2 && said.contains(expect), "{said}\n{expect}");
    }
    let (code, _, said) = replay(Path::new("/nowhere"));
    assert!(code == 2 && said.contains("reading /nowhere/head.json: No such file"), "{said}");
    for (text, by, expect) in [
        (r#""event":{"podDeleted""#, r#""event":{"podVanished""#, "unknown variant `podVanished`"),
        (r#""call":"decide""#, r#""call":"guess""#, "unknown variant `guess`"),
        (r#""n":5,"#, r#""n":50,"#, "call 50 follows call 4"),
    ] {
        let mut changed = lines.clone();
        let at = line_with(&lines, text);
        changed[at - 1] = changed[at - 1].replace(text, by);
        let (code, _, said) = replay(copy(recording(), &summed(&changed)).path());
        assert!(code == 2 && said.contains(&format!("line {at}: ")) && said.contains(expect), "{said}\n{expect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_extenders_are_recorded_and_their_secrets_are_not() {
    let extender = Scripted::start(|path, body| match path {
        "/filter" => only(body, |name| name == "n1"),
        "/score" => Reply::Json(json!([])),
        _ => Reply::Json(json!({"NodeNameToMetaVictims": body["NodeNameToMetaVictims"]})),
    })
    .await;
    let url = extender.url.replace("http://", "http://user:hunter2@");
    let config = single(&format!(
        "extenders: [{{urlPrefix: \"{url}\", filterVerb: filter, prioritizeVerb: score, preemptVerb: preempt, weight: 1, \
         nodeCacheCapable: true}}]\n"
    ));
    let server = cluster().await;
    server.load(vec![priority_class("high", 1_000).build()]);
    server.load(["n0", "n1"].map(|name| node(name).capacity(&[("cpu", "2"), ("pods", "9")]).build()).into());
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig { scheduler: Replica::recorded(&server.url(), config, dir.path()), server };
    rig.create(pod("first").requests(&[("cpu", "2")]));
    assert_eq!(rig.bound("first").await, "n1");
    rig.create(pod("urgent").priority_class("high").requests(&[("cpu", "2")]));
    assert_eq!(rig.bound("urgent").await, "n1");
    rig.end().await;
    let (code, report, said) = replay(dir.path());
    assert_eq!(code, 0, "{said}");
    assert!(
        report["effects"]["ask"].as_u64() >= Some(2) && report["effects"]["askPreempt"].as_u64() >= Some(1),
        "{report:#}"
    );
    let head = std::fs::read_to_string(dir.path().join("head.json")).unwrap();
    assert!(head.contains("<redacted>@") && !head.contains("hunter2"), "{head}");
}
