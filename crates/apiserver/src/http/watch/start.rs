//! Where a watch begins: after a version, or with the list of what there is.

use std::time::Duration;

use tokio::time::Instant;

use super::Watch;
use crate::{
    failure::Failure,
    http::{
        Web,
        accept::View,
        list_options::check_watch,
        lists::{check_not_newer, page_request},
        query::Query,
        route::Route,
    },
};

/// No watch lasts longer than a day, whatever it asks for.
const MAX_SECONDS: u64 = 86_400;

impl Watch {
    pub(super) fn new(web: &Web, route: &Route<'_>, query: &Query<'_>, view: View) -> Result<Self, Failure> {
        check_watch(query, web.cluster.options.minor)?;
        let mut selection = page_request(route, query)?;
        selection.limit = 0;
        selection.continue_token = None;
        if !route.name.is_empty() {
            return Err(Failure::wrong_method());
        }
        let version = query.number("resourceVersion")?;
        let streams_list = streams_list(query);
        let lists = streams_list.unwrap_or_else(|| version.unwrap_or(0) == 0);
        let store = web.cluster.store(route.kind);
        let (initial, after) = if lists {
            let page = web.cluster.list(route.kind, &selection)?;
            check_not_newer(version.unwrap_or(0), page.version)?;
            (page.objects, page.version)
        } else {
            let after = version.filter(|version| *version > 0);
            (Vec::new(), after.unwrap_or_else(|| store.version()))
        };
        let options = &web.cluster.options;
        let timeout =
            query.number("timeoutSeconds")?.filter(|s| *s > 0).map(|s| Duration::from_secs(s.min(MAX_SECONDS)));
        let now = Instant::now();
        let bookmarks = query.flag("allowWatchBookmarks");
        Ok(Self {
            web: web.clone(),
            kind: route.kind.clone(),
            view,
            selection,
            follower: store.follow(after),
            initial: initial.into_iter().rev().collect(),
            announce: streams_list == Some(true) && bookmarks,
            started: false,
            bookmarks,
            last_told: after,
            next_bookmark: now + options.bookmark_interval,
            deadline: now + timeout.unwrap_or(options.watch_timeout),
            ended: false,
        })
    }
}

/// Whether the watch is to begin with the list; none when the request leaves that to its version.
fn streams_list(query: &Query<'_>) -> Option<bool> {
    (!query.get("sendInitialEvents").is_empty()).then(|| query.flag("sendInitialEvents"))
}
