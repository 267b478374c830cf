//! The workloads by name.

use std::path::PathBuf;
use std::str::FromStr;

/// What the pods of a workload ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Basic,
    Templates,
    NodeAffinity,
    Spread,
    DefaultSpread,
    Affinity,
    Preferred,
    AntiAffinity,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Basic,
        Self::Templates,
        Self::NodeAffinity,
        Self::Spread,
        Self::DefaultSpread,
        Self::Affinity,
        Self::Preferred,
        Self::AntiAffinity,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Templates => "templates",
            Self::NodeAffinity => "nodeaffinity",
            Self::Spread => "spread",
            Self::DefaultSpread => "defaultspread",
            Self::Affinity => "affinity",
            Self::Preferred => "preferred",
            Self::AntiAffinity => "antiaffinity",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    One(Kind),
    Mixed,
    Unschedulable,
    Preemption,
    Trace { nodes: PathBuf, pods: PathBuf },
}

impl Workload {
    /// Those made here, in the order of their descriptions.
    pub(super) fn made_here() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::One).chain([Self::Mixed, Self::Unschedulable, Self::Preemption])
    }

    /// Whose pods take turns.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        match self {
            Self::One(kind) => vec![*kind],
            Self::Mixed => Kind::ALL.to_vec(),
            Self::Unschedulable | Self::Preemption | Self::Trace { .. } => vec![Kind::Basic],
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(files) = text.strip_prefix("trace:") {
            let files = files.split_once(',').filter(|(nodes, pods)| !nodes.is_empty() && !pods.is_empty());
            let (nodes, pods) = files.ok_or("a trace is two files: trace:NODES.csv,PODS.csv")?;
            return Ok(Self::Trace { nodes: nodes.into(), pods: pods.into() });
        }
        Self::made_here().find(|known| known.to_string() == text).ok_or_else(|| {
            let known: Vec<String> = Self::made_here().map(|known| known.to_string()).collect();
            format!("known are {} and trace:NODES.csv,PODS.csv", known.join(", "))
        })
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(kind) => f.write_str(kind.name()),
            Self::Mixed => f.write_str("mixed"),
            Self::Unschedulable => f.write_str("unschedulable"),
            Self::Preemption => f.write_str("preemption"),
            Self::Trace { nodes, pods } => write!(f, "trace:{},{}", nodes.display(), pods.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_read_as_they_are_written() {
        for workload in Workload::made_here() {
            assert_eq!(workload.to_string().parse(), Ok(workload));
        }
        let trace = Workload::Trace { nodes: "n.csv".into(), pods: "a/p.csv".into() };
        assert_eq!("trace:n.csv,a/p.csv".parse(), Ok(trace.clone()));
        assert_eq!(trace.to_string(), "trace:n.csv,a/p.csv");
    }

    #[test]
    fn others_are_refused() {
        let rows = [
            ("fast", "known are basic, templates,"),
            ("trace", "known are"),
            ("trace:", "a trace is two files"),
            ("trace:n.csv", "a trace is two files"),
            ("trace:n.csv,", "a trace is two files"),
        ];
        for (text, expect) in rows {
            let error = text.parse::<Workload>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
