//! What runs in a process: the real mount, or one under the 2019 rules, behind the same calls.

use ostrakon_core::disk::{DiskOutcome, DiskRequest, IoId};
use ostrakon_core::event::Event;
use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::format::wire::{Command, RequestId};
use ostrakon_core::ids::Ballot;
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::server::{ClientSlot, ConnSlot, Memory, strangers_for};
use ostrakon_core::time::Instant;

use super::of2019;
use super::service::{Act, Adder};

/// Whose rules a run follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rules {
    /// Ours.
    #[default]
    Ours,
    /// Those of 2019.
    Of2019,
}

/// Memory for the server of a mount.
#[derive(Debug)]
pub struct Slots {
    clients: Vec<ClientSlot>,
    conns: Vec<ConnSlot>,
}

impl Slots {
    pub(super) fn new(clients: usize) -> Self {
        Self {
            clients: (0..clients).map(|_| ClientSlot::default()).collect(),
            conns: (0..clients + strangers_for(clients))
                .map(|_| ConnSlot::default())
                .collect(),
        }
    }
}

impl Memory for Slots {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut self.clients, &mut self.conns)
    }
}

/// What runs in a process.
#[allow(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum Machine {
    /// The real thing.
    Ours(Mount<Slots, Adder>),
    /// A mount under the 2019 rules.
    Of2019(of2019::Mount),
}

impl Machine {
    /// The server under whose ballot this process may act as leader.
    pub fn right(&self, now: Instant) -> Option<Ballot> {
        match self {
            Self::Ours(mount) => mount.right(now),
            Self::Of2019(mount) => mount.serves(),
        }
    }

    pub(crate) fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        match self {
            Self::Ours(mount) => mount.handle_disk(now, id, outcome),
            Self::Of2019(mount) => mount.handle_disk(now, id, outcome),
        }
    }

    pub(crate) fn handle_fence(&mut self, now: Instant, victim: Ballot, outcome: FenceOutcome) {
        match self {
            Self::Ours(mount) => mount.handle_fence(now, victim, outcome),
            Self::Of2019(mount) => mount.handle_fence(now, outcome),
        }
    }

    pub(crate) fn handle_listening(&mut self, now: Instant, result: Result<(), CloseReason>) {
        match self {
            Self::Ours(mount) => mount.handle_listening(now, result),
            Self::Of2019(mount) => mount.talk().handle_listening(result.is_ok()),
        }
    }

    pub(crate) fn may_accept(&mut self, now: Instant) -> bool {
        match self {
            Self::Ours(mount) => mount.may_accept(now),
            Self::Of2019(_) => true,
        }
    }

    pub(crate) fn handle_accept(&mut self, now: Instant) -> Option<ConnId> {
        match self {
            Self::Ours(mount) => mount.handle_accept(now),
            Self::Of2019(mount) => Some(mount.talk().handle_accept(now)),
        }
    }

    pub(crate) fn handle_connected(&mut self, now: Instant, id: ConnId) {
        match self {
            Self::Ours(mount) => mount.handle_connected(now, id),
            Self::Of2019(mount) => mount.talk().handle_connected(now),
        }
    }

    pub(crate) fn handle_closed(&mut self, now: Instant, id: ConnId, reason: CloseReason) {
        match self {
            Self::Ours(mount) => mount.handle_closed(now, id, reason),
            Self::Of2019(mount) => mount.talk().handle_closed(id),
        }
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, id: ConnId, bytes: &mut [u8]) -> usize {
        match self {
            Self::Ours(mount) => mount.handle_bytes(now, id, bytes),
            Self::Of2019(mount) => mount.talk().handle_bytes(now, id, bytes),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) {
        match self {
            Self::Ours(mount) => mount.poll(now),
            Self::Of2019(mount) => mount.poll(now),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        match self {
            Self::Ours(mount) => mount.poll_event(),
            Self::Of2019(mount) => mount.poll_event(),
        }
    }

    pub(crate) fn poll_net(&mut self, now: Instant) -> Option<NetRequest> {
        match self {
            Self::Ours(mount) => mount.poll_net(now),
            Self::Of2019(mount) => mount.talk().poll_net(),
        }
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        match self {
            Self::Ours(mount) => mount.poll_transmit(now, buffer),
            Self::Of2019(mount) => mount.talk().poll_transmit(buffer),
        }
    }

    pub(crate) fn poll_fence(&mut self, now: Instant) -> Option<FenceRequest> {
        match self {
            Self::Ours(mount) => mount.poll_fence(now),
            Self::Of2019(mount) => mount.poll_fence(),
        }
    }

    pub(crate) fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        match self {
            Self::Ours(mount) => mount.poll_disk(now, buffer),
            Self::Of2019(mount) => mount.poll_disk(now, buffer),
        }
    }

    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        match self {
            Self::Ours(mount) => mount.next_deadline(),
            Self::Of2019(mount) => mount.next_deadline(),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Ours(mount) => mount.has_ended(),
            Self::Of2019(mount) => mount.has_ended(),
        }
    }

    pub(crate) fn unmount(&mut self, now: Instant) {
        match self {
            Self::Ours(mount) => mount.unmount(now),
            Self::Of2019(mount) => mount.unmount(),
        }
    }

    pub(crate) fn force(&mut self, now: Instant) {
        match self {
            Self::Ours(mount) => mount.force(now),
            Self::Of2019(mount) => mount.force(),
        }
    }

    /// Asks the service; the 2019 rules are compared without one.
    pub(crate) fn submit(&mut self, command: Command, body: &[u8]) -> Option<RequestId> {
        match self {
            Self::Ours(mount) => mount.submit(command, body),
            Self::Of2019(_) => None,
        }
    }

    pub(crate) fn answer(&self, id: RequestId) -> &[u8] {
        match self {
            Self::Ours(mount) => mount.answer(id),
            Self::Of2019(_) => &[],
        }
    }

    /// What only a leader does, and this one did since it was last asked.
    pub(crate) fn take_acts(&mut self) -> Vec<Act> {
        match self {
            Self::Ours(mount) => std::mem::take(&mut mount.service().acts),
            Self::Of2019(_) => Vec::new(),
        }
    }
}
