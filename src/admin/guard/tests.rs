use std::collections::VecDeque;
use std::convert::Infallible;

use axum::http::Response as HttpResponse;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that knows three tokens, and what their holders may do.
#[derive(Clone, Default)]
struct Api {
    asked: Arc<Mutex<Vec<Value>>>,
    /// What it answers to the next questions instead of the truth.
    troubles: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
}

impl Api {
    fn answer(&self, question: &Value) -> (u16, String) {
        lock(&self.asked).push(question.clone());
        if let Some((code, body)) = lock(&self.troubles).pop_front() {
            return (code, body.to_owned());
        }
        let spec = &question["spec"];
        let status = if question["kind"] == "TokenReview" {
            match spec["token"].as_str().unwrap() {
                "alice" => json!({"authenticated": true, "user": {"username": "alice", "uid": "7", "groups": ["dev"]}}),
                "root" => json!({"authenticated": true, "user": {"username": "root", "groups": ["system:masters"]}}),
                "nameless" => json!({"authenticated": true, "user": {}}),
                _ => json!({"authenticated": false, "error": "no such token"}),
            }
        } else {
            let wish = &spec["nonResourceAttributes"];
            match (spec["user"].as_str().unwrap(), wish["verb"].as_str().unwrap(), wish["path"].as_str().unwrap()) {
                ("alice", "get", "/metrics") => json!({"allowed": true}),
                ("alice", "get", "/debug/queue") => json!({"allowed": true, "denied": true, "reason": "not today"}),
                ("system:anonymous", "get", "/public") => json!({"allowed": true}),
                _ => json!({"allowed": false}),
            }
        };
        (201, json!({"status": status}).to_string())
    }

    fn guard(&self, settings: GuardSettings) -> Guard {
        let api = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let api = api.clone();
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let (code, body) = api.answer(&serde_json::from_slice(&body).unwrap());
                let answer = HttpResponse::builder().status(code).body(Body::from(body.into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let client = kube::Client::new(service, "default");
        Guard::new(settings, client, Arc::new(Metrics::new().unwrap())).unwrap()
    }

    fn asked(&self) -> usize {
        lock(&self.asked).len()
    }
}

fn forbidden(text: &str) -> Result<(), Refusal> {
    Err(Refusal::Forbidden(format!("forbidden: {text}")))
}

#[tokio::test]
async fn the_api_server_says_who_may_do_what() {
    let api = Api::default();
    let guard = api.guard(GuardSettings::default());
    for (token, verb, path, expect) in [
        (Some("alice"), "get", "/metrics", Ok(())),
        (Some("alice"), "put", "/log-level", forbidden("User \"alice\" cannot put path \"/log-level\"")),
        (Some("alice"), "get", "/debug/queue", forbidden("User \"alice\" cannot get path \"/debug/queue\": not today")),
        (Some("root"), "put", "/log-level", Ok(())),
        (Some("nobody"), "get", "/metrics", Err(Refusal::Unauthorized)),
        (Some("nameless"), "get", "/metrics", Err(Refusal::Unauthorized)),
        (None, "get", "/metrics", forbidden("User \"system:anonymous\" cannot get path \"/metrics\"")),
        (None, "get", "/public", Ok(())),
    ] {
        assert_eq!(guard.look_at(token, verb, path).await, expect, "{token:?} {verb} {path}");
    }
    let about_alice = lock(&api.asked).iter().find(|q| q["spec"]["user"] == "alice").unwrap()["spec"].clone();
    assert_eq!(
        about_alice,
        json!({
            "user": "alice", "uid": "7", "groups": ["dev", "system:authenticated"], "extra": {},
            "nonResourceAttributes": {"verb": "get", "path": "/metrics"},
        })
    );
    let anonymous = lock(&api.asked).iter().find(|q| q["spec"]["user"] == "system:anonymous").unwrap().clone();
    assert_eq!(anonymous["spec"]["groups"], json!(["system:unauthenticated"]));
}

#[tokio::test]
async fn nobody_gets_in_while_the_api_server_is_in_trouble() {
    let cannot = "cannot find out whether this is allowed: creating a ";
    for (troubles, expect) in [
        (vec![(500, "")], "TokenReview: the API server answered 500 Internal Server Error"),
        (vec![(403, "{}")], "TokenReview: the API server answered 403 Forbidden"),
        (vec![(200, "<html>")], "TokenReview: the API server's answer cannot be read"),
        (vec![(201, r#"{"status": {"authenticated": "yes"}}"#)], "TokenReview: the API server's answer cannot be read"),
        (
            vec![(201, r#"{"status": {"authenticated": true, "user": {"username": "alice"}}}"#), (429, "")],
            "SubjectAccessReview: the API server answered 429 Too Many Requests",
        ),
    ] {
        let api = Api::default();
        let guard = api.guard(GuardSettings::default());
        lock(&api.troubles).extend(troubles);
        let answer = guard.look_at(Some("alice"), "get", "/metrics").await;
        assert_eq!(answer, Err(Refusal::Unavailable(format!("{cannot}{expect}"))));
        // Trouble is not remembered.
        assert_eq!(guard.look_at(Some("alice"), "get", "/metrics").await, Ok(()), "{expect}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_shown_while_it_is_missing() {
    let api = Api::default();
    let guard = api.guard(GuardSettings::default());
    lock(&api.troubles).push_back((403, "{}"));
    let missing = || guard.reviews.missing("tokenreviews.authentication.k8s.io");
    drop(guard.look_at(Some("alice"), "get", "/metrics").await);
    assert_eq!(missing(), 1);
    drop(guard.look_at(Some("alice"), "get", "/metrics").await);
    assert_eq!(missing(), 0);
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_for_their_time() {
    let api = Api::default();
    let seconds = Duration::from_secs;
    let guard = api.guard(GuardSettings {
        token_ttl: seconds(4),
        authorized_ttl: seconds(10),
        unauthorized_ttl: seconds(2),
        ..GuardSettings::default()
    });
    // (seconds to wait before, token, path, how many questions it takes)
    for (wait, token, path, questions) in [
        (0, "alice", "/metrics", 2),
        (0, "alice", "/metrics", 0),
        (0, "alice", "/configz", 1),
        (0, "nobody", "/metrics", 1),
        (1, "nobody", "/metrics", 0),
        (1, "alice", "/configz", 1),
        (2, "alice", "/metrics", 1),
        (0, "nobody", "/metrics", 1),
        (3, "alice", "/metrics", 0),
        (3, "alice", "/metrics", 2),
    ] {
        tokio::time::advance(seconds(wait)).await;
        let before = api.asked();
        drop(guard.look_at(Some(token), "get", path).await);
        assert_eq!(api.asked() - before, questions, "{token} {path}");
    }
}

#[test]
fn only_bearer_tokens_count() {
    for (value, expect) in [
        (Some("Bearer abc"), Some("abc")),
        (Some("bearer abc"), Some("abc")),
        (Some("Bearer abc def"), Some("abc")),
        (Some("Bearer "), None),
        (Some("Bearer"), None),
        (Some("Basic YTpi"), None),
        (Some(""), None),
        (None, None),
    ] {
        let value = value.map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        assert_eq!(bearer(&value.into_iter().collect()), expect);
    }
}

/// Neither a digest nor anything else that is kept shows a token.
#[tokio::test]
async fn tokens_are_kept_as_digests_of_this_process() {
    let api = Api::default();
    let (one, other) = (api.guard(GuardSettings::default()), api.guard(GuardSettings::default()));
    assert_eq!(one.digest(b"alice"), one.digest(b"alice"));
    assert_ne!(one.digest(b"alice"), one.digest(b"alicf"));
    assert_ne!(one.digest(b"alice"), other.digest(b"alice"), "each process has a key of its own");
}
