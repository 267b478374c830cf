use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{EvictionPolicy, ExtendersSay};
use plimsoll_framework::table::{Row, View};
use serde_json::json;

use super::*;
use crate::testing::{World, node, pod, table};

fn plugin() -> Extensions {
    Extensions::of(DynamicResources).pre_filter().filter().score().done()
}

#[test]
fn pods_that_need_no_devices_are_passed_over() {
    let class = json!({"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": "example.com/gpu"}});
    let world = World::new(&json!({"metadata": {"name": "n"}}), &[]).with::<DeviceClassKind>(&[class]);
    let asking = |resource: &str| json!({"spec": {"containers": [{"resources": {"requests": {resource: "1"}}}]}});
    let fails = |field: &str| {
        let message = format!("the allocation of devices ({field}) is not supported by this version");
        PreFilterVerdict::Fail(PluginError { message })
    };
    let implicit = "deviceclass.resource.kubernetes.io/gpu";
    let rows = [
        (json!({}), PreFilterVerdict::Skip),
        (asking("example.com/fpga"), PreFilterVerdict::Skip),
        (asking("deviceclass.resource.kubernetes.io/fpga"), PreFilterVerdict::Skip),
        (asking("example.com/gpu"), fails("resource example.com/gpu, which a DeviceClass provides")),
        (asking(implicit), fails(&format!("resource {implicit}, which a DeviceClass provides"))),
        (json!({"spec": {"resourceClaims": [{"name": "c"}]}}), fails("spec.resourceClaims")),
    ];
    for (asked, expect) in rows {
        assert_eq!(world.pre_filter(&plugin(), &asked), expect, "{asked}");
        assert_eq!(world.filter(&plugin(), &asked), None);
    }
}

#[test]
fn its_score_is_nothing_but_it_is_there() {
    let (table, _) = table(&json!({"metadata": {"name": "n"}}), &[]);
    let bound = plugin().score.unwrap().bind(&pod(json!({})), table.view());
    assert!(matches!(bound, BoundScoring::Zero(_)));
}

#[test]
fn nothing_is_taken_from_others() {
    let (view, code, fits) = (View::default(), |_: Row| None, |_: Row, _: &Overlay| Ok(()));
    let policy = EvictionPolicy::default();
    let context = |not_asked| PostFilterContext {
        view: &view,
        not_asked,
        code: &code,
        passes: &|_| false,
        fits: &fits,
        shortcuts: &(),
        draw: 0,
        policy: &policy,
        extenders: ExtendersSay::Nothing,
    };
    let rejection = Rejection::unschedulable("no new claims to deallocate");
    let expect = PostFilterVerdict::Reject { rejection, clears_nomination: false };
    assert_eq!(DynamicResources.post_filter(&pod(json!({})), &context(&["VolumeZone"])), Ok(expect));
    // What its PreFilter would have left behind is missed.
    let error = DynamicResources.post_filter(&pod(json!({})), &context(&[DynamicResources::NAME])).unwrap_err();
    assert_eq!(error.to_string(), "not found");
}

#[test]
fn it_keeps_no_pod_from_going_its_way() {
    let pod = pod(json!({}));
    assert_eq!(DynamicResources.pre_enqueue(&pod), Ok(()));
    let node = node(json!({"metadata": {"name": "n"}}));
    assert!(DynamicResources.reserve(&pod, &node, ()).is_ok_and(|assumed| assumed.is_empty()));
    assert_eq!(DynamicResources.pre_bind(&pod, &node, &[], ()), Ok(PreBindAnswer::nothing()));
    assert!(DynamicResources.registrations().is_empty());
}
