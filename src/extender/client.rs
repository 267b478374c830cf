//! One extender: where it is, which pods it cares for, and calls to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::{tls, wire};
use crate::client::{USER_AGENT as OURS, describe, tcp_connector};
use crate::config::show_duration;
use crate::config::v1::Extender;
use crate::metrics::ExtenderMetrics;

/// An answer may be this long, and twice as long as what was sent: nodes that were sent in full come back in full.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What a call is for. Also its metric label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Filter,
    Prioritize,
    Bind,
    Preempt,
}

impl Verb {
    const fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Prioritize => "prioritize",
            Self::Bind => "bind",
            Self::Preempt => "preempt",
        }
    }
}

/// An extender.
pub(crate) struct HttpExtender {
    /// Its address, without what must not be shown.
    pub(super) name: String,
    pub(super) weight: i64,
    pub(super) ignorable: bool,
    pub(super) node_cache_capable: bool,
    filter: Option<Target>,
    prioritize: Option<Target>,
    bind: Option<Target>,
    preempt: Option<Target>,
    managed: Vec<Istr>,
    timeout: Duration,
    credentials: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    metrics: ExtenderMetrics,
}

/// Where a verb is called.
struct Target {
    verb: String,
    uri: Uri,
    /// As it may be shown.
    shown: String,
}

/// An address taken apart.
struct Address {
    /// Without credentials, without slashes at the end.
    url: String,
    shown: String,
    /// What stood before the `@`.
    user: Option<String>,
}

impl Address {
    fn parse(prefix: &str) -> Result<Self, String> {
        let prefix = prefix.trim_end_matches('/');
        let (scheme, rest) = prefix.split_once("://").ok_or("is no URL: it lacks http:// or https://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(format!("is no http or https URL but {scheme}"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let url = format!("{scheme}://{host}{path}");
        // The parser's error does not quote the text.
        let uri: Uri = url.parse().map_err(|error| format!("is no URL: {error}"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err("is no URL: it lacks a host".to_owned());
        }
        let hidden = if user.is_some() { "<redacted>@" } else { "" };
        let path = path.split_once('?').map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?<redacted>"));
        Ok(Self { shown: format!("{scheme}://{hidden}{host}{path}"), url, user })
    }

    fn target(&self, verb: &str) -> Result<Option<Target>, String> {
        if verb.is_empty() {
            return Ok(None);
        }
        let uri =
            format!("{}/{verb}", self.url).parse().map_err(|error| format!("with {verb:?} is no URL: {error}"))?;
        Ok(Some(Target { verb: verb.to_owned(), uri, shown: format!("{}/{verb}", self.shown) }))
    }
}

/// What is wrong with the address of an extender, if anything. Never quotes it.
pub(crate) fn address_problem(extender: &Extender) -> Option<String> {
    let address = match Address::parse(&extender.url_prefix) {
        Ok(address) => address,
        Err(problem) => return Some(problem),
    };
    let verbs = [&extender.filter_verb, &extender.prioritize_verb, &extender.bind_verb, &extender.preempt_verb];
    verbs.into_iter().find_map(|verb| address.target(verb).err())
}

impl HttpExtender {
    pub(super) fn new(config: &Extender, metrics: &crate::metrics::Metrics) -> anyhow::Result<Self> {
        let wrong = |problem: String| anyhow::anyhow!("urlPrefix {problem}");
        let address = Address::parse(&config.url_prefix).map_err(wrong)?;
        let target = |verb: &str| address.target(verb).map_err(wrong);
        let encrypted = address.url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls::config(config, encrypted)?).https_or_http();
        let server = config.tls_config.as_ref().map_or("", |tls| &tls.server_name);
        let connector = if server.is_empty() {
            connector
        } else {
            let name = ServerName::try_from(server.to_owned()).context("tlsConfig: serverName")?;
            connector.with_server_name_resolver(FixedServerNameResolver::new(name))
        };
        let connector = connector.enable_http1().wrap_connector(tcp_connector());
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self {
            weight: config.weight,
            ignorable: config.ignorable,
            node_cache_capable: config.node_cache_capable,
            filter: target(&config.filter_verb)?,
            prioritize: target(&config.prioritize_verb)?,
            bind: target(&config.bind_verb)?,
            preempt: target(&config.preempt_verb)?,
            managed: config.managed_resources.iter().map(|r| r.name.as_str().into()).collect(),
            timeout: config.http_timeout.to_std(),
            credentials: address.user.as_deref().map(basic).transpose()?,
            client,
            metrics: metrics.plimsoll.extender(&address.shown),
            name: address.shown,
        })
    }

    pub(super) fn has(&self, verb: Verb) -> bool {
        self.target(verb).is_some()
    }

    fn target(&self, verb: Verb) -> Option<&Target> {
        match verb {
            Verb::Filter => self.filter.as_ref(),
            Verb::Prioritize => self.prioritize.as_ref(),
            Verb::Bind => self.bind.as_ref(),
            Verb::Preempt => self.preempt.as_ref(),
        }
    }

    /// Whether the pod asks for something that it manages, if it manages anything.
    pub(super) fn is_interested(&self, pod: &PodInfo) -> bool {
        self.managed.is_empty() || pod.spec.extended_resources.iter().any(|name| self.managed.contains(name))
    }

    /// Calls a verb that it has. What went wrong is said as kube-scheduler says it.
    pub(super) async fn call<T: DeserializeOwned>(&self, verb: Verb, body: Bytes) -> Result<T, String> {
        let Some(target) = self.target(verb) else { return Err(format!("{} has no such verb", self.name)) };
        let begun = Instant::now();
        let answer = match timeout(self.timeout, self.exchange(target, body)).await {
            Ok(answer) => answer,
            Err(_) => {
                let limit = show_duration(self.timeout);
                Err(Trouble::Timeout(format!("Post {:?}: no answer within {limit}", target.shown)))
            }
        };
        self.metrics.duration(verb.label()).observe(begun.elapsed().as_secs_f64());
        let answer = answer.and_then(|body| {
            wire::decode(&body).map_err(|error| {
                Trouble::Error(format!(
                    "{} with extender at URL {}: reading the answer: {error}",
                    target.verb, target.shown
                ))
            })
        });
        let result = match &answer {
            Ok(_) => "ok",
            Err(Trouble::Timeout(_)) => "timeout",
            Err(Trouble::Error(_)) => "error",
        };
        self.metrics.requests(verb.label(), result).inc();
        answer.map_err(Trouble::into_text)
    }

    async fn exchange(&self, target: &Target, body: Bytes) -> Result<Bytes, Trouble> {
        let most = MAX_ANSWER_BYTES + 2 * body.len();
        let transport =
            |error: &dyn std::error::Error| Trouble::Error(format!("Post {:?}: {}", target.shown, describe(error)));
        let mut request = Request::builder().method(Method::POST).uri(target.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(USER_AGENT, HeaderValue::from_static(OURS));
            headers.extend(self.credentials.clone().map(|value| (AUTHORIZATION, value)));
        }
        let request = request.body(Full::new(body)).map_err(|e| transport(&e))?;
        let (head, mut body) = self.client.request(request).await.map_err(|e| transport(&e))?.into_parts();
        if head.status != StatusCode::OK {
            let (verb, url, code) = (&target.verb, &target.shown, head.status.as_u16());
            return Err(Trouble::Error(format!("failed {verb} with extender at URL {url}, code {code}")));
        }
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|e| transport(&e))?.into_data() else { continue };
            if read.len() + data.len() > most {
                return Err(Trouble::Error(format!("Post {:?}: the answer is longer than {most} bytes", target.shown)));
            }
            read.extend_from_slice(&data);
        }
        Ok(read.freeze())
    }
}

/// Why there is no answer.
enum Trouble {
    Timeout(String),
    Error(String),
}

impl Trouble {
    fn into_text(self) -> String {
        match self {
            Self::Timeout(text) | Self::Error(text) => text,
        }
    }
}

/// What stands before the `@` of an address, as a header.
fn basic(user: &str) -> anyhow::Result<HeaderValue> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(user);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).context("urlPrefix: its credentials")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A body of this message.
pub(super) fn body(message: &impl serde::Serialize) -> Result<Bytes, String> {
    serde_json::to_vec(message).map(Bytes::from).map_err(|e| format!("writing a question to an extender: {e}"))
}

/// Shared by all calls.
pub(super) type Shared = Arc<HttpExtender>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_joined_and_never_shown_with_their_credentials() {
        let rows = [
            ("http://a:80", "filter", "http://a:80/filter", "http://a:80/filter", None),
            ("http://a:80/x//", "filter", "http://a:80/x/filter", "http://a:80/x/filter", None),
            ("https://u:p@a/x", "f/g", "https://a/x/f/g", "https://<redacted>@a/x/f/g", Some("u:p")),
            ("http://[::1]:8/", "f", "http://[::1]:8/f", "http://[::1]:8/f", None),
            ("http://a/x?key=secret", "f", "http://a/x?key=secret/f", "http://a/x?<redacted>/f", None),
        ];
        for (prefix, verb, uri, shown, user) in rows {
            let address = Address::parse(prefix).unwrap();
            let target = address.target(verb).unwrap().unwrap();
            assert_eq!((target.uri.to_string().as_str(), &*target.shown), (uri, shown));
            assert_eq!(address.user.as_deref(), user);
            assert!(address.target("").unwrap().is_none());
        }
    }

    #[test]
    fn what_is_no_address_is_said_without_quoting_it() {
        for prefix in ["", "secret", "ftp://secret", "http://", "http://u:secret@", "http://u:secret@a b/"] {
            let extender = Extender { url_prefix: prefix.to_owned(), ..Extender::default() };
            let problem = address_problem(&extender).unwrap();
            assert!(!problem.contains("secret"), "{prefix}: {problem}");
        }
        let verb = Extender { url_prefix: "http://a".to_owned(), filter_verb: "a b".to_owned(), ..Extender::default() };
        assert!(address_problem(&verb).is_some());
    }
}
