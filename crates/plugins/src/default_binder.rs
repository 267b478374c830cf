//! DefaultBinder (Bind): binds a pod by creating a Binding. Reference section 4.10.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{Bind, BindVerdict, Plugin};
use plimsoll_framework::pod::PodInfo;

/// Binds every pod by creating a Binding that carries the pod's UID.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    const NAME: &'static str = "DefaultBinder";
}

impl Bind for DefaultBinder {
    fn bind(&self, _: &PodInfo, _: &Istr) -> BindVerdict {
        BindVerdict::Binding
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    #[test]
    fn every_pod_is_bound_by_a_binding() {
        assert_eq!(DefaultBinder.bind(&pod(json!({})), &"n".into()), BindVerdict::Binding);
    }
}
