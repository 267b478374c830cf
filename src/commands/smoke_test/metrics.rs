//! The scheduler's metrics, read as a collector would.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use tokio::time::{Instant, sleep};

use super::{CALL_TIMEOUT, PAUSE};
use crate::client::{Cluster, RawRequest, describe, send};

/// Told by every replica, the leader or not: which one answers is left to the Service.
const ALWAYS_THERE: &str = "plimsoll_build_info";

/// Where the scheduler's metrics are read, without any credentials.
pub(super) struct Metrics {
    url: String,
    path: String,
    cluster: Cluster,
}

impl Metrics {
    pub(super) fn at(url: &Uri) -> anyhow::Result<Self> {
        let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
            bail!("--metrics-url {url}: only http addresses are read, such as http://plimsoll:10251/metrics");
        };
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let cluster = Cluster::at(&format!("http://{authority}"))?;
        Ok(Self { url: url.to_string(), path, cluster })
    }

    /// Reads them, and again while nobody answers.
    pub(super) async fn read_within(&self, limit: Duration) -> anyhow::Result<String> {
        let client = self.cluster.client()?;
        let end = Instant::now() + limit;
        loop {
            let path = self.path.as_str();
            let request =
                RawRequest { method: Method::GET, path, content_type: "", body: Bytes::new(), timeout: CALL_TIMEOUT };
            let why = match send(&client, request).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let text = String::from_utf8_lossy(&answer.body);
                    if text.lines().any(|line| line.starts_with(ALWAYS_THERE)) {
                        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
                        return Ok(format!("{} has {samples} samples\n", self.url));
                    }
                    format!("{ALWAYS_THERE} is not among them")
                }
                Ok(answer) => format!("the answer is {}", answer.status),
                Err(error) => describe(&error),
            };
            if Instant::now() >= end {
                bail!("the metrics at {} cannot be read: {why}", self.url);
            }
            sleep(PAUSE).await;
        }
    }
}
