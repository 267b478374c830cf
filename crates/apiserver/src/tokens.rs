//! Tokens of service accounts, as TokenRequests ask for them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{auth::User, clock, cluster::Cluster, json, kinds::Role};

/// How long a token is good whose request does not say so; the end of it is told, and not kept to.
const DEFAULT_SECONDS: i64 = 3600;

/// The accounts that tokens were issued for.
#[derive(Debug, Default)]
pub(crate) struct Issued(Mutex<HashMap<String, Account>>);

#[derive(Clone, Debug)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
}

impl Issued {
    /// Whom a token stands for: as long as the account is there that it was issued for, and not another of its name.
    pub(crate) fn holder(&self, cluster: &Cluster, token: &str) -> Option<User> {
        let account = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()?;
        let key = format!("{}/{}", account.namespace, account.name);
        let stored = cluster.store_of(Role::ServiceAccount).get(&key)?.value();
        (json::text(&stored, &["metadata", "uid"]) == account.uid)
            .then(|| User::service_account(&account.namespace, &account.name))
    }
}

/// Completes a TokenRequest for an account with a new token.
pub(crate) fn issue(cluster: &Cluster, account: &Value, mut request: Value, dry_run: bool) -> Value {
    let metadata = |field| json::text(account, &["metadata", field]).to_owned();
    let account = Account { namespace: metadata("namespace"), name: metadata("name"), uid: metadata("uid") };
    let token = format!("{}.{}", cluster.ids.uid(), cluster.ids.uid());
    let seconds = json::int(&request, &["spec", "expirationSeconds"]).unwrap_or(DEFAULT_SECONDS);
    let seconds = seconds.clamp(0, i64::from(u32::MAX));
    let end = cluster.clock.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX);
    json::set(&mut request, &["apiVersion"], "authentication.k8s.io/v1");
    json::set(&mut request, &["kind"], "TokenRequest");
    let (namespace, name) = (account.namespace.as_str(), account.name.as_str());
    json::set(&mut request, &["metadata"], json!({"namespace": namespace, "name": name}));
    json::set(&mut request, &["spec", "expirationSeconds"], seconds);
    json::set(&mut request, &["status"], json!({"token": token, "expirationTimestamp": clock::stamp(end)}));
    if !dry_run {
        cluster.issued.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, account);
    }
    request
}
