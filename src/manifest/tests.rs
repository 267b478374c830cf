use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn parsed(text: &str) -> Result<Vec<Manifest>, String> {
    let (mut manifests, mut errors) = (Vec::new(), Vec::new());
    parse("f", Bytes::copy_from_slice(text.as_bytes()), &mut manifests, &mut errors);
    tell_duplicates(&manifests, &mut errors);
    ManifestErrors::none(errors).map(|()| manifests).map_err(|errors| errors.to_string())
}

fn shown(text: &str) -> Vec<String> {
    parsed(text).unwrap().iter().map(|m| format!("{} {m}", m.place.line)).collect()
}

#[test]
fn files_hold_objects_in_every_form_that_kubectl_writes() {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}}"#;
    for (text, objects) in [
        (json.to_owned(), vec!["1 Pod n/a"]),
        (format!("\u{feff}\n{json}\n\n{}", json.replace("\"a\"", "\"b\"")), vec!["2 Pod n/a", "4 Pod n/b"]),
        (format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{json}]}}"), vec!["2 Pod n/a"]),
        ("{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[\n{\"metadata\":{\"name\":\"a\"}}]}".to_owned(), vec!["2 Pod a"]),
        ("{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":null}".to_owned(), vec![]),
        (
            "# a comment\n---\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\nnull\n---\napiVersion: apps/v1\r\nkind: Deployment\r\nmetadata: {name: d}\r\n".to_owned(),
            vec!["4 Pod a", "11 Deployment d"],
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Node\n  metadata:\n    name: b\n".to_owned(),
            vec!["4 Node a", "7 Node b"],
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}".to_owned(), vec!["1 Pod (generated name)"]),
        (String::new(), vec![]),
    ] {
        assert_eq!(shown(&text), objects, "{text}");
    }
}

#[test]
fn yaml_means_what_it_means_to_kubernetes() {
    let text = "apiVersion: v1\nkind: Node\nmetadata: &m {name: a, labels: {on: 'yes', x: \"1\"}}\nspec:\n  a: 010\n  b: yes\n  c: 1.50\n  d: 0x1F\n  e: |\n    two\n    lines\n  f: ~\n  g: [1, -2, 1e3]\n  h: *m\n  i: {<<: *m, name: b}\n  j: 12345678901234567890\n";
    let node: Value = parsed(text).unwrap()[0].decode().unwrap();
    let labels = serde_json::json!({"on": "yes", "x": "1"});
    assert_eq!(
        node["spec"],
        serde_json::json!({
            "a": 8, "b": true, "c": 1.5, "d": 31, "e": "two\nlines\n", "f": null, "g": [1, -2, 1000.0],
            "h": {"name": "a", "labels": labels}, "i": {"name": "b", "labels": labels},
            "j": 12_345_678_901_234_567_890_u64,
        })
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let bomb: String =
        (1..40).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))).collect();
    for (text, error) in [
        ("a: b: c", "f:1: not readable as YAML: "),
        ("{\"a\":\n}", "f:2: not readable as JSON: "),
        ("just text", "f:1: no Kubernetes object: apiVersion, kind, metadata with a name"),
        ("\n- a\n", "f:2: no Kubernetes object"),
        ("kind: Pod\nmetadata: {name: a}", "f:1: no Kubernetes object: it has no apiVersion or no kind"),
        ("apiVersion: v1\nkind: Pod", "f:1: Pod has no metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  x: 1\n  x: 2", "f:6: field \"x\" is written twice"),
        ("apiVersion: v1\nkind: List\nitems:\n- 1", "f:1: no Kubernetes object"),
        ("apiVersion: v1\nkind: List\nitems: 3", "f:1: the items of a list are no list"),
        ("a: &x [*x]", "f:1: "),
        ("a: !!binary x", "f:1: "),
        (&format!("a0: &a0 [x]\n{bomb}"), "the file is too large once its aliases are written out"),
        (&"[".repeat(100_000), "f:1: "),
        (&"{\"a\":".repeat(100_000), "f:1: not readable as JSON: EOF"),
    ] {
        let found = parsed(text).err().unwrap_or_default();
        assert!(found.contains(error), "{:.80}: {found}", text);
    }
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    let default = pod.replace("{name: a}", "{name: a, namespace: default}");
    assert_eq!(
        parsed(&format!("{pod}---\n{default}")).unwrap_err(),
        "f:5: Pod default/a comes twice; the first is in f:1"
    );
}

#[test]
fn errors_are_told_together_and_not_without_end() {
    let text = "---\nkind: Pod\n".repeat(30);
    let told = parsed(&text).unwrap_err();
    assert_eq!(told.lines().count(), 21);
    assert!(told.ends_with("and 10 more"), "{told}");
    let missing = read(&[PathBuf::from("/nowhere/a.yaml"), PathBuf::from("/nowhere/b.yaml")], false).unwrap_err();
    assert_eq!(missing.0.len(), 2, "{missing}");
}

#[test]
fn a_kind_that_is_another_is_told() {
    let manifest = &parsed("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 3}").unwrap()[0];
    let error = manifest.decode::<plimsoll_framework::api::Pod>().unwrap_err().to_string();
    assert!(error.starts_with("f:1: Pod a is no Pod: invalid type: integer `3`, expected a sequence"), "{error}");
}

#[test]
fn folders_give_their_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
    std::fs::create_dir(folder.path().join("in")).unwrap();
    for (file, name) in [("b.yaml", "b"), ("a.json", "a"), ("in/c.yml", "c"), ("d.txt", "d")] {
        std::fs::write(folder.path().join(file), pod(name)).unwrap();
    }
    let names = |recursive| {
        let manifests = read(&[folder.path().to_owned()], recursive).unwrap();
        manifests.iter().map(|m| m.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["a", "b"]);
    assert_eq!(names(true), ["a", "b", "c"]);
}
