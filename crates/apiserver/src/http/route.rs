//! From a request's path to the kind, namespace, name and subresource that it names.

use std::borrow::Cow;

use super::query::decode;
use crate::{
    cluster::Cluster,
    failure::Failure,
    kinds::{Kind, Role},
};

/// Subresources that are served.
const SUBRESOURCES: [&str; 8] =
    ["status", "scale", "binding", "eviction", "resize", "ephemeralcontainers", "finalize", "token"];

/// A path to a resource.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) kind: &'a Kind,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub(super) namespace: Cow<'a, str>,
    /// Empty for collections.
    pub(super) name: Cow<'a, str>,
    /// Empty for the object itself.
    pub(super) subresource: &'static str,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Routed<'a> {
    Resource(Route<'a>),
    /// Discovery, health, version and the like.
    Other(&'a str),
}

/// Finds what a path names.
pub(super) fn find<'a>(cluster: &'a Cluster, path: &'a str) -> Result<Routed<'a>, Failure> {
    let path = path.trim_end_matches('/');
    let mut segments = path.split('/').skip(1);
    let (group, version) = match (segments.next(), segments.next()) {
        (Some("api"), Some(version)) => ("", version),
        (Some("apis"), Some(group)) => match segments.next() {
            Some(version) => (group, version),
            None => return Ok(Routed::Other(path)),
        },
        _ => return Ok(Routed::Other(path)),
    };
    let rest: Vec<&str> = segments.collect();
    let (namespace, rest) = match rest.as_slice() {
        [] => return Ok(Routed::Other(path)),
        // `namespaces/x` and `namespaces/x/status` are the namespace itself.
        ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status" | "finalize"]) => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, sub] => (*plural, *name, *sub),
        _ => return Err(Failure::no_such_path()),
    };
    let bindings = group.is_empty() && plural == "bindings" && name.is_empty();
    let (plural, sub) = if bindings { ("pods", "binding") } else { (plural, sub) };
    let kind = cluster.kinds.find(group, version, plural).ok_or_else(Failure::no_such_path)?;
    if !namespace.is_empty() && !kind.namespaced || kind.namespaced && namespace.is_empty() && !name.is_empty() {
        return Err(Failure::no_such_path());
    }
    let subresource = subresource(kind, sub).ok_or_else(Failure::no_such_path)?;
    Ok(Routed::Resource(Route { kind, namespace: decode(namespace, false), name: decode(name, false), subresource }))
}

/// The subresource of that name, if the kind has it.
fn subresource(kind: &Kind, name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("");
    }
    let known = SUBRESOURCES.iter().copied().find(|known| *known == name)?;
    let served = match known {
        "status" => kind.status,
        "scale" => kind.scale,
        "finalize" => kind.role == Role::Namespace,
        "token" => kind.role == Role::ServiceAccount,
        _ => kind.role == Role::Pod,
    };
    served.then_some(known)
}
