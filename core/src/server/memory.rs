//! Memory of a server, supplied by the platform: firmware picks eight clients, Linux tens of thousands.

/// What the server keeps for one client.
#[derive(Clone, Debug, Default)]
pub struct ClientSlot {}

/// What the server keeps for one connection.
#[derive(Clone, Debug, Default)]
pub struct ConnSlot {}

/// Memory of a server. A volume formatted for more clients than there are slots is refused when it starts.
pub trait Memory {
    /// The slots for clients and for connections. The lengths never change.
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]);
}

/// Memory of a size known at compile time. `CONNS` should be `CLIENTS` and [`crate::bounds::STRANGERS_MAX`] more.
#[derive(Clone, Debug)]
pub struct FixedMemory<const CLIENTS: usize, const CONNS: usize> {
    clients: [ClientSlot; CLIENTS],
    conns: [ConnSlot; CONNS],
}

impl<const CLIENTS: usize, const CONNS: usize> Default for FixedMemory<CLIENTS, CONNS> {
    fn default() -> Self {
        Self {
            clients: core::array::from_fn(|_| ClientSlot::default()),
            conns: core::array::from_fn(|_| ConnSlot::default()),
        }
    }
}

impl<const CLIENTS: usize, const CONNS: usize> Memory for FixedMemory<CLIENTS, CONNS> {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut self.clients, &mut self.conns)
    }
}

/// Memory of a plain client: it never serves.
impl Memory for () {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut [], &mut [])
    }
}
