//! Requests that change something.

mod removal;

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::Value;

use super::{Body, accept::View, access, decode, json_bytes, query::Query, read::render, reviews, route::Route, value};
use crate::{
    cluster::Cluster,
    events,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    ops::{Part, Target},
    patch::{self, PatchType},
    stored::Stored,
    tokens,
};

/// What a successful binding or eviction answers.
const CREATED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#;

/// A request that changes something, with its body read.
pub(super) struct Write<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) head: &'a Parts,
    pub(super) route: &'a Route<'a>,
    pub(super) query: &'a Query<'a>,
    pub(super) view: View,
    pub(super) body: Bytes,
}

impl Write<'_> {
    pub(super) fn run(&self, verb: &str) -> Result<Response<Body>, Failure> {
        self.check_options(verb)?;
        match (verb, self.route.subresource) {
            ("create", "") => self.create(),
            ("create", "binding") => self.bind(),
            ("create", "eviction") => self.evict(),
            ("create", "token") => self.issue_token(),
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

    /// Refuses parameters with values that they cannot have.
    fn check_options(&self, verb: &str) -> Result<(), Failure> {
        let options = match verb {
            "create" => "CreateOptions",
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            _ => "DeleteOptions",
        };
        for (parameter, supported) in
            [("dryRun", ["All"].as_slice()), ("fieldValidation", &["Ignore", "Strict", "Warn"])]
        {
            let value = self.query.get(parameter);
            if !value.is_empty() && !supported.contains(&value) {
                let supported = supported.join("\", \"");
                let why = format!("Unsupported value: \"{value}\": supported values: \"{supported}\"");
                return Err(Failure::invalid_option(options, parameter, &why));
            }
        }
        Ok(())
    }

    fn create(&self) -> Result<Response<Body>, Failure> {
        let object = self.body().object()?;
        if !matches!(json::text(&object, &["metadata", "resourceVersion"]), "" | "0") {
            return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
        }
        if self.route.kind.namespaced && self.route.namespace.is_empty() {
            return Err(Failure::wrong_method());
        }
        if self.route.kind.role == Role::Review {
            let caller = access::caller(self.cluster, self.head)?;
            let kind = self.route.kind;
            let review = reviews::answer(self.cluster, kind, &self.route.namespace, &caller, object)?;
            return Ok(value(StatusCode::CREATED, &review));
        }
        let stored = self.cluster.create(self.route.kind, &self.route.namespace, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::CREATED, &stored))
    }

    fn bind(&self) -> Result<Response<Body>, Failure> {
        let binding = self.body().object()?;
        let name = match &*self.route.name {
            "" => json::text(&binding, &["metadata", "name"]),
            name => name,
        };
        if !self.query.dry_run() {
            self.cluster.bind(&self.route.namespace, name, &binding)?;
        }
        Ok(json_bytes(StatusCode::CREATED, CREATED))
    }

    /// Answers a TokenRequest for a service account.
    fn issue_token(&self) -> Result<Response<Body>, Failure> {
        let request = self.body().object()?;
        let account = self.cluster.get(self.target())?.value();
        let answer = tokens::issue(self.cluster, &account, request, self.query.dry_run());
        Ok(value(StatusCode::CREATED, &answer))
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
        let object = events::stored(self.route.kind, self.stored_kind(), self.body().object()?);
        let stored = self.cluster.update(self.stored_target(), self.part()?, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::OK, &stored))
    }

    fn stored_kind(&self) -> &Kind {
        self.cluster.kinds.stored(self.route.kind)
    }

    /// The target under the kind by which it is stored.
    fn stored_target(&self) -> Target<'_> {
        Target { kind: self.stored_kind(), ..self.target() }
    }

    fn patch(&self) -> Result<Response<Body>, Failure> {
        let (patch_type, patch) = self.body().patch()?;
        self.check_apply(patch_type, &patch)?;
        let (kind, target, part) = (self.route.kind, self.stored_target(), self.part()?);
        let stored = self.cluster.change(target, part, self.query.dry_run(), |object| {
            let object = patch::apply(kind, patch_type, events::shown(kind, object), &patch)?;
            Ok(events::stored(kind, target.kind, object))
        });
        match stored {
            Err(failure) if failure.code == 404 && patch_type == PatchType::Apply && part == Part::Main => {
                self.create_applied(patch)
            }
            stored => Ok(self.shown(StatusCode::OK, &*stored?)),
        }
    }

    /// Refuses what only an apply must say, or only an apply may.
    fn check_apply(&self, patch_type: PatchType, patch: &Value) -> Result<(), Failure> {
        let refused = |field, why| Err(Failure::invalid_option("PatchOptions", field, why));
        if patch_type != PatchType::Apply {
            return match self.query.get("force") {
                "" => Ok(()),
                _ => refused("force", "Forbidden: may not be specified for non-apply patch"),
            };
        }
        if self.query.get("fieldManager").is_empty() {
            return refused("fieldManager", "Required value: is required for apply patch");
        }
        let (api_version, kind) = (json::text(patch, &["apiVersion"]), json::text(patch, &["kind"]));
        if api_version.is_empty() || kind.is_empty() {
            return Err(Failure::bad_request(format!("invalid object type: {api_version}, Kind={kind}")));
        }
        if !json::items(patch, &["metadata", "managedFields"]).is_empty() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        Ok(())
    }

    /// Apply creates what is absent.
    fn create_applied(&self, mut object: Value) -> Result<Response<Body>, Failure> {
        let name = &*self.route.name;
        let uid = json::text(&object, &["metadata", "uid"]);
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Failure::conflict(self.route.kind, &self.route.kind.qualified(), name, &why));
        }
        json::set(&mut object, &["metadata", "name"], name);
        let stored = self.cluster.create(self.route.kind, &self.route.namespace, object, self.query.dry_run())?;
        Ok(self.shown(StatusCode::CREATED, &stored))
    }

    fn scale(&self, verb: &str) -> Result<Response<Body>, Failure> {
        let (patch_type, body) = match verb {
            "patch" => self.body().patch().map(|(patch_type, body)| (Some(patch_type), body))?,
            _ => (None, self.body().object()?),
        };
        let scale =
            self.cluster.change_scale(self.stored_target(), self.query.dry_run(), |scale| match patch_type {
                Some(patch_type) => patch::apply(self.route.kind, patch_type, scale, &body),
                None => Ok(body.clone()),
            })?;
        Ok(value(StatusCode::OK, &scale))
    }

    fn body(&self) -> decode::BodyOf<'_> {
        let strict = self.query.get("fieldValidation") == "Strict";
        decode::BodyOf { kind: self.route.kind, headers: &self.head.headers, bytes: &self.body, strict }
    }
}
