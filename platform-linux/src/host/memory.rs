//! Memory of a server, of a size known when it starts.

use ostrakon_core::server::{ClientSlot, ConnSlot, Memory, strangers_for};

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
            let conns = self.count + strangers_for(self.count);
            self.clients = std::iter::repeat_with(ClientSlot::default)
                .take(self.count)
                .collect();
            self.conns = std::iter::repeat_with(ConnSlot::default).take(conns).collect();
        }
        (&mut self.clients, &mut self.conns)
    }
}
