//! What holds of every text that is decoded as a pod or a node.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_framework::api::{self, OTHER_FIELDS, UnknownFields};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{Faults, PodParser};

use super::parse;
use super::slim::Slim;

/// Three ways of decoding agree, and so does parsing again.
pub(crate) fn pods(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parser = PodParser::new(vec!["team".into()]);
    let strict = serde_json::from_str::<Slim<api::Pod, false>>(text);
    let Ok(tolerant) = serde_json::from_str::<Slim<api::Pod, true>>(text) else {
        assert!(strict.is_err(), "what one cannot even be told from others is not read");
        return;
    };
    let pod = parse(&mut parser, &tolerant.object);
    bounded(pod.faults.as_deref());
    let Ok(strict) = strict else {
        assert!(tolerant.object.is_err() && pod.faults.is_some(), "what does not decode is at fault");
        return;
    };
    let again = parse(&mut parser, &strict.object);
    assert_eq!(again, pod, "both ways of decoding agree");
    assert!(Arc::ptr_eq(&again.spec, &pod.spec) && Arc::ptr_eq(&again.labels, &pod.labels));
    if let Ok(pod) = &strict.object {
        let mut pod = pod.clone();
        pod.metadata.keep_annotations(&["team".into()]);
        let written = serde_json::to_string(&pod).expect("what was read can be written");
        let read = serde_json::from_str(&written).expect("what was written can be read");
        assert_eq!(parser.parse(&read), again, "what was written and read is the same");
    }
    let unknown = strict.object.as_ref().map(|pod| pod.spec.unknown.clone()).unwrap_or_default();
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    for field in unknown.iter() {
        assert!(field == OTHER_FIELDS || field.starts_with("spec.") && field.bytes().all(safe), "{field:?}");
        assert!(field.len() < 400, "{field}");
    }
    assert!(unknown.iter().count() <= 17);
    // Files of people go through values.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        let by_value: api::Pod = serde_json::from_value(value).expect("what is read as text is read as a value");
        assert_eq!(parser.parse(&by_value), pod, "a text and a value are read alike");
        // The fields of a value come in another order.
        let sorted = |fields: &UnknownFields| fields.iter().map(str::to_owned).collect::<BTreeSet<String>>();
        if unknown.iter().count() < 16 {
            assert_eq!(sorted(&by_value.spec.unknown), sorted(&unknown));
        }
    }
}

/// Both ways of decoding agree, and what is to be in order is.
pub(crate) fn nodes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let keys = [Istr::new("team")];
    let strict = serde_json::from_str::<Slim<api::Node, false>>(text);
    let Ok(tolerant) = serde_json::from_str::<Slim<api::Node, true>>(text) else {
        assert!(strict.is_err(), "what one cannot even be told from others is not read");
        return;
    };
    let (Ok(strict), Ok(node)) = (strict.map(|strict| strict.object), &tolerant.object) else {
        assert!(tolerant.object.is_err(), "what does not decode is at fault");
        return;
    };
    let (info, faults) = NodeInfo::parse(node, &keys);
    bounded(Some(&faults).filter(|faults| !faults.is_empty()));
    let strict = strict.map(|strict| NodeInfo::parse(&strict, &keys)).ok();
    assert_eq!(strict, Some((info.clone(), faults.clone())), "both ways of decoding agree");
    let mut node = node.clone();
    node.metadata.keep_annotations(&keys);
    let written = serde_json::to_string(&node).expect("what was read can be written");
    let read = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(NodeInfo::parse(&read, &keys), (info.clone(), faults), "what was written and read is the same");
    assert!(info.same_for_scheduling(&info));
    assert!(info.conditions.is_sorted() && info.declared_features.is_sorted());
    assert!(info.images.is_sorted_by(|a, b| a.name < b.name), "each name once, in order");
}

fn bounded(faults: Option<&Faults>) {
    if let Some(faults) = faults {
        assert!(!faults.is_empty() && faults.to_string().chars().count() <= 10 * (2 * 513 + 4), "{faults}");
    }
}
