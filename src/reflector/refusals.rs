//! Pods of ours that kubelets refuse. A pod that has failed is not watched with the others, so that this takes a watch of
//! its own for each name that pods can choose us by.

use std::sync::Arc;

use hashbrown::HashSet;
use kube::Api;
use plimsoll_engine::event::Event;
use plimsoll_framework::api;
use plimsoll_framework::pod::{KubeletRefusal, Uid};
use tokio_util::sync::CancellationToken;

use super::slim::Slim;
use super::{Orders, Reflectors, Sink, Unseen, config};
use crate::admin::Check;
use crate::record::Told;

/// What metrics and the log call them.
pub(super) const KIND: &str = "FailedPod";

impl Reflectors {
    /// Watches failed pods of the scheduler `name` until `stop`. Nothing waits for the list: what was refused before
    /// anybody looked is not news.
    pub async fn refusals(self: Arc<Self>, list: usize, name: String, synced: Check, stop: CancellationToken) {
        let config = config().fields(&format!("status.phase=Failed,spec.schedulerName={}", escaped(&name)));
        let api = Api::<Slim<api::Pod, true>>::all(self.client.clone());
        let mut refusals = Refusals::default();
        self.reflect(KIND, api, config, &mut refusals, (list, &synced), (&stop, &mut Orders::none())).await;
    }
}

/// A value as field selectors write it.
fn escaped(value: &str) -> String {
    let special = |c: char| matches!(c, ',' | '=' | '\\').then_some('\\');
    value.chars().flat_map(|c| special(c).into_iter().chain([c])).collect()
}

/// Which refusals are known. There are no more of them than the server has failed pods.
#[derive(Default)]
pub(super) struct Refusals {
    told: HashSet<Uid>,
    /// Those in the list that is being read.
    listed: HashSet<Uid>,
    /// Whether one was read: what comes later is news, be it by a watch or by another list.
    has_read: bool,
}

impl Sink<Slim<api::Pod, true>> for Refusals {
    fn apply(&mut self, object: Slim<api::Pod, true>) -> Option<Told> {
        // Of one that does not decode nobody knows why it has failed.
        let refusal = object.object.ok().as_ref().and_then(KubeletRefusal::of)?;
        let uid = &refusal.key.uid;
        self.listed.insert(uid.clone());
        let news = self.told.insert(uid.clone()) && self.has_read;
        news.then(|| Event::RefusedByKubelet(Box::new(refusal)).into())
    }
    fn delete(&mut self, object: Slim<api::Pod, true>) -> Option<Told> {
        let uid = Uid::new(&object.metadata().uid);
        self.told.remove(&uid);
        self.listed.remove(&uid);
        None
    }
    fn list_begins(&mut self) {
        self.listed.clear();
    }
    fn unseen(&self) -> Unseen {
        Unseen::SaidElsewhere
    }
    fn list_ends(&mut self) -> Option<Event> {
        self.has_read = true;
        self.told = std::mem::take(&mut self.listed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(uid: &str) -> Slim<api::Pod, true> {
        let json = format!(
            r#"{{"metadata":{{"name":"p","namespace":"ns","uid":"{uid}"}},"spec":{{"nodeName":"n"}},
                 "status":{{"phase":"Failed","reason":"OutOfcpu"}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn any_name_can_be_selected() {
        assert_eq!((escaped("plimsoll"), escaped(r"a=b,\c")), ("plimsoll".to_owned(), r"a\=b\,\\c".to_owned()));
    }

    #[test]
    fn each_refusal_is_news_once_and_old_ones_never_are() {
        let mut refusals = Refusals::default();
        let tells = |refusals: &mut Refusals, uid: &str| refusals.apply(refused(uid)).is_some();
        refusals.list_begins();
        assert!(!tells(&mut refusals, "old"));
        assert!(refusals.list_ends().is_none());
        assert!(!tells(&mut refusals, "old"), "its labels have changed");
        assert!(tells(&mut refusals, "new") && !tells(&mut refusals, "new"));
        // Another list: of what the watch has missed, it tells.
        refusals.list_begins();
        assert!(!tells(&mut refusals, "new") && tells(&mut refusals, "missed"));
        refusals.list_ends();
        assert!(!refusals.told.contains(&Uid::new("old")), "what is gone is forgotten");
        assert!(!tells(&mut refusals, "missed"));
        assert!(refusals.delete(refused("missed")).is_none());
        assert_eq!(refusals.told.len(), 1);
    }

    #[test]
    fn other_failures_and_what_does_not_decode_are_nobodys_news() {
        let mut refusals = Refusals { has_read: true, ..Refusals::default() };
        for json in [
            r#"{"metadata":{"name":"p","uid":"1"},"spec":{"nodeName":"n"},"status":{"phase":"Failed"}}"#,
            r#"{"metadata":{"name":"p","uid":"2"},"spec":{"nodeName":"n","containers":7},"status":{"phase":"Failed","reason":"OutOfcpu"}}"#,
        ] {
            assert!(refusals.apply(serde_json::from_str(json).unwrap()).is_none(), "{json}");
        }
        assert!(refusals.told.is_empty());
    }
}
