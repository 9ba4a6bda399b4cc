//! The network seam: listening, connecting, and bytes of connections that the platform moves.
//!
//! Core keeps no byte buffers of connections. Bytes that came in are offered whole and core consumes
//! complete messages only; the platform keeps the rest and offers it again with what follows.

use core::net::SocketAddr;

/// Names a connection of a mount from its start until the platform was told or has said that it is closed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnId(pub u32);

/// Who hands out which names: the server of a mount counts its connections from 0, the client of the same mount
/// has one of two names at a time. So the two never collide, and the mount knows whose a connection is.
impl ConnId {
    /// The connection between the client and the server of one mount. Its bytes are moved by the mount; no
    /// platform ever sees it.
    pub const LOCAL: Self = Self(u32::MAX);
    /// The client's connection to a server elsewhere.
    pub const CLIENT: Self = Self(u32::MAX - 1);
}

/// What the platform is to do with the network.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NetRequest {
    /// Accept connections at this address until told to stop. Answered by `handle_listening`.
    Listen(SocketAddr),
    /// Close the listener.
    Unlisten,
    /// Open a connection. Answered by `handle_connected` or `handle_closed`.
    Connect(ConnId, SocketAddr),
    /// Close a connection at once. Not answered; the name is free again.
    Close(ConnId),
}

/// Why a connection is gone or never came to be.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The peer's host answered that nobody listens there.
    Refused,
    /// The peer closed or reset it.
    ByPeer,
    /// No route, time-out, a local error.
    Failed,
}
