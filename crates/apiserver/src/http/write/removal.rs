//! Requests that take objects away: deletions and evictions.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{CREATED, Write};
use crate::{
    failure::Failure,
    http::{Body, json_bytes, lists::page_request, value},
    json,
    kinds::Role,
    ops::{DeleteOptions, Deleted, Propagation, Target},
};

impl Write<'_> {
    pub(super) fn evict(&self) -> Result<Response<Body>, Failure> {
        let eviction = self.body().object()?;
        check_eviction(&eviction, &self.route.name)?;
        let options = eviction.get("deleteOptions").cloned().unwrap_or_default();
        let options = self.delete_options(&options)?;
        self.cluster.evict(&self.route.namespace, &self.route.name, &options)?;
        Ok(json_bytes(StatusCode::CREATED, CREATED))
    }

    pub(super) fn delete(&self) -> Result<Response<Body>, Failure> {
        let options = self.delete_options(&self.body().options()?)?;
        let kind = self.route.kind;
        match self.cluster.delete(self.stored_target(), &options)? {
            Deleted::Marked(stored) => Ok(self.shown(StatusCode::OK, &stored)),
            // Some kinds show what is gone, the others only say that it is.
            Deleted::Gone(stored) if matches!(kind.role, Role::Pod | Role::Service) => {
                Ok(self.shown(StatusCode::OK, &stored))
            }
            Deleted::Gone(stored) => {
                let details =
                    json!({"name": &*stored.name, "group": kind.group, "kind": kind.plural, "uid": &*stored.uid});
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                });
                Ok(value(StatusCode::OK, &status))
            }
        }
    }

    pub(super) fn delete_collection(&self) -> Result<Response<Body>, Failure> {
        let options = self.delete_options(&self.body().options()?)?;
        let request = page_request(self.route, self.query)?;
        let page = self.cluster.list(self.route.kind, &request)?;
        for object in &page.objects {
            match self.cluster.delete(Target::of(self.stored_target().kind, object), &options) {
                Err(failure) if failure.code != 404 => return Err(failure),
                _ => {}
            }
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        Ok(value(StatusCode::OK, &status))
    }

    /// Options from the body, or from the query where the body says nothing.
    fn delete_options(&self, body: &Value) -> Result<DeleteOptions, Failure> {
        let text = |path: &[&str]| Some(json::text(body, path).to_owned()).filter(|text| !text.is_empty());
        let query_grace = self.query.number("gracePeriodSeconds")?.and_then(|grace| i64::try_from(grace).ok());
        let policy = text(&["propagationPolicy"]);
        let policy = policy.as_deref().unwrap_or_else(|| self.query.get("propagationPolicy"));
        let orphan = json::flag(body, &["orphanDependents"]) || self.query.flag("orphanDependents");
        if !matches!(policy, "" | "Background" | "Foreground" | "Orphan") {
            let why = format!(
                "Unsupported value: \"{policy}\": supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\""
            );
            return Err(Failure::invalid_option("DeleteOptions", "propagationPolicy", &why));
        }
        if orphan && !policy.is_empty() {
            let why = "Invalid value: \"object\": orphanDependents and propagationPolicy cannot be both set";
            return Err(Failure::invalid_option("DeleteOptions", "propagationPolicy", why));
        }
        let dry_run = json::items(body, &["dryRun"]).iter().any(|item| item == "All");
        Ok(DeleteOptions {
            grace_seconds: json::int(body, &["gracePeriodSeconds"]).or(query_grace),
            uid: text(&["preconditions", "uid"]),
            version: text(&["preconditions", "resourceVersion"]),
            propagation: match policy {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ if orphan => Propagation::Orphan,
                _ => Propagation::Background,
            },
            dry_run: dry_run || self.query.dry_run(),
        })
    }
}

fn check_eviction(eviction: &Value, name: &str) -> Result<(), Failure> {
    let api_version = json::text(eviction, &["apiVersion"]);
    if !matches!(api_version, "" | "policy/v1" | "policy/v1beta1")
        || !matches!(json::text(eviction, &["kind"]), "" | "Eviction")
    {
        return Err(Failure::bad_request(format!("the object in the body is no Eviction of policy/v1: {api_version}")));
    }
    match json::text(eviction, &["metadata", "name"]) {
        own if own == name => Ok(()),
        _ => Err(Failure::bad_request("name in URL does not match name in Eviction object")),
    }
}
