//! Who may do what on the secured port: the API server says so, as it does for kube-scheduler.
//!
//! ```text
//!  open path? ----------------------------------------------------------------------> served
//!     | no
//!  bearer token? --yes--> TokenReview --> somebody, or 401 --+
//!     | no                                                   v
//!  system:anonymous ---------------------------> SubjectAccessReview: verb, path ---> served, or 403
//! ```
//!
//! About a single pod (`/debug/explain/NAMESPACE/NAME`) those are told who may get it from the API server.
//!
//! Answers are remembered for some seconds, refusals too. Where the API server does not answer, the request ends with 503
//! and nobody gets in. Tokens are neither logged nor kept: what is remembered of one is a digest under a key of this process.

mod cache;
mod paths;
mod review;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::time::Instant;

pub use paths::OpenPaths;

use super::routes::text;
use crate::metrics::Metrics;
use cache::{Cache, Digest};
use review::{Reviews, User, Wish};

/// How many answers of each kind are remembered.
const REMEMBERED: usize = 1024;

/// How requests are looked at.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// What anybody may ask for.
    pub open: OpenPaths,
    /// How long it is remembered who a token stands for, or that it stands for nobody.
    pub token_ttl: Duration,
    /// How long it is remembered that somebody may do something.
    pub authorized_ttl: Duration,
    /// How long it is remembered that somebody may not.
    pub unauthorized_ttl: Duration,
}

impl Default for GuardSettings {
    fn default() -> Self {
        let ten_seconds = Duration::from_secs(10);
        let open = OpenPaths::default();
        Self { open, token_ttl: ten_seconds, authorized_ttl: ten_seconds, unauthorized_ttl: ten_seconds }
    }
}

/// The mark of a request whose sender may do what it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authorized;

/// Looks at requests.
pub(super) struct Guard {
    settings: GuardSettings,
    reviews: Reviews,
    key: hmac::Key,
    users: Mutex<Cache<Option<Arc<User>>>>,
    /// Whether it is allowed; if not, the API server's reason.
    decisions: Mutex<Cache<Result<(), Arc<str>>>>,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The token stands for nobody.
    Unauthorized,
    /// The text says who may not do what.
    Forbidden(String),
    /// The API server could not be asked; the text says why.
    Unavailable(String),
}

impl Guard {
    /// A guard that asks through this client.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub(super) fn new(settings: GuardSettings, client: kube::Client, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            settings,
            reviews: Reviews::new(client, metrics),
            key: key
                .map_err(|_| anyhow!("making a key for the digests of tokens: this machine gives no random bytes"))?,
            users: Mutex::new(Cache::new(REMEMBERED)),
            decisions: Mutex::new(Cache::new(REMEMBERED)),
        })
    }

    /// Who sends a request, and whether they may.
    async fn look_at(&self, token: Option<&str>, verb: &str, path: &str) -> Result<(), Refusal> {
        let user = match token {
            Some(token) => self.user(token).await?.ok_or(Refusal::Unauthorized)?,
            None => Arc::new(User::anonymous()),
        };
        if user.may_do_everything() {
            return Ok(());
        }
        let wish = Wish::of(verb, path);
        self.allowed(&user, wish).await.map_err(|refusal| match refusal {
            Refusal::Forbidden(reason) => {
                let colon = if reason.is_empty() { "" } else { ": " };
                let name = &user.username;
                Refusal::Forbidden(format!("forbidden: User {name:?} cannot {wish}{colon}{reason}"))
            }
            other => other,
        })
    }

    /// Whom a token stands for, if for anybody.
    async fn user(&self, token: &str) -> Result<Option<Arc<User>>, Refusal> {
        let key = self.digest(token.as_bytes());
        if let Some(known) = lock(&self.users).get(&key, Instant::now()) {
            return Ok(known);
        }
        let user = self.reviews.token(token).await.map_err(Refusal::Unavailable)?.map(Arc::new);
        lock(&self.users).put(key, user.clone(), self.settings.token_ttl, Instant::now());
        Ok(user)
    }

    async fn allowed(&self, user: &User, wish: Wish<'_>) -> Result<(), Refusal> {
        let question = wish.question(user);
        let key = self.digest(question.to_string().as_bytes());
        let known = lock(&self.decisions).get(&key, Instant::now());
        let decision = match known {
            Some(known) => known,
            None => {
                let decision = self.reviews.access(&question).await.map_err(Refusal::Unavailable)?.map_err(Arc::from);
                let GuardSettings { authorized_ttl, unauthorized_ttl, .. } = self.settings;
                let ttl = if decision.is_ok() { authorized_ttl } else { unauthorized_ttl };
                lock(&self.decisions).put(key, decision.clone(), ttl, Instant::now());
                decision
            }
        };
        decision.map_err(|reason| Refusal::Forbidden(reason.to_string()))
    }

    fn digest(&self, bytes: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.copy_from_slice(hmac::sign(&self.key, bytes).as_ref());
        digest
    }
}

/// Lets a request on, or ends it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if !guard.settings.open.has(request.uri().path()) {
        let verb = request.method().as_str().to_lowercase();
        let token = bearer(request.headers());
        if let Err(refusal) = guard.look_at(token, &verb, request.uri().path()).await {
            return refusal.into_response();
        }
        request.extensions_mut().insert(Authorized);
    }
    next.run(request).await
}

/// The bearer token of a request; other credentials, and empty ones, are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    let token = rest.split(' ').next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let mut answer = text(StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
            Self::Forbidden(reason) => text(StatusCode::FORBIDDEN, reason + "\n").into_response(),
            Self::Unavailable(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
        }
    }
}

/// Nothing is left half done in a cache by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
