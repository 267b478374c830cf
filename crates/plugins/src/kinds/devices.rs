//! Kinds of dynamic resource allocation: classes of devices.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::ObjectKind;
use serde::Deserialize;
use serde_json::Value;

use super::{Meta, decode, nullable};

/// `resource.k8s.io/v1` DeviceClass.
#[derive(Debug)]
pub enum DeviceClassKind {}

/// A class of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceClass {
    /// Its name.
    pub name: Istr,
    /// The extended resource that stands for a device of this class, if one is given a name.
    pub extended_resource: Option<Istr>,
}

impl ObjectKind for DeviceClassKind {
    const GROUP: &'static str = "resource.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "deviceclasses";
    const KIND: &'static str = "DeviceClass";
    const NAMESPACED: bool = false;
    type Object = DeviceClass;

    fn decode(json: &Value) -> Result<DeviceClass, String> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Meta,
            #[serde(default, deserialize_with = "nullable")]
            spec: Spec,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            extended_resource_name: Option<Istr>,
        }
        let Raw { metadata, spec } = decode(json)?;
        let extended_resource = spec.extended_resource_name.filter(|name| !name.is_empty());
        Ok(DeviceClass { name: metadata.name, extended_resource })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_may_name_a_resource() {
        for (spec, expect) in [
            (json!({}), None),
            (json!({"extendedResourceName": ""}), None),
            (json!({"extendedResourceName": "example.com/gpu"}), Some("example.com/gpu".into())),
        ] {
            let class = DeviceClassKind::decode(&json!({"metadata": {"name": "gpu"}, "spec": spec})).unwrap();
            assert_eq!(class, DeviceClass { name: "gpu".into(), extended_resource: expect });
        }
    }
}
