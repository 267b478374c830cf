//! What makes pods belong together: Services, and the controllers that create pods. Of each only the selector is read.

use std::collections::BTreeMap;

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::object::ObjectKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Labels with their values, all of which a pod must have to be selected. `None` is a selector that is not there, which
/// selects no pod; an empty one selects every pod.
pub type LabelMap = Option<BTreeMap<Istr, Istr>>;

/// An object with `spec.selector` of type `S`.
#[derive(Deserialize)]
struct Selecting<S> {
    spec: Option<SelectingSpec<S>>,
}

#[derive(Deserialize)]
struct SelectingSpec<S> {
    selector: Option<S>,
}

fn selector<S: DeserializeOwned>(json: &Value) -> Result<Option<S>, String> {
    let object = Selecting::<S>::deserialize(json).map_err(|e| format!("spec.selector: {e}"))?;
    Ok(object.spec.and_then(|spec| spec.selector))
}

fn compiled(json: &Value) -> Result<Option<LabelSelector>, String> {
    let selector = selector::<api::LabelSelector>(json)?;
    selector.as_ref().map(LabelSelector::compile).transpose().map_err(|e| format!("spec.selector: {e}"))
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $group:literal $version:literal $plural:literal => $object:ty, $decode:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl ObjectKind for $name {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const PLURAL: &'static str = $plural;
            const KIND: &'static str = stringify!($name);
            type Object = $object;
            fn decode(json: &Value) -> Result<$object, String> {
                $decode(json)
            }
        }
    )*};
}

kinds! {
    /// A Service, as its selector.
    Service: "" "v1" "services" => LabelMap, selector;
    /// A ReplicationController, as its selector.
    ReplicationController: "" "v1" "replicationcontrollers" => LabelMap, selector;
    /// A ReplicaSet, as its selector.
    ReplicaSet: "apps" "v1" "replicasets" => Option<LabelSelector>, compiled;
    /// A StatefulSet, as its selector.
    StatefulSet: "apps" "v1" "statefulsets" => Option<LabelSelector>, compiled;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_read_and_nothing_else() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (Istr::new(k), Istr::new(v))).collect();
        let rows = [
            (json!({"spec": {"selector": {"app": "web"}, "ports": [1]}}), Some(map(&[("app", "web")]))),
            (json!({"spec": {"selector": {}}}), Some(map(&[]))),
            (json!({"spec": {"selector": null}}), None),
            (json!({"spec": {}}), None),
            (json!({}), None),
        ];
        for (object, expect) in rows {
            assert_eq!(Service::decode(&object).unwrap(), expect, "{object}");
            assert_eq!(ReplicationController::decode(&object).unwrap(), expect, "{object}");
        }
        let set = json!({"spec": {"selector": {"matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "Exists"}]}}});
        let read = ReplicaSet::decode(&set).unwrap();
        assert_eq!(read.as_ref().unwrap().requirements().len(), 2);
        assert_eq!(StatefulSet::decode(&set).unwrap(), read);
        assert_eq!(ReplicaSet::decode(&json!({})), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let odd =
            json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}});
        assert!(ReplicaSet::decode(&odd).unwrap_err().starts_with("spec.selector: operator \"Gt\""));
        assert!(Service::decode(&json!({"spec": {"selector": 1}})).unwrap_err().starts_with("spec.selector: "));
    }
}
