//! Requests that change something.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Body, accept::View, json_bytes, lists::page_request, query::Query, read::render, route::Route, value};
use crate::{
    cluster::Cluster,
    events,
    failure::Failure,
    json,
    kinds::Role,
    ops::{DeleteOptions, Deleted, Part, Propagation, Target},
    patch::{self, PatchType},
    stored::Stored,
};

/// What a successful binding or eviction answers.
const CREATED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#;

/// A request that changes something, with its body read.
pub(super) struct Write<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) headers: &'a HeaderMap,
    pub(super) route: &'a Route<'a>,
    pub(super) query: &'a Query<'a>,
    pub(super) view: View,
    pub(super) body: Bytes,
}

impl Write<'_> {
    pub(super) fn run(&self, verb: &str) -> Result<Response<Body>, Failure> {
        match (verb, self.route.subresource) {
            ("create", "") => self.create(),
            ("create", "binding") => self.bind(),
            ("create", "eviction") => self.evict(),
            ("update" | "patch", "scale") => self.scale(verb),
            ("update", _) => self.update(),
            ("patch", _) => self.patch(),
            ("delete", "") => self.delete(),
            ("deletecollection", "") => self.delete_collection(),
            _ => Err(Failure::wrong_method()),
        }
    }

    fn target(&self) -> Target<'_> {
        Target::new(self.route.kind, &self.route.namespace, &self.route.name)
    }

    fn shown(&self, status: StatusCode, stored: &Stored) -> Response<Body> {
        json_bytes(status, render(self.cluster, self.route.kind, self.view, stored))
    }

    fn create(&self) -> Result<Response<Body>, Failure> {
        let object = self.json_body()?;
        if self.route.kind.namespaced && self.route.namespace.is_empty() {
            return Err(Failure::wrong_method());
        }
        let stored = self.cluster.create(self.route.kind, &self.route.namespace, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::CREATED, &stored))
    }

    fn bind(&self) -> Result<Response<Body>, Failure> {
        let binding = self.json_body()?;
        let name = match &*self.route.name {
            "" => json::text(&binding, &["metadata", "name"]),
            name => name,
        };
        if !self.query.dry_run() {
            self.cluster.bind(&self.route.namespace, name, &binding)?;
        }
        Ok(json_bytes(StatusCode::CREATED, CREATED))
    }

    fn evict(&self) -> Result<Response<Body>, Failure> {
        let eviction = self.json_body()?;
        let options = eviction.get("deleteOptions").cloned().unwrap_or_default();
        let options = self.delete_options(&options)?;
        self.cluster.evict(&self.route.namespace, &self.route.name, &options)?;
        Ok(json_bytes(StatusCode::CREATED, CREATED))
    }

    fn part(&self) -> Result<Part, Failure> {
        match self.route.subresource {
            "" | "ephemeralcontainers" | "finalize" => Ok(Part::Main),
            "status" => Ok(Part::Status),
            "resize" => Ok(Part::Resize),
            _ => Err(Failure::wrong_method()),
        }
    }

    fn update(&self) -> Result<Response<Body>, Failure> {
        let mut object = self.json_body()?;
        if self.route.kind.role == Role::CoreEvent {
            object = events::from_core(object);
        }
        let stored = self.cluster.update(self.stored_target(), self.part()?, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::OK, &stored))
    }

    /// The target under the kind by which it is stored.
    fn stored_target(&self) -> Target<'_> {
        match self.route.kind.role {
            Role::CoreEvent => Target { kind: self.cluster.kinds.role(Role::Event), ..self.target() },
            _ => self.target(),
        }
    }

    fn patch(&self) -> Result<Response<Body>, Failure> {
        let (patch_type, patch) = self.patch_body()?;
        let (kind, target, part) = (self.route.kind, self.stored_target(), self.part()?);
        let core = kind.role == Role::CoreEvent;
        let stored = self.cluster.change(target, part, self.query.dry_run(), |object| {
            let object = if core { events::to_core(object) } else { object };
            let object = patch::apply(kind, patch_type, object, &patch)?;
            Ok(if core { events::from_core(object) } else { object })
        });
        match stored {
            Err(failure) if failure.code == 404 && patch_type == PatchType::Apply && part == Part::Main => {
                self.create_applied(patch)
            }
            stored => Ok(self.shown(StatusCode::OK, &*stored?)),
        }
    }

    /// Apply creates what is absent.
    fn create_applied(&self, mut object: Value) -> Result<Response<Body>, Failure> {
        json::set(&mut object, &["metadata", "name"], &*self.route.name);
        let stored = self.cluster.create(self.route.kind, &self.route.namespace, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::CREATED, &stored))
    }

    fn scale(&self, verb: &str) -> Result<Response<Body>, Failure> {
        let (patch_type, body) = match verb {
            "patch" => self.patch_body().map(|(patch_type, body)| (Some(patch_type), body))?,
            _ => (None, self.json_body()?),
        };
        let scale = self.cluster.change_scale(self.target(), self.query.dry_run(), |scale| match patch_type {
            Some(patch_type) => patch::apply(self.route.kind, patch_type, scale, &body),
            None => Ok(body.clone()),
        })?;
        Ok(value(StatusCode::OK, &scale))
    }

    fn delete(&self) -> Result<Response<Body>, Failure> {
        let options = self.delete_options(&self.optional_body()?)?;
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

    fn delete_collection(&self) -> Result<Response<Body>, Failure> {
        let options = self.delete_options(&self.optional_body()?)?;
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
        let orphan = json::flag(body, &["orphanDependents"]) || self.query.flag("orphanDependents");
        let dry_run = json::items(body, &["dryRun"]).iter().any(|item| item == "All");
        Ok(DeleteOptions {
            grace_seconds: json::int(body, &["gracePeriodSeconds"]).or(query_grace),
            uid: text(&["preconditions", "uid"]),
            version: text(&["preconditions", "resourceVersion"]),
            propagation: match policy.as_deref().unwrap_or_else(|| self.query.get("propagationPolicy")) {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ if orphan => Propagation::Orphan,
                _ => Propagation::Background,
            },
            dry_run: dry_run || self.query.dry_run(),
        })
    }

    fn media_type(&self) -> &str {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.map_or("", |text| text.split(';').next().unwrap_or_default().trim())
    }

    fn json_body(&self) -> Result<Value, Failure> {
        match self.media_type() {
            "" | "application/json" => parse(&self.body),
            other => Err(Failure::unsupported_media_type(other, "application/json")),
        }
    }

    fn optional_body(&self) -> Result<Value, Failure> {
        if self.body.is_empty() { Ok(Value::Null) } else { self.json_body() }
    }

    fn patch_body(&self) -> Result<(PatchType, Value), Failure> {
        let media_type = self.media_type();
        let patch_type =
            PatchType::of(media_type).ok_or_else(|| Failure::unsupported_media_type(media_type, patch::MEDIA_TYPES))?;
        Ok((patch_type, parse(&self.body)?))
    }
}

fn parse(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("the object provided is unrecognized (must be of type JSON): {error}"))
    })
}
