//! Builders of Kubernetes objects for Plimsoll's tests.
//!
//! Every builder yields the object as a `serde_json::Value`, the form in which it travels over the wire, so one
//! object serves a unit test, the stand-in API server and a decoder alike. What a builder does not set is absent.
//!
//! ```
//! use plimsoll_testkit::{node, pod};
//! let web = pod("web-1").label("app", "web").requests(&[("cpu", "100m")]).build();
//! let big = node("n1").capacity(&[("cpu", "64"), ("memory", "256Gi"), ("pods", "250")]).zone("a").build();
//! assert_eq!(web["spec"]["schedulerName"], "plimsoll");
//! assert_eq!(big["status"]["allocatable"]["cpu"], "64");
//! ```

mod dice;
mod meta;
mod node;
mod pod;
mod workload;

pub use dice::Dice;
pub use node::{NodeBuilder, node};
pub use pod::{PodBuilder, pod};
pub use workload::{
    NamespaceBuilder, PriorityClassBuilder, WorkloadBuilder, cron_job, deployment, job, namespace, priority_class,
    stateful_set,
};

use serde_json::{Map, Value};

/// A map of strings as JSON, as quantities, labels and selectors are written.
fn string_map(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect::<Map<_, _>>())
}

/// Appends to the array at `slot`, which is made when it is absent.
fn push(slot: &mut Value, item: Value) {
    match slot {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}
