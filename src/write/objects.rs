//! What plugins want written before a pod is bound: volumes and claims.
//!
//! Each write is tried once. It names the version that was looked at, so where it meets another one it fails, and so does
//! the attempt: the next one looks again. Where an answer is lost nothing is asked either: what was done comes back by the
//! watch.

use bytes::Bytes;
use http::Method;
use plimsoll_engine::effect::WriteRequest;
use plimsoll_engine::event::{Event, WriteFailure};
use plimsoll_framework::plugin::Write;

use super::{Lanes, NOT_LEADING, NotAllowed, refusal, segment};
use crate::client::{RawRequest, describe};

impl Lanes {
    /// Writes what a pod needs, one after the other, and tells the engine how that ended.
    pub(super) async fn write_before_binding(&self, request: WriteRequest) {
        let mut result = Ok(());
        for (plugin, write) in &request.writes {
            if let Err(message) = self.write_object(write).await {
                tracing::debug!(pod = %request.pod.key, %plugin, %message, "a write before a binding failed");
                result = Err(WriteFailure { plugin, message });
                break;
            }
        }
        let uid = request.pod.key.uid.clone();
        self.settings.inbox.event(Event::WritesFinished { uid, result });
    }

    /// Carries out a write that a plugin asked for.
    pub(super) async fn write_object(&self, write: &Write) -> Result<(), String> {
        let act = if write.namespace.is_empty() {
            format!("patching {} {}", write.plural, write.name)
        } else {
            format!("patching {} {}/{}", write.plural, write.namespace, write.name)
        };
        let path = path(write);
        let request = RawRequest {
            method: Method::PATCH,
            path: &path,
            content_type: "application/merge-patch+json",
            body: Bytes::from(write.merge_patch.to_string()),
            timeout: self.settings.bind_timeout,
        };
        let sent = self.volumes.send(&self.settings.clients.objects, &request, || self.leads()).await;
        let answer = sent.map_err(|NotAllowed| format!("{act}: {NOT_LEADING}"))?;
        let answer = answer.map_err(|error| format!("{act}: {}", describe(&error)))?;
        self.permission("patch", &write.plural, &answer);
        if answer.status.is_success() { Ok(()) } else { Err(format!("{act}: {}", refusal(&answer))) }
    }
}

fn path(write: &Write) -> String {
    let root = if write.group.is_empty() { "api".to_owned() } else { format!("apis/{}", segment(&write.group)) };
    let mut path = format!("/{root}/{}", segment(&write.version));
    if !write.namespace.is_empty() {
        path.push_str(&format!("/namespaces/{}", segment(&write.namespace)));
    }
    path.push_str(&format!("/{}/{}", segment(&write.plural), segment(&write.name)));
    if let Some(subresource) = &write.subresource {
        path.push_str(&format!("/{}", segment(subresource)));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_goes_where_it_says_and_nowhere_else() {
        let write = |group: &str, namespace: &str, name: &str, subresource: Option<&str>| Write {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: "things".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.map(str::to_owned),
            merge_patch: serde_json::Value::Null,
        };
        let rows = [
            (write("", "", "a", None), "/api/v1/things/a"),
            (write("", "n", "a", Some("status")), "/api/v1/namespaces/n/things/a/status"),
            (write("g.example.com", "n", "../b", None), "/apis/g.example.com/v1/namespaces/n/things/..%2Fb"),
        ];
        for (write, expect) in rows {
            assert_eq!(path(&write), expect);
        }
    }
}
