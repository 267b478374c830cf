//! Kinds whose version is the server's to say: asked for by discovery, which everybody may read.

use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashSet;
use http::{Method, StatusCode};
use kube::Client;
use plimsoll_engine::event::Event;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::backoff::Pace;
use super::{Ended, Reflectors, list_seed};
use crate::admin::Check;
use crate::client::{RawRequest, describe, send};

/// How long discovery may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether a kind has come that was not served: somebody may define it at any time.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    versions: Vec<Version>,
    preferred_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}

impl Reflectors {
    /// Watches a kind whose version is the server's to say, and which it need not serve, until `stop`.
    pub(super) async fn objects_of_any_version(
        &self,
        list: usize,
        kind: KindRef,
        synced: Check,
        stop: CancellationToken,
    ) {
        let mut pace = Pace::new(self.seed ^ list_seed(list));
        let mut told = None;
        loop {
            let found = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                found = version_of(&self.client, &kind) => found,
            };
            let wait = match found {
                Ok(Some(version)) => {
                    tracing::info!(kind = ?kind, version, "the server serves this kind");
                    let served = Some(Istr::new(&version));
                    self.inbox.event(Event::KindServed { kind, version: served });
                    told = Some(true);
                    if self.objects_of(kind, &version, (list, &synced), &stop).await == Ended::Stopped {
                        return;
                    }
                    pace.next().unwrap_or(LOOK_AGAIN)
                }
                Ok(None) => {
                    if told != Some(false) {
                        tracing::info!(kind = ?kind, "the server does not serve this kind; there are none");
                        let none = Event::ObjectsListed { kind, present: HashSet::new() };
                        self.inbox.events(vec![Event::KindServed { kind, version: None }.into(), none.into()]);
                        self.inbox.synced(list, synced.clone());
                    }
                    told = Some(false);
                    LOOK_AGAIN
                }
                Err(error) => {
                    synced
                        .fail_unless_passing(format!("discovering {}.{}: {error}; retrying", kind.plural, kind.group));
                    tracing::warn!(kind = ?kind, %error, "discovering a kind; retrying");
                    pace.next().unwrap_or(LOOK_AGAIN)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// The version in which the server serves a kind, the preferred one where it does in several; `None` where it does not.
/// The error says what went wrong.
async fn version_of(client: &Client, kind: &KindRef) -> Result<Option<String>, String> {
    match discover(client, kind).await {
        Ok(version) => Ok(version),
        // Whether it is served shows when it is listed.
        Err(Unread::Forbidden) => Ok(Some(kind.version.to_owned())),
        Err(Unread::Other(error)) => Err(error),
    }
}

/// Why something was not read.
enum Unread {
    /// Hardly any cluster forbids discovery.
    Forbidden,
    Other(String),
}

async fn discover(client: &Client, kind: &KindRef) -> Result<Option<String>, Unread> {
    let Some(group) = read::<Group>(client, &format!("/apis/{}", kind.group)).await? else { return Ok(None) };
    for version in candidates(group) {
        let path = format!("/apis/{}/{version}", kind.group);
        let listed = read::<Resources>(client, &path).await?;
        if listed.is_some_and(|list| list.resources.iter().any(|resource| resource.name == kind.plural)) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// The versions of a group, each once, in the order in which they are wanted.
fn candidates(group: Group) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for Version { version } in group.preferred_version.into_iter().chain(group.versions) {
        // It becomes part of a path.
        if version.bytes().all(|b| b.is_ascii_alphanumeric()) && !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

/// `None` where there is nothing at this path.
async fn read<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<Option<T>, Unread> {
    let request = RawRequest { method: Method::GET, path, content_type: "", body: Bytes::new(), timeout: TIMEOUT };
    let answer = send(client, request).await.map_err(|error| Unread::Other(describe(&error)))?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::FORBIDDEN => Err(Unread::Forbidden),
        status if status.is_success() => {
            serde_json::from_slice(&answer.body).map(Some).map_err(|error| Unread::Other(format!("{path}: {error}")))
        }
        status => Err(Unread::Other(format!("{path}: {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_version_is_asked_about_first() {
        let group = r#"{"versions":[{"version":"v1"},{"version":"v1beta1"},{"version":"../x"}],
                        "preferredVersion":{"version":"v1beta1"}}"#;
        assert_eq!(candidates(serde_json::from_str(group).unwrap()), ["v1beta1", "v1"]);
        assert!(candidates(serde_json::from_str("{}").unwrap()).is_empty());
    }
}
