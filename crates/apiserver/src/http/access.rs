//! Who sends a request, and whether they may.

use http::{Method, header, request::Parts};

use super::{Web, query::Query, route::Route};
use crate::{
    auth::{User, Wish},
    cluster::Cluster,
    failure::Failure,
    selector::FieldSelector,
    tls::Peer,
};

/// The sender of a request.
pub(super) fn caller(cluster: &Cluster, head: &Parts) -> Result<User, Failure> {
    if let Some(user) = certified(cluster, head)? {
        return Ok(user.clone());
    }
    let header = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match header.strip_prefix("Bearer ").map(str::trim) {
        None | Some("") => Ok(User::anonymous()),
        Some(token) => match cluster.holder(token) {
            Some(user) => Ok(user),
            None if !cluster.options.rbac => Ok(User::anonymous()),
            None => Err(Failure::unauthorized()),
        },
    }
}

/// Who the sender is by the certificate of the connection, if one was shown; a failure if that is worth nothing.
pub(super) fn certified<'a>(cluster: &Cluster, head: &'a Parts) -> Result<Option<&'a User>, Failure> {
    let peer = head.extensions.get::<Peer>();
    peer.map(|peer| peer.user(cluster.clock.now().into())).transpose()
}

/// Refuses what the sender may not do.
pub(super) fn check(web: &Web, head: &Parts, verb: &str, route: &Route<'_>, query: &Query<'_>) -> Result<(), Failure> {
    let cluster = &web.cluster;
    if !cluster.options.rbac {
        return Ok(());
    }
    let user = caller(cluster, head)?;
    // A list of the one object of a name needs no more than leave for that one.
    let selected = query.fields(route.kind).ok().as_ref().and_then(FieldSelector::only_name).map(str::to_owned);
    let collective = matches!(verb, "list" | "watch" | "deletecollection");
    let name = selected.filter(|_| collective).unwrap_or_else(|| route.name.to_string());
    // The namespace of a namespace is itself.
    let namespace = if route.kind.plural == "namespaces" { &name } else { &*route.namespace };
    let collection_of_bindings = route.subresource == "binding" && route.name.is_empty();
    let (resource, subresource) =
        if collection_of_bindings { ("bindings", "") } else { (route.kind.plural.as_str(), route.subresource) };
    let wish = Wish { verb, group: &route.kind.group, resource, subresource, namespace, name: &name, path: "" };
    if cluster.allows(&user, &wish) {
        return Ok(());
    }
    Err(Failure::forbidden(route.kind, &name, &wish.refusal(&user)))
}

/// Refuses a path that is no resource, unless the sender may ask for it.
pub(super) fn check_path(web: &Web, head: &Parts, path: &str) -> Result<(), Failure> {
    let cluster = &web.cluster;
    if !cluster.options.rbac {
        return Ok(());
    }
    let user = caller(cluster, head)?;
    let verb = if head.method == Method::GET { "get".to_owned() } else { head.method.as_str().to_lowercase() };
    let wish = Wish { verb: &verb, path, ..Wish::default() };
    if cluster.allows(&user, &wish) {
        return Ok(());
    }
    Err(Failure::new(403, "Forbidden", format!("forbidden: {}", wish.refusal(&user))))
}
