//! List and watch, as kube-runtime's watcher does it and with its words, but for the list: that is read object by object
//! as it comes, and given up when nothing comes.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::runtime::watcher::{Config, Error, Event, ListSemantic, Result};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::list::{self, ListMeta, Listed, Listing};

/// The server ends a watch by itself; one that has said nothing for so much longer is on a dead connection.
const MARGIN: Duration = Duration::from_secs(5);

/// What can be watched.
pub(super) trait Watched: Resource + Clone + DeserializeOwned + Debug + Send + 'static {}
impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Watched for K {}

/// Everything there is, and then what happens to it. Whoever asks again after an error has it tried again at once.
pub(super) fn watcher<K: Watched>(api: Api<K>, config: Config) -> impl Stream<Item = Result<Event<K>>> + Send {
    futures::stream::unfold((api, config, State::Nothing), |(api, config, mut state)| async move {
        loop {
            let (said, next) = step(&api, &config, state).await;
            state = next;
            if let Some(said) = said {
                return Some((said, (api, config, state)));
            }
        }
    })
}

enum State<K> {
    Nothing,
    /// The list, or what follows this much of it, is to be asked for.
    Begun(Option<String>),
    Listing(Box<Listing<K>>),
    /// Up to this version everything is known.
    Listed(String),
    Watching(String, BoxStream<'static, kube::Result<WatchEvent<K>>>),
}

async fn step<K: Watched>(api: &Api<K>, config: &Config, state: State<K>) -> (Option<Result<Event<K>>>, State<K>) {
    match state {
        State::Nothing => (Some(Ok(Event::Init)), State::Begun(None)),
        State::Begun(further) => match ask(api, config, further).await {
            Ok(listing) => (None, State::Listing(Box::new(listing))),
            Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Nothing),
        },
        State::Listing(mut listing) => match listing.next().await {
            Ok(Listed::Object(object)) => (Some(Ok(Event::InitApply(object))), State::Listing(listing)),
            Ok(Listed::End(meta)) => listed(meta),
            Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Nothing),
        },
        State::Listed(version) => match api.watch(&watch_params(config), &version).await {
            Ok(stream) => (None, State::Watching(version, stream.boxed())),
            Err(error) => (Some(Err(Error::WatchStartFailed(error))), State::Listed(version)),
        },
        State::Watching(version, mut stream) => {
            let said = next(&mut stream, config).await;
            follow(said, version, stream)
        }
    }
}

/// Where the end of a list, or of a part of it, leaves whoever reads it.
fn listed<K>(meta: ListMeta) -> (Option<Result<Event<K>>>, State<K>) {
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    // A server may give less at once than it is asked for.
    match (said(meta.continue_token), said(meta.resource_version)) {
        (Some(further), _) => (None, State::Begun(Some(further))),
        (None, Some(version)) => (Some(Ok(Event::InitDone)), State::Listed(version)),
        (None, None) => (Some(Err(Error::NoResourceVersion)), State::Nothing),
    }
}

/// What a watch said, for whoever listens, and where that leaves it.
fn follow<K: Watched>(
    said: Option<kube::Result<WatchEvent<K>>>,
    version: String,
    stream: BoxStream<'static, kube::Result<WatchEvent<K>>>,
) -> (Option<Result<Event<K>>>, State<K>) {
    let newer = |object: &K| object.meta().resource_version.clone().filter(|version| !version.is_empty());
    let changed = |event: fn(K) -> Event<K>, object: K, stream| match newer(&object) {
        Some(version) => (Some(Ok(event(object))), State::Watching(version, stream)),
        None => (Some(Err(Error::NoResourceVersion)), State::Nothing),
    };
    match said {
        Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => changed(Event::Apply, object, stream),
        Some(Ok(WatchEvent::Deleted(object))) => changed(Event::Delete, object, stream),
        Some(Ok(WatchEvent::Bookmark(mark))) => (None, State::Watching(mark.metadata.resource_version, stream)),
        Some(Ok(WatchEvent::Error(status))) => {
            // What is gone from the server's memory can only be listed.
            let next = if status.code == 410 { State::Nothing } else { State::Watching(version, stream) };
            (Some(Err(Error::WatchError(status.boxed()))), next)
        }
        Some(Err(error)) => (Some(Err(Error::WatchFailed(error))), State::Watching(version, stream)),
        None => (None, State::Listed(version)),
    }
}

/// The next word of a watch; none where it has ended, or been silent for too long.
async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin), config: &Config) -> Option<T> {
    let Some(seconds) = config.timeout else { return stream.next().await };
    timeout(Duration::from_secs(seconds.into()) + MARGIN, stream.next()).await.ok().flatten()
}

async fn ask<K: Watched>(api: &Api<K>, config: &Config, further: Option<String>) -> kube::Result<Listing<K>> {
    // The beginning has settled of when the rest is.
    let any = config.list_semantic == ListSemantic::Any && further.is_none();
    let params = ListParams {
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        resource_version: any.then(|| "0".to_owned()),
        continue_token: further,
        version_match: any.then_some(VersionMatch::NotOlderThan),
        ..ListParams::default()
    };
    let request = Request::new(api.resource_url()).list(&params).map_err(kube::Error::BuildRequest)?;
    list::ask(&api.clone().into_client(), request).await
}

fn watch_params(config: &Config) -> WatchParams {
    WatchParams {
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        timeout: config.timeout,
        bookmarks: config.bookmarks,
        send_initial_events: false,
    }
}
