//! Reviews: questions about tokens and permissions, answered and not stored.

use serde_json::{Value, json};

use crate::{
    auth::{User, Wish},
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::Kind,
};

/// Completes a review of that kind by its `status`. `caller` is who asks.
pub(super) fn answer(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    caller: &User,
    mut review: Value,
) -> Result<Value, Failure> {
    let status = match kind.plural.as_str() {
        "tokenreviews" => token(cluster, kind, &review)?,
        "selfsubjectreviews" => json!({"userInfo": info(caller)}),
        "selfsubjectrulesreviews" => rules(cluster, caller, &review),
        "selfsubjectaccessreviews" => access(cluster, kind, caller, "", &review)?,
        _ => {
            let spec = |field| json::text(&review, &["spec", field]);
            let groups = json::items(&review, &["spec", "groups"]).iter().filter_map(Value::as_str).map(str::to_owned);
            let subject = User { name: spec("user").to_owned(), groups: groups.collect() };
            if subject.name.is_empty() && subject.groups.is_empty() {
                let why = "Invalid value: \"\": at least one of user or group must be specified";
                return Err(Failure::invalid(kind, "", "spec.user", why));
            }
            access(cluster, kind, &subject, namespace, &review)?
        }
    };
    json::set(&mut review, &["apiVersion"], kind.api_version());
    json::set(&mut review, &["kind"], kind.kind.as_str());
    json::set_default(&mut review, &["metadata"], json!({}));
    json::set(&mut review, &["status"], status);
    Ok(review)
}

fn info(user: &User) -> Value {
    json!({"username": user.name, "groups": user.groups})
}

fn token(cluster: &Cluster, kind: &Kind, review: &Value) -> Result<Value, Failure> {
    let token = json::text(review, &["spec", "token"]);
    if token.is_empty() {
        return Err(Failure::bad_request(format!("token is required for {} in authentication", kind.kind)));
    }
    Ok(match cluster.holder(token) {
        Some(user) => json!({
            "authenticated": true, "user": info(&user), "audiences": json::items(review, &["spec", "audiences"]),
        }),
        None => json!({"authenticated": false, "user": {}, "error": "invalid bearer token"}),
    })
}

/// What the review asks leave for; `namespace` is that of the path, where it has one.
fn access(cluster: &Cluster, kind: &Kind, user: &User, namespace: &str, review: &Value) -> Result<Value, Failure> {
    let spec = review.get("spec").cloned().unwrap_or_default();
    let resource = spec.get("resourceAttributes").filter(|attributes| attributes.is_object());
    let path = spec.get("nonResourceAttributes").filter(|attributes| attributes.is_object());
    let (attributes, is_path) = match (resource, path) {
        (Some(attributes), None) => (attributes, false),
        (None, Some(attributes)) => (attributes, true),
        _ => {
            let why = "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return Err(Failure::invalid(kind, "", "spec.resourceAttributes", why));
        }
    };
    let text = |field| json::text(attributes, &[field]);
    if !namespace.is_empty() && text("namespace") != namespace {
        let message = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
        return Err(Failure::bad_request(message));
    }
    let wish = if is_path {
        Wish { verb: text("verb"), path: text("path"), ..Wish::default() }
    } else {
        Wish {
            verb: text("verb"),
            group: text("group"),
            resource: text("resource"),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
            path: "",
        }
    };
    let allowed = cluster.allows(user, &wish);
    Ok(if allowed { json!({"allowed": true}) } else { json!({"allowed": false, "reason": wish.refusal(user)}) })
}

fn rules(cluster: &Cluster, user: &User, review: &Value) -> Value {
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    let all_paths = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    let mut rules = cluster.rules(user, json::text(review, &["spec", "namespace"]));
    if !cluster.options.rbac || user.may_do_everything() {
        rules = vec![everything, all_paths];
    }
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| json::items(rule, &["resources"]).is_empty());
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}
