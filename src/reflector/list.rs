//! A list, read object by object as it comes. A list of a large cluster is hundreds of megabytes long: held as a whole, as
//! text and then as objects, it would be most of what the scheduler ever needs of memory.

mod cut;

use std::collections::VecDeque;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::client::one_line;
use cut::Cutter;

/// A list that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest refusal that is read.
const MAX_REFUSAL_BYTES: usize = 1 << 20;

/// Why a list could not be read, where kube has no word for it.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the server has sent nothing for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the answer is no list ({content_type}): {problem}; it begins with {beginning:?}")]
    NoList { content_type: String, problem: String, beginning: String },
}

/// A list that is being read.
pub(super) struct Listing<K> {
    body: Body,
    cutter: Cutter,
    /// Decoded, and not asked for yet: what came in one piece.
    objects: VecDeque<K>,
    content_type: String,
    /// The first bytes, for the message.
    beginning: Vec<u8>,
}

/// What a list says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: Option<String>,
    #[serde(rename = "continue")]
    pub(super) continue_token: Option<String>,
}

/// What is in a list.
pub(super) enum Listed<K> {
    Object(K),
    End(ListMeta),
}

/// Asks for a list.
pub(super) async fn ask<K: DeserializeOwned>(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Listing<K>> {
    let answer = in_time(client.send(request.map(Body::from))).await??;
    let (head, body) = answer.into_parts();
    if head.status.is_client_error() || head.status.is_server_error() {
        return Err(refusal(head.status.as_u16(), body).await?);
    }
    let content_type = content_type(&head.headers);
    Ok(Listing { body, cutter: Cutter::default(), objects: VecDeque::new(), content_type, beginning: Vec::new() })
}

impl<K: DeserializeOwned> Listing<K> {
    /// The next object, or the end. Nothing is to be asked for after an error or the end.
    pub(super) async fn next(&mut self) -> kube::Result<Listed<K>> {
        loop {
            if let Some(object) = self.objects.pop_front() {
                return Ok(Listed::Object(object));
            }
            let Some(frame) = in_time(self.body.frame()).await? else { return self.end() };
            let Ok(data) = frame?.into_data() else { continue };
            if self.beginning.len() < 200 {
                self.beginning.extend(data.iter().take(200));
            }
            let Self { cutter, objects, .. } = self;
            let cut = cutter.feed(&data, |json| {
                objects.push_back(serde_json::from_slice(json).map_err(kube::Error::SerdeError)?);
                Ok::<_, kube::Error>(())
            });
            cut?.map_err(|problem| self.no_list(problem))?;
        }
    }

    fn end(&self) -> kube::Result<Listed<K>> {
        #[derive(Deserialize)]
        struct Rest {
            #[serde(default)]
            metadata: ListMeta,
        }
        let rest = self.cutter.rest().map_err(|problem| self.no_list(problem))?;
        let rest: Rest = serde_json::from_slice(&rest).map_err(|error| self.no_list(&error))?;
        Ok(Listed::End(rest.metadata))
    }

    fn no_list(&self, problem: impl ToString) -> kube::Error {
        let beginning = one_line(&String::from_utf8_lossy(&self.beginning));
        let (content_type, problem) = (self.content_type.clone(), problem.to_string());
        kube::Error::Service(Trouble::NoList { content_type, problem, beginning }.into())
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> kube::Result<T> {
    timeout(SILENCE, future).await.map_err(|_| kube::Error::Service(Trouble::Silent.into()))
}

fn content_type(headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.map_or_else(|| "of no content type".to_owned(), one_line)
}

/// The error that a refusal is. What is no `Status`, such as a proxy's page, is shown by its beginning.
async fn refusal(code: u16, mut body: Body) -> kube::Result<kube::Error> {
    let mut text = Vec::new();
    while let Some(frame) = in_time(body.frame()).await? {
        let Ok(data) = frame?.into_data() else { continue };
        text.extend_from_slice(&data);
        if text.len() > MAX_REFUSAL_BYTES {
            break;
        }
    }
    let status = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| {
        let beginning = one_line(&String::from_utf8_lossy(&text));
        Status::failure(&beginning, "Failed to parse error data").with_code(code)
    });
    Ok(kube::Error::Api(status.boxed()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    /// A client whose server answers everything so.
    fn client(code: u16, content_type: &'static str, pieces: &'static [&'static str]) -> Client {
        let service = service_fn(move |_: Request<Body>| async move {
            let pieces = futures::stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(piece.as_bytes())));
            let frames = futures::StreamExt::map(pieces, |piece| {
                piece.map(|bytes| hyper::body::Frame::data(bytes::Bytes::from_static(bytes)))
            });
            let body = http_body_util::StreamBody::new(frames);
            let answer = Response::builder().status(code).header(CONTENT_TYPE, content_type);
            Ok::<_, Infallible>(answer.body(body).unwrap())
        });
        Client::new(service, "default")
    }

    async fn read(client: Client) -> Result<(Vec<Value>, ListMeta), String> {
        let read = async {
            let mut listing = ask::<Value>(&client, Request::new(Vec::new())).await?;
            let mut objects = Vec::new();
            loop {
                match listing.next().await? {
                    Listed::Object(object) => objects.push(object),
                    Listed::End(meta) => return Ok((objects, meta)),
                }
            }
        };
        read.await.map_err(|error: kube::Error| crate::client::describe(&error))
    }

    #[tokio::test]
    async fn objects_and_version_are_read_from_pieces() {
        let pieces = &[r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a""#, r#":1},{"b":2}]}"#];
        let (objects, meta) = read(client(200, "application/json", pieces)).await.unwrap();
        assert_eq!(objects, [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!((meta.resource_version.as_deref(), meta.continue_token), (Some("7"), None));
    }

    #[tokio::test]
    async fn what_is_no_list_is_said_to_be_none() {
        let rows: [(&'static [&'static str], &str); 4] = [
            (
                &["<html><body>Log in</body></html>"],
                "(text/html): expected an object; it begins with \"<html><body>Log in",
            ),
            (&[""], "the answer is no list (text/html): it ends in the middle"),
            (&[r#"{"items":[{"a":1}"#], "it ends in the middle"),
            (&[r#"{"items":[7]}"#], "in items expected an object"),
        ];
        for (pieces, want) in rows {
            let error = read(client(200, "text/html", pieces)).await.unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[tokio::test]
    async fn refusals_are_read_or_shown() {
        let status = &[r#"{"kind":"Status","status":"Failure","message":"no","reason":"Forbidden","code":403}"#];
        let error = read(client(403, "application/json", status)).await.unwrap_err();
        assert!(error.contains("no: Forbidden"), "{error}");
        let error = read(client(502, "text/html", &["<html>Bad\nGateway</html>"])).await.unwrap_err();
        assert!(error.contains("<html>Bad Gateway</html>") && error.contains("502"), "{error}");
    }
}
