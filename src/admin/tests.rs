use axum::body::to_bytes;
use tracing_subscriber::fmt::TestWriter;

use super::*;
use crate::logging::{LogFormat, LogLevel, subscriber};

async fn put(path: &str, peer: &str, body: &str) -> (StatusCode, String, String) {
    put_as(None, path, peer, body).await
}

async fn put_as(who: Option<guard::Authorized>, path: &str, peer: &str, body: &str) -> (StatusCode, String, String) {
    let (_subscriber, log) = subscriber(LogFormat::Text, &LogLevel::default(), TestWriter::new, false).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let admin = Admin { health: Health::new(), metrics, configz: Arc::new(|| serde_json::json!({})), log: log.clone() };
    let mut request = Request::put(path).body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(Peer(peer.parse().unwrap()));
    if let Some(authorized) = who {
        request.extensions_mut().insert(authorized);
    }
    let answer = routes::router(admin).oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), log.current().unwrap())
}

#[tokio::test]
async fn only_this_host_may_change_the_log_level() {
    for (peer, allowed) in [
        ("127.0.0.1:5", true),
        ("127.9.9.9:5", true),
        ("[::1]:5", true),
        ("[::ffff:127.0.0.1]:5", true),
        ("10.0.0.7:5", false),
        ("[::ffff:10.0.0.7]:5", false),
        ("[fe80::1]:5", false),
    ] {
        for (path, body, filter) in
            [("/log-level", "warn,plimsoll=trace\n", "plimsoll=trace"), ("/debug/flags/v", "6", "plimsoll=trace")]
        {
            let (status, said, now) = put(path, peer, body).await;
            assert_eq!(status, if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN }, "{peer} {path}: {said}");
            assert_eq!(now.contains(filter), allowed, "{peer} {path}: {now}");
        }
    }
}

#[tokio::test]
async fn whoever_was_found_to_be_allowed_may_change_it_from_anywhere() {
    let (status, _, now) = put_as(Some(guard::Authorized), "/debug/flags/v", "10.0.0.7:5", "6").await;
    assert!(status == StatusCode::OK && now.contains("plimsoll=trace"), "{now}");
}

#[tokio::test]
async fn what_is_no_level_is_refused() {
    for (path, body) in [
        ("/log-level", ""),
        ("/log-level", "loud"),
        ("/debug/flags/v", "-1"),
        ("/debug/flags/v", "256"),
        ("/debug/flags/v", "four"),
        ("/debug/flags/v", ""),
    ] {
        let (status, said, now) = put(path, "127.0.0.1:5", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body:?}");
        assert!(!said.is_empty() && now.contains("info"));
    }
    let (status, ..) = put("/log-level", "127.0.0.1:5", &"x".repeat(5_000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
