//! The documents of a file, told apart by apiVersion and kind.

use super::error::{Fault, Mark};
use super::own;
use super::source::{Node, Value};
use super::{MAX_FILE_BYTES, hints, v1};

/// The documents of a file.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) scheduler: Option<Node>,
    pub(super) plimsoll: Option<Node>,
    /// Worth saying, though allowed.
    pub(super) warnings: Vec<Fault>,
}

/// The text of a file, if it is of a size and kind that a configuration has.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {} KiB; a configuration is not", MAX_FILE_BYTES / 1024);
        return Err(Fault::new(None, "", &message));
    }
    str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        Fault::new(Some(Mark { line, column }), "", "the file is not text in UTF-8")
    })
}

/// Tells the documents apart by apiVersion and kind.
pub(super) fn sort(nodes: Vec<Node>, faults: &mut Vec<Fault>) -> Documents {
    let mut documents = Documents::default();
    if nodes.is_empty() && faults.is_empty() {
        faults.push(Fault::new(
            None,
            "",
            &format!("the file is empty; a document of kind {} or {} is expected", v1::KIND, own::KIND),
        ));
    }
    for node in nodes {
        let Some(is_own) = identify(&node, &mut documents.warnings, faults) else { continue };
        let place = if is_own { &mut documents.plimsoll } else { &mut documents.scheduler };
        match place {
            Some(first) => {
                let kind = if is_own { own::KIND } else { v1::KIND };
                let message = format!(
                    "a second document of kind {kind}; the first is in line {}, and one is allowed",
                    first.mark.line
                );
                faults.push(Fault::new(Some(node.mark), "kind", &message));
            }
            None => *place = Some(node),
        }
    }
    documents
}

/// Whether a document is Plimsoll's own (`true`) or a KubeSchedulerConfiguration (`false`); `None` when it is neither.
fn identify(node: &Node, warnings: &mut Vec<Fault>, faults: &mut Vec<Fault>) -> Option<bool> {
    let mut fail = |field: &str, message: String| {
        faults.push(Fault::new(Some(node.locate(field)), field, &message));
        None
    };
    if !matches!(node.value, Value::Mapping(_)) {
        return fail("", "a document must be a mapping that begins with apiVersion and kind".to_owned());
    }
    let (version, kind) = (node.text("apiVersion"), node.text("kind"));
    let v1 = format!("{}/v1", v1::GROUP);
    match (version, kind) {
        (Some(own::API_VERSION), Some(own::KIND)) => Some(true),
        (Some(version), Some(v1::KIND)) if version == v1 => Some(false),
        (Some(version), Some(v1::KIND)) if former(version) => {
            let message = format!(
                "{version} is read as {v1}: the default plugins and weights are those of v1; write {v1} to make this warning go"
            );
            warnings.push(Fault::new(Some(node.locate("apiVersion")), "apiVersion", &message));
            Some(false)
        }
        (_, None) => fail("kind", format!("is required: {} or {}", v1::KIND, own::KIND)),
        (None, Some(own::KIND)) => fail("apiVersion", format!("is required: {}", own::API_VERSION)),
        (None, Some(v1::KIND)) => fail("apiVersion", format!("is required: {v1}")),
        (Some(version), Some(own::KIND)) => {
            fail("apiVersion", format!("must be {} for this kind, not {:?}", own::API_VERSION, hints::clip(version)))
        }
        (Some(version), Some(v1::KIND)) => {
            fail("apiVersion", format!("must be {v1} for this kind, not {:?}", hints::clip(version)))
        }
        (_, Some(kind)) => fail("kind", format!("must be {} or {}, not {:?}", v1::KIND, own::KIND, hints::clip(kind))),
    }
}

/// Versions that kube-scheduler has dropped and that say the same.
fn former(version: &str) -> bool {
    version.strip_prefix(v1::GROUP).is_some_and(|version| matches!(version, "/v1beta2" | "/v1beta3"))
}
