//! Lists.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Body, accept::View, json_bytes, list_options, query::Query, read::metadata_only, route::Route, table, value,
};
use crate::{
    cluster::Cluster,
    events,
    failure::Failure,
    kinds::Kind,
    store::{Page, PageRequest},
    stored::Stored,
};

pub(super) fn list(
    cluster: &Cluster,
    route: &Route<'_>,
    query: &Query<'_>,
    view: View,
) -> Result<Response<Body>, Failure> {
    let kind = route.kind;
    list_options::check_list(query)?;
    let request = page_request(route, query)?;
    let page = cluster.list(kind, &request)?;
    check_version(query, page.version)?;
    let selects = !request.labels.is_everything() || !request.fields.is_everything();
    let metadata = list_metadata(&page, selects);
    if view == View::Object && !kind.is_view() {
        return Ok(json_bytes(StatusCode::OK, joined(kind, &metadata, &page.objects)));
    }
    let objects: Vec<Value> = page.objects.iter().map(|object| object.value()).collect();
    if view == View::Table {
        let mut table = table::render(kind, &objects, page.version, cluster.clock.now());
        table["metadata"] = metadata;
        return Ok(value(StatusCode::OK, &table));
    }
    let (name, api_version) = if view == View::Metadata {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", kind.kind), kind.api_version())
    };
    let items: Vec<Value> = objects
        .into_iter()
        .map(|object| if view == View::Metadata { metadata_only(&object) } else { events::shown(kind, object) })
        .collect();
    let list = json!({"kind": name, "apiVersion": api_version, "metadata": metadata, "items": items});
    Ok(value(StatusCode::OK, &list))
}

/// What the path and the query ask for.
pub(super) fn page_request(route: &Route<'_>, query: &Query<'_>) -> Result<PageRequest, Failure> {
    let token = query.get("continue");
    Ok(PageRequest {
        namespace: (!route.namespace.is_empty()).then(|| route.namespace.to_string()),
        labels: query.labels()?,
        fields: query.fields(route.kind)?,
        limit: query.number("limit")?.map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        continue_token: (!token.is_empty()).then(|| token.to_owned()),
    })
}

/// Whether a list at `version` is what `resourceVersion` and `resourceVersionMatch` ask for.
fn check_version(query: &Query<'_>, version: u64) -> Result<(), Failure> {
    let wanted = query.number("resourceVersion")?;
    let rule = query.get("resourceVersionMatch");
    if !query.get("continue").is_empty() {
        return match wanted {
            Some(1..) => Err(Failure::bad_request("specifying resource version is not allowed when using continue")),
            _ => Ok(()),
        };
    }
    // No older state is kept, so an exact version is served only while it is the newest.
    if rule == "Exact" && wanted.is_some_and(|wanted| wanted < version) {
        return Err(Failure::expired("The resourceVersion for the provided list is too old."));
    }
    check_not_newer(wanted.unwrap_or(0), version)
}

/// Refuses a version that this server has not reached.
pub(super) fn check_not_newer(wanted: u64, version: u64) -> Result<(), Failure> {
    if wanted > version { Err(too_large(wanted, version)) } else { Ok(()) }
}

fn too_large(wanted: u64, version: u64) -> Failure {
    let message = format!("Too large resource version: {wanted}, current: {version}");
    let mut failure = Failure::new(504, "Timeout", message);
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    failure.details = json!({"causes": [cause], "retryAfterSeconds": 1});
    failure
}

fn list_metadata(page: &Page, selects: bool) -> Value {
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let Some(token) = &page.continue_token {
        metadata["continue"] = token.as_str().into();
        // The real server does not count what a selector would still have to look at.
        if !selects {
            metadata["remainingItemCount"] = page.remaining.into();
        }
    }
    metadata
}

/// A list put together from the JSON that the objects have already.
fn joined(kind: &Kind, metadata: &Value, objects: &[Arc<Stored>]) -> Vec<u8> {
    let head = format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":["#,
        kind.kind,
        kind.api_version()
    );
    let size = objects.iter().map(|object| object.json.len() + 1).sum::<usize>() + head.len() + 2;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(head.as_bytes());
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&object.json);
    }
    out.extend_from_slice(b"]}");
    out
}
