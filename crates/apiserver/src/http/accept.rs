//! The form in which a client wants objects.

use http::{HeaderMap, header};

use crate::failure::Failure;

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As they are.
    Object,
    /// Their metadata alone.
    Metadata,
    /// As rows of a table, as kubectl prints them.
    Table,
}

/// The first form in the header `Accept` that can be served.
pub(super) fn view(headers: &HeaderMap) -> Result<View, Failure> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Ok(View::Object) };
    let accept = accept.to_str().unwrap_or_default();
    if accept.is_empty() {
        return Ok(View::Object);
    }
    accept.split(',').find_map(one).ok_or_else(Failure::not_acceptable)
}

fn one(range: &str) -> Option<View> {
    let mut parts = range.split(';').map(str::trim);
    if !matches!(parts.next()?, "application/json" | "*/*" | "application/*") {
        return None;
    }
    let mut view = View::Object;
    for part in parts {
        match part.split_once('=') {
            Some(("as", "Table")) => view = View::Table,
            Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => view = View::Metadata,
            Some(("as", _)) => return None,
            Some(("v", version)) if version != "v1" => return None,
            _ => {}
        }
    }
    Some(view)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{View, view};

    #[test]
    fn the_first_form_that_can_be_served_is_taken() {
        for (accept, want) in [
            ("application/json", Some(View::Object)),
            ("*/*", Some(View::Object)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1", Some(View::Table)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(View::Metadata)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(View::Object)),
            ("application/json;stream=watch", Some(View::Object)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(view(&headers).ok(), want, "{accept}");
        }
    }
}
