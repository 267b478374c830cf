//! What is written of events that were parsed from objects: the objects, without what nobody reads.

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKey};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::event::{Form, KindName};

/// The annotation in which kubectl keeps an object as it was applied, all of it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What a container is told when it starts, passwords among it.
const SAID_TO_CONTAINERS: [&str; 4] = ["args", "command", "env", "envFrom"];

/// Of a pod, of which only annotations with these keys are read. One that did not decode has that as its `fault`. `read`
/// says that it was read by itself.
pub(crate) fn pod_text(mut pod: api::Pod, fault: Option<&str>, keys: &[Istr], read: bool) -> Option<Box<str>> {
    pod.metadata.keep_annotations(keys);
    Form::Pod { object: to_raw_value(&pod).ok()?, fault: fault.map(str::to_owned), read }.text()
}

/// Of a node.
pub(crate) fn node_text(mut node: api::Node, keys: &[Istr]) -> Option<Box<str>> {
    node.metadata.keep_annotations(keys);
    Form::Node { object: to_raw_value(&node).ok()? }.text()
}

/// Of an object of a further kind; `None`: it is gone. Which of its fields are read only its plugin knows, so it is
/// written as it is, but for who wrote it when, and what its pods say to their containers.
pub(crate) fn object_text(
    kind: &KindRef,
    key: &ObjectKey,
    resource_version: u64,
    object: Option<Value>,
) -> Option<Box<str>> {
    let object = object.map(without_secrets).transpose().ok()?;
    let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
    Form::Object { kind: KindName::of(kind), namespace, name, resource_version, object }.text()
}

fn without_secrets(mut object: Value) -> serde_json::Result<Box<RawValue>> {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        // Whether there is any annotation may matter, what stands in this one does not.
        let last_applied = metadata.get_mut("annotations").and_then(|all| all.get_mut(LAST_APPLIED));
        last_applied.into_iter().for_each(|text| *text = "".into());
    }
    if let Some(spec) = object.pointer_mut("/spec/template/spec") {
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                SAID_TO_CONTAINERS.into_iter().for_each(|field| drop(container.remove(field)));
            }
        }
    }
    to_raw_value(&object)
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::pod::PodParser;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_pod_only_what_is_read_is_written() {
        let pod = json!({
            "metadata": {"name": "p", "annotations": {"team": "a", LAST_APPLIED: "hunter2"},
                         "managedFields": [{"manager": "hunter2"}]},
            "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "PASSWORD", "value": "hunter2"}],
                                     "args": ["--password=hunter2"]}],
                     "volumes": [{"name": "s", "secret": {"secretName": "hunter2"}}]}
        });
        let pod: api::Pod = serde_json::from_value(pod).unwrap();
        let text = pod_text(pod.clone(), None, &["team".into()], false).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let Form::Pod { object, fault: None, read: false } = serde_json::from_str(&text).unwrap() else {
            panic!("{text}")
        };
        let mut parser = PodParser::new(vec!["team".into()]);
        let read = serde_json::from_str(object.get()).unwrap();
        assert_eq!(parser.parse(&read), parser.parse(&pod));
    }

    #[test]
    fn what_pods_say_to_their_containers_is_in_no_template() {
        let object = json!({
            "metadata": {"name": "r", "annotations": {LAST_APPLIED: "hunter2"}, "managedFields": ["hunter2"]},
            "spec": {"selector": {"a": "b"}, "template": {"spec": {
                "containers": [{"name": "c", "env": [{"value": "hunter2"}], "envFrom": "hunter2"}],
                "initContainers": [{"name": "i", "args": ["hunter2"], "command": ["hunter2"]}]}}}
        });
        let written: Value = serde_json::from_str(without_secrets(object).unwrap().get()).unwrap();
        let expect = json!({
            "metadata": {"name": "r", "annotations": {LAST_APPLIED: ""}},
            "spec": {"selector": {"a": "b"}, "template": {"spec": {
                "containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}}}
        });
        assert_eq!(written, expect);
        for odd in [json!(7), json!({"metadata": 1}), json!({"spec": {"template": {"spec": {"containers": 3}}}})] {
            assert_eq!(without_secrets(odd.clone()).unwrap().get(), odd.to_string());
        }
    }
}
