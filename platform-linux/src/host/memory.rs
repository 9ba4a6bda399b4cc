//! Memory of a server, of a size known when it starts.

use ostrakon_core::bounds::STRANGERS_MAX;
use ostrakon_core::server::{ClientSlot, ConnSlot, Memory};

/// Memory for the clients of one volume.
#[derive(Clone, Debug, Default)]
pub struct HeapMemory {
    clients: Box<[ClientSlot]>,
    conns: Box<[ConnSlot]>,
}

impl HeapMemory {
    /// Memory of a plain client: it never serves.
    pub fn none() -> Self {
        Self::default()
    }

    /// Memory for this many clients, their connections and a few strangers.
    pub fn clients(count: u32) -> Self {
        let count = count as usize;
        Self {
            clients: std::iter::repeat_with(ClientSlot::default).take(count).collect(),
            conns: std::iter::repeat_with(ConnSlot::default)
                .take(count + STRANGERS_MAX)
                .collect(),
        }
    }
}

impl Memory for HeapMemory {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut self.clients, &mut self.conns)
    }
}
