//! Host ports and their conflicts (reference section 4.5).

use crate::intern::Istr;

/// A port of the host that a pod's container asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The host's address; `None` is every address (`0.0.0.0` or left out). `::` is an address like any other.
    pub ip: Option<Istr>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Istr,
    /// 1 to 65535.
    pub port: i32,
}

impl HostPort {
    /// A host port; an empty address or protocol takes Kubernetes' default.
    pub fn new(ip: &str, protocol: &str, port: i32) -> Self {
        Self {
            ip: (!ip.is_empty() && ip != "0.0.0.0").then(|| ip.into()),
            protocol: if protocol.is_empty() { "TCP".into() } else { protocol.into() },
            port,
        }
    }

    /// Whether the two cannot be on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip.is_none() || other.ip.is_none() || self.ip == other.ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_by_address_protocol_and_port() {
        let rows = [
            (("", "", 80), ("", "TCP", 80), true),
            (("", "", 80), ("", "UDP", 80), false),
            (("", "", 80), ("", "", 81), false),
            (("127.0.0.1", "", 80), ("0.0.0.0", "", 80), true),
            (("127.0.0.1", "", 80), ("10.0.0.1", "", 80), false),
            (("127.0.0.1", "", 80), ("127.0.0.1", "", 80), true),
            (("::", "", 80), ("127.0.0.1", "", 80), false),
        ];
        for (a, b, expect) in rows {
            let (a, b) = (HostPort::new(a.0, a.1, a.2), HostPort::new(b.0, b.1, b.2));
            assert_eq!((a.conflicts(&b), b.conflicts(&a)), (expect, expect), "{a:?} {b:?}");
        }
    }
}
