//! TCP without blocking: core's listener and connections, moved by one loop.
//!
//! - [`Net`]: the sockets, and what core is told of them.
//! - `conn`: one connection's two directions.

mod conn;
mod sockets;

pub use sockets::{LISTEN_BACKLOG, NET_TOKENS, Net};

use ostrakon_core::net::{CloseReason, ConnId};

/// Who is told what came in: core's mount, or a test.
pub trait NetSink {
    /// The listener stands, or could not be made.
    fn listening(&mut self, listens: Result<(), CloseReason>);
    /// Whether a connection that waits may come in now.
    fn may_accept(&mut self) -> bool;
    /// A connection came in; `None` closes it.
    fn accept(&mut self) -> Option<ConnId>;
    /// A connection asked for stands.
    fn connected(&mut self, conn: ConnId);
    /// A connection is gone.
    fn closed(&mut self, conn: ConnId, reason: CloseReason);
    /// Bytes that came in; returns how many were consumed. Those may be changed, the others not.
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize;
}
