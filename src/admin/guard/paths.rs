//! What anybody may ask for.

use std::str::FromStr;

/// Paths that need no leave, as `--authorization-always-allow-paths` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPaths(Vec<Open>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Exactly(String),
    Below(String),
}

impl Default for OpenPaths {
    /// The health paths.
    fn default() -> Self {
        Self(["/healthz", "/readyz", "/livez"].map(|path| Open::Exactly(path.to_owned())).into())
    }
}

impl FromStr for OpenPaths {
    type Err = String;

    /// Paths separated by commas; one that ends with `*` is all that begin so. None at all where the text is empty.
    fn from_str(text: &str) -> Result<Self, String> {
        let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
        let read = |path: &str| match (path.strip_prefix('/'), path.strip_suffix('*')) {
            (None, _) => Err(format!("{path:?} does not begin with /")),
            (_, Some(prefix)) if !prefix.contains('*') => Ok(Open::Below(prefix.to_owned())),
            (_, None) if !path.contains('*') => Ok(Open::Exactly(path.to_owned())),
            _ => Err(format!("{path:?}: a * may stand at the end only")),
        };
        paths.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl OpenPaths {
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|open| match open {
            Open::Exactly(one) => one == path,
            Open::Below(prefix) => path.starts_with(prefix.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_open_as_named() {
        for (open, path, expect) in [
            ("/healthz,/readyz,/livez", "/livez", true),
            ("/healthz,/readyz,/livez", "/livez/ping", false),
            ("/healthz,/readyz,/livez", "/livezz", false),
            ("/healthz, /livez*", "/livez/ping", true),
            ("/metrics/*", "/metrics", false),
            ("/*", "/debug/queue", true),
            ("", "/livez", false),
        ] {
            assert_eq!(open.parse::<OpenPaths>().unwrap().has(path), expect, "{path} with {open:?}");
        }
        assert_eq!("/healthz,/readyz,/livez".parse(), Ok(OpenPaths::default()));
        for wrong in ["livez", "/a*b", "/a**", "*"] {
            assert!(wrong.parse::<OpenPaths>().is_err(), "{wrong}");
        }
    }
}
