//! Determines which end of a flow is the client: by the handshake, else by the content, else by the ports.

use crate::flow::FlowView;
use crate::http::{self, Direction};
use crate::segment::Side;

/// The server ports taken for HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// All; HTTP is known by its first bytes.
    #[default]
    Any,
    /// Ranges, both ends included.
    Ranges(Vec<(u16, u16)>),
}

impl Ports {
    /// Returns whether a server port is taken for HTTP.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            // Called for every packet, and most sets have one range.
            Self::Ranges(ranges) => match ranges.as_slice() {
                &[(from, to)] => (from..=to).contains(&port),
                ranges => ranges.iter().any(|&(from, to)| (from..=to).contains(&port)),
            },
        }
    }
}

/// What is known about the client's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing yet.
    #[default]
    Unknown,
    /// Guessed from the ports; better evidence may change it.
    Guessed(Side),
    /// Known from the handshake or the content.
    Certain(Side),
}

impl Role {
    /// Returns the client's side given bytes of `side`, and whether an earlier guess was wrong.
    pub(super) fn learn(&mut self, flow: &FlowView<'_>, side: Side, bytes: &[u8], ports: &Ports) -> (Side, bool) {
        let before = *self;
        let (Self::Certain(client) | Self::Guessed(client)) = before else {
            *self = from_first_bytes(flow, side, bytes, ports);
            return (self.client().unwrap_or(side), false);
        };
        if let Self::Guessed(_) = before
            && let Some(seen) = by_content(side, bytes)
        {
            *self = Self::Certain(seen);
            return (seen, seen != client);
        }
        (client, false)
    }

    /// Returns the client's side, if it is known.
    pub(super) const fn client(self) -> Option<Side> {
        match self {
            Self::Unknown => None,
            Self::Guessed(side) | Self::Certain(side) => Some(side),
        }
    }
}

fn from_first_bytes(flow: &FlowView<'_>, side: Side, bytes: &[u8], ports: &Ports) -> Role {
    if let Some(client) = flow.stats.client {
        return Role::Certain(client);
    }
    by_content(side, bytes).map_or_else(|| Role::Guessed(by_ports(flow, ports)), Role::Certain)
}

fn by_content(side: Side, bytes: &[u8]) -> Option<Side> {
    http::guess(bytes).map(|direction| match direction {
        Direction::ToServer => side,
        Direction::ToClient => side.other(),
    })
}

/// Takes the end with the HTTP port for the server; if that is ambiguous, the end with the lower port.
fn by_ports(flow: &FlowView<'_>, ports: &Ports) -> Side {
    let (low, high) = (flow.key.port(Side::Low), flow.key.port(Side::High));
    match (ports.contains(low), ports.contains(high)) {
        (true, false) => Side::High,
        (false, true) => Side::Low,
        _ if low <= high => Side::High,
        _ => Side::Low,
    }
}
