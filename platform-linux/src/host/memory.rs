//! Memory of a server, of a size known when it starts.

use ostrakon_core::bounds::{STRANGER_GRACE_MAX, WELCOME_LOOKS_MAX, WELCOME_TIMEOUT};
use ostrakon_core::server::{ClientSlot, ConnSlot, Memory, strangers_for};

use crate::net::LISTEN_BACKLOG;

/// Strangers at once, however few clients a volume has: whoever knows the key waits in one queue with a flood of those who do not,
/// and gets in at the pace at which this many are shown out, once in a second each.
const STRANGERS_MIN: usize = 256;

const _: () = assert!(
    LISTEN_BACKLOG as u64 * STRANGER_GRACE_MAX.0 / STRANGERS_MIN as u64
        <= WELCOME_LOOKS_MAX as u64 * WELCOME_TIMEOUT.0 / 2,
    "the queue moves on before a client in it gives up"
);

/// Memory for the clients of one volume. A mount that never leads takes none.
#[derive(Clone, Debug, Default)]
pub struct HeapMemory {
    count: usize,
    clients: Box<[ClientSlot]>,
    conns: Box<[ConnSlot]>,
}

impl HeapMemory {
    /// Memory of a plain client: it never serves.
    pub fn none() -> Self {
        Self::default()
    }

    /// Memory for this many clients, their connections and some strangers, once this mount leads.
    pub fn clients(count: u32) -> Self {
        Self {
            count: count as usize,
            ..Self::default()
        }
    }
}

impl Memory for HeapMemory {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        if self.clients.len() < self.count {
            let conns = self.count + strangers_for(self.count).max(STRANGERS_MIN);
            self.clients = std::iter::repeat_with(ClientSlot::default)
                .take(self.count)
                .collect();
            self.conns = std::iter::repeat_with(ConnSlot::default).take(conns).collect();
        }
        (&mut self.clients, &mut self.conns)
    }
}
