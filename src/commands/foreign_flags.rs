//! kube-scheduler's flags that mean nothing here: taken off the command line, with a warning, so that an existing
//! deployment starts. Any other unknown flag is wrong usage.

use std::ffi::OsString;

/// Flags and whether a value follows in an argument of its own.
const FLAGS: [(&str, bool); 36] = [
    ("allow-metric-labels", true),
    ("allow-metric-labels-manifest", true),
    ("authentication-kubeconfig", true),
    ("authentication-skip-lookup", false),
    ("authentication-tolerate-lookup-failure", false),
    ("authorization-kubeconfig", true),
    ("cert-dir", true),
    ("client-ca-file", true),
    ("contention-profiling", false),
    ("disable-http2-serving", false),
    ("disabled-metrics", true),
    ("emulated-version", true),
    ("feature-gates", true),
    ("http2-max-streams-per-connection", true),
    ("kube-api-content-type", true),
    ("log-flush-frequency", true),
    ("log-json-info-buffer-size", true),
    ("log-json-split-stream", false),
    ("log-text-info-buffer-size", true),
    ("log-text-split-stream", false),
    ("min-compatibility-version", true),
    ("permit-address-sharing", false),
    ("permit-port-sharing", false),
    ("profiling", false),
    ("requestheader-allowed-names", true),
    ("requestheader-client-ca-file", true),
    ("requestheader-extra-headers-prefix", true),
    ("requestheader-group-headers", true),
    ("requestheader-uid-headers", true),
    ("requestheader-username-headers", true),
    ("show-hidden-metrics-for-version", true),
    ("tls-curve-preferences", true),
    ("tls-sni-cert-key", true),
    ("leader-elect-resource-lock", true),
    ("vmodule", true),
    ("master", true),
];

/// Splits the arguments into those that are ours and the names of the flags that are not.
pub fn split(arguments: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut ours = Vec::new();
    let mut ignored = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    ours.extend(arguments.next());
    // Other commands than `run` are nothing that kube-scheduler has, and may have flags of these names of their own.
    let other = |verb: &OsString| verb != "run" && !verb.to_string_lossy().starts_with('-');
    if arguments.peek().is_some_and(other) {
        ours.extend(arguments);
        return (ours, ignored);
    }
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let Some((flag, value)) =
            text.strip_prefix("--").map(|t| t.split_once('=').map_or((t, None), |(f, v)| (f, Some(v))))
        else {
            ours.push(argument);
            continue;
        };
        match FLAGS.iter().find(|(name, _)| *name == flag) {
            Some((name, takes_value)) => {
                if *takes_value && value.is_none() {
                    arguments.next();
                }
                ignored.push(format!("--{name}"));
            }
            None => ours.push(argument),
        }
    }
    (ours, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_commands_keep_their_flags() {
        let split = |line: &[&str]| split(line.iter().map(OsString::from));
        assert_eq!(split(&["plimsoll", "extender", "--client-ca-file", "x"]).0.len(), 4);
        assert_eq!(split(&["plimsoll", "run", "--client-ca-file", "x"]).0, ["plimsoll", "run"]);
        assert_eq!(split(&["plimsoll"]), (vec!["plimsoll".into()], Vec::new()));
    }

    #[test]
    fn foreign_flags_are_taken_off_with_their_values() {
        let line = [
            "plimsoll",
            "--cert-dir=/tmp",
            "--config",
            "a",
            "--client-ca-file",
            "ca.crt",
            "--profiling",
            "-v",
            "2",
            "--nope",
        ];
        let (ours, ignored) = split(line.map(OsString::from));
        assert_eq!(ours, ["plimsoll", "--config", "a", "-v", "2", "--nope"].map(OsString::from));
        assert_eq!(ignored, ["--cert-dir", "--client-ca-file", "--profiling"]);
    }
}
