//! What the server is and serves: discovery in both forms, version, health, and as much of OpenAPI as kubectl needs.

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use super::{Body, Web, stats, value};
use crate::{
    failure::Failure,
    kinds::{Kind, Kinds},
};

/// Answers a path that names no resource.
pub(super) fn answer(web: &Web, head: &Parts, path: &str) -> Result<Response<Body>, Failure> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Failure::wrong_method());
    }
    let kinds = &web.cluster.kinds;
    let aggregated = wants_aggregated(head);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let answer = match segments.as_slice() {
        ["api"] if aggregated => return Ok(aggregated_response(&group_discovery(kinds, |group| group.is_empty()))),
        ["apis"] if aggregated => return Ok(aggregated_response(&group_discovery(kinds, |group| !group.is_empty()))),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
        }),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(kinds)}),
        ["apis", group] => groups(kinds)
            .into_iter()
            .find(|entry| entry["name"] == *group)
            .map(|mut entry| {
                entry["kind"] = "APIGroup".into();
                entry["apiVersion"] = "v1".into();
                entry
            })
            .ok_or_else(Failure::no_such_path)?,
        ["api", version] => resource_list(kinds, "", version)?,
        ["apis", group, version] => resource_list(kinds, group, version)?,
        ["version"] => version(web.cluster.options.minor),
        [probe @ ("healthz" | "livez" | "readyz")] => return Ok(health(probe, head.uri.query())),
        ["openapi", "v2"] if wants_openapi_protobuf(head) => return Ok(no_schemas()),
        ["openapi", "v2"] => json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": {}}),
        ["openapi", "v3"] => openapi_index(kinds),
        ["openapi", "v3", "api", version] => openapi(kinds, "", version)?,
        ["openapi", "v3", "apis", group, version] => openapi(kinds, group, version)?,
        ["debug", "plimsoll", "stats"] => stats::stats(&web.cluster),
        _ => return Err(Failure::no_such_path()),
    };
    Ok(value(StatusCode::OK, &answer))
}

/// It is healthy as long as it answers; kubectl's users ask for the single checks.
fn health(probe: &str, query: Option<&str>) -> Response<Body> {
    let verbose = query.is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("verbose")));
    let text = if verbose { format!("[+]ping ok\n[+]etcd ok\n{probe} check passed\n") } else { "ok".to_owned() };
    Response::new(Body::full(text))
}

fn version(minor: u32) -> Value {
    json!({
        "major": "1", "minor": minor.to_string(), "gitVersion": format!("v1.{minor}.0"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// Group and version pairs in the order of the table, each once.
fn group_versions(kinds: &Kinds) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    for kind in kinds.iter() {
        let pair = (kind.group.as_str(), kind.version.as_str());
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

fn groups(kinds: &Kinds) -> Vec<Value> {
    let mut groups: Vec<Value> = Vec::new();
    for (group, version) in group_versions(kinds).into_iter().filter(|(group, _)| !group.is_empty()) {
        let entry = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        match groups.iter_mut().find(|g| g["name"] == group) {
            Some(known) => crate::json::array_at(known, &["versions"]).push(entry),
            None => groups.push(json!({"name": group, "versions": [entry], "preferredVersion": entry})),
        }
    }
    groups
}

fn kinds_in<'a>(kinds: &'a Kinds, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Kind> {
    kinds.iter().filter(move |kind| kind.group == group && kind.version == version)
}

fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Result<Value, Failure> {
    if !kinds.has_group_version(group, version) {
        return Err(Failure::no_such_path());
    }
    let mut resources = Vec::new();
    for kind in kinds_in(kinds, group, version) {
        resources.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": kind.verbs(), "shortNames": kind.short_names, "categories": kind.categories,
        }));
        for sub in kind.subresources() {
            let mut entry = json!({
                "name": format!("{}/{sub}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "verbs": subresource_verbs(sub),
            });
            let (group, version, name) = subresource_kind(kind, sub);
            entry["kind"] = name.into();
            if sub != "status" && group != kind.group {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            resources.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}))
}

fn subresource_verbs(sub: &str) -> &'static [&'static str] {
    match sub {
        "binding" | "eviction" | "token" => &["create"],
        _ => &["get", "patch", "update"],
    }
}

/// Group, version and kind of what a subresource takes and gives.
fn subresource_kind<'a>(kind: &'a Kind, sub: &str) -> (&'a str, &'a str, &'a str) {
    match sub {
        "scale" => ("autoscaling", "v1", "Scale"),
        "eviction" => ("policy", "v1", "Eviction"),
        "binding" => ("", "v1", "Binding"),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest"),
        _ => (&kind.group, &kind.version, &kind.kind),
    }
}

fn wants_aggregated(head: &Parts) -> bool {
    let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| range.contains("as=APIGroupDiscoveryList") && range.contains("v=v2;"))
}

fn aggregated_response(list: &Value) -> Response<Body> {
    let mut response = value(StatusCode::OK, list);
    let media_type = HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// Everything about the groups in one answer.
fn group_discovery(kinds: &Kinds, wanted: impl Fn(&str) -> bool) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for (group, version) in group_versions(kinds).into_iter().filter(|(group, _)| wanted(group)) {
        let resources: Vec<Value> = kinds_in(kinds, group, version).map(discovered).collect();
        let entry = json!({"version": version, "freshness": "Current", "resources": resources});
        match items.iter_mut().find(|item| item["metadata"]["name"] == group) {
            Some(item) => crate::json::array_at(item, &["versions"]).push(entry),
            None => items.push(json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": [entry]})),
        }
    }
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn discovered(kind: &Kind) -> Value {
    let response_kind = |sub: &str| {
        let (group, version, name) = subresource_kind(kind, sub);
        json!({"group": group, "version": version, "kind": name})
    };
    let subresources: Vec<Value> = kind
        .subresources()
        .into_iter()
        .map(|sub| json!({"subresource": sub, "responseKind": response_kind(sub), "verbs": subresource_verbs(sub)}))
        .collect();
    json!({
        "resource": kind.plural, "responseKind": response_kind(""), "singularResource": kind.kind.to_lowercase(),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "verbs": kind.verbs(),
        "shortNames": kind.short_names, "categories": kind.categories, "subresources": subresources,
    })
}

/// How the form in protobuf is asked for, and how it is called in the answer, where `@` is not allowed.
const OPENAPI_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

fn wants_openapi_protobuf(head: &Parts) -> bool {
    let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    OPENAPI_PROTOBUF.iter().any(|name| accept.contains(name))
}

/// kubectl checks the items of a `kind: List` itself, by the schemas of the older form of OpenAPI, and lets pass what
/// has none. A message of protobuf without any field is no byte.
fn no_schemas() -> Response<Body> {
    let mut response = Response::new(Body::full(""));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPENAPI_PROTOBUF[1]));
    response
}

fn openapi_index(kinds: &Kinds) -> Value {
    let mut paths = serde_json::Map::new();
    for (group, version) in group_versions(kinds) {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let url = format!("/openapi/v3/{path}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The one thing kubectl looks for: that every kind's PATCH has the parameter `fieldValidation`.
fn openapi(kinds: &Kinds, group: &str, version: &str) -> Result<Value, Failure> {
    if !kinds.has_group_version(group, version) {
        return Err(Failure::no_such_path());
    }
    let prefix = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = serde_json::Map::new();
    for kind in kinds_in(kinds, group, version) {
        let namespace = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let parameter =
            |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let patch = json!({
            "operationId": format!("patch{}", kind.kind),
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.kind},
        });
        paths.insert(format!("{prefix}{namespace}/{}/{{name}}", kind.plural), json!({"patch": patch}));
    }
    Ok(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": version}, "paths": paths,
        "components": {"schemas": {}},
    }))
}
