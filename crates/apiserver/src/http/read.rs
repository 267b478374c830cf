//! Reading single objects, and writing objects in the form that was asked for.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Body, accept::View, json_bytes, query::Query, route::Route, table, value};
use crate::{cluster::Cluster, events, failure::Failure, kinds::Kind, ops::Target, stored::Stored};

pub(super) fn get(cluster: &Cluster, route: &Route<'_>, _: &Query<'_>, view: View) -> Result<Response<Body>, Failure> {
    let target = Target::new(route.kind, &route.namespace, &route.name);
    match route.subresource {
        "" | "status" | "resize" => {
            let stored = cluster.get(target)?;
            Ok(json_bytes(StatusCode::OK, render(cluster, route.kind, view, &stored)))
        }
        "scale" => Ok(value(StatusCode::OK, &cluster.scale(target)?)),
        _ => Err(Failure::wrong_method()),
    }
}

/// An object in the form that was asked for.
pub(super) fn render(cluster: &Cluster, kind: &Kind, view: View, stored: &Stored) -> Bytes {
    match view {
        View::Object if !kind.is_view() => stored.json.clone(),
        View::Object => events::shown(kind, stored.value()).to_string().into(),
        View::Metadata => metadata_only(&stored.value()).to_string().into(),
        View::Table => {
            let objects = [stored.value()];
            table::render(kind, &objects, stored.version, cluster.clock.now()).to_string().into()
        }
    }
}

/// An object as `PartialObjectMetadata`.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}
