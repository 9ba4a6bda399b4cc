//! The composition that a platform polls: client, election and server of one mount.

use core::net::SocketAddr;

use crate::config::Config;
use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::event::Event;
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::wire::{Command, RequestId};
use crate::ids::{Ballot, Rid};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::server::Memory;
use crate::service::Service;
use crate::time::Instant;

/// One mount of a volume. See the order of calls below.
///
/// # Order of calls
///
/// After any input (`handle_*`, [`unmount`](Self::unmount), [`submit`](Self::submit)) and whenever
/// [`next_deadline`](Self::next_deadline) has come, the platform calls, in this order:
///
/// 1. [`poll`](Self::poll), once;
/// 2. [`poll_event`](Self::poll_event), [`poll_net`](Self::poll_net), [`poll_transmit`](Self::poll_transmit),
///    [`poll_fence`](Self::poll_fence) and [`poll_disk`](Self::poll_disk), each until it gives nothing;
/// 3. [`next_deadline`](Self::next_deadline), and waits for that or for an input.
///
/// Spurious calls do nothing. Drain what has arrived before a `poll` that may judge a time-out.
pub struct Mount<M, S> {
    memory: M,
    service: S,
    config: Config,
}

impl<M: Memory, S: Service> Mount<M, S> {
    /// Begins to mount. `seed` is drawn from the platform's entropy, once.
    pub fn new(now: Instant, config: Config, seed: u64, memory: M, service: S) -> Self {
        let _ = (now, seed);
        Self {
            memory,
            service,
            config,
        }
    }

    /// A disk request ended.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        let _ = (now, id, outcome);
        todo!()
    }

    /// The listener asked for by [`NetRequest::Listen`] stands, or could not be made.
    pub fn handle_listening(&mut self, now: Instant, listens: Result<(), CloseReason>) {
        let _ = (now, listens);
        todo!()
    }

    /// A connection came in. `None`: no room, close it.
    pub fn handle_accept(&mut self, now: Instant) -> Option<ConnId> {
        let _ = now;
        todo!()
    }

    /// The connection asked for by [`NetRequest::Connect`] stands.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        let _ = (now, conn);
        todo!()
    }

    /// A connection is gone, or could not be made; its name is free again.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        let _ = (now, conn, reason);
        todo!()
    }

    /// Bytes that came in on a connection, from the first one not yet consumed. Returns how many were consumed:
    /// whole messages only. Offer at least [`crate::bounds::MESSAGE_BYTES_MAX`] if that much has come in, and none
    /// while more than that much of this connection's output waits to be sent.
    pub fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        let _ = (now, conn, bytes);
        todo!()
    }

    /// What became of the fence request for this victim.
    pub fn handle_fence(&mut self, now: Instant, victim: Ballot, outcome: FenceOutcome) {
        let _ = (now, victim, outcome);
        todo!()
    }

    /// Leave cleanly: [`Event::Unmounted`] ends the mount.
    pub fn unmount(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Leave at once: stops the votes and closes every connection; the platform drops the device.
    pub fn force(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Sends a request to the server's service; [`Event::Answered`] follows, across any number of fail-overs.
    /// `None` while [`crate::bounds::REQUESTS_IN_FLIGHT_MAX`] are under way or the body is too long.
    pub fn submit(&mut self, now: Instant, command: Command, body: &[u8]) -> Option<RequestId> {
        let _ = (now, command, body);
        todo!()
    }

    /// The body of the answer that the newest [`Event::Answered`] announced.
    pub fn answer(&self, id: RequestId) -> &[u8] {
        let _ = id;
        todo!()
    }

    /// Lets time pass. Does a bounded amount of work.
    pub fn poll(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// The next disk request. The bytes of a write are put into `buffer`, which holds
    /// [`Config::transfer_blocks`] blocks and stays untouched until the write completes.
    pub fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        let _ = (now, buffer);
        todo!()
    }

    /// The next thing to do with the network.
    pub fn poll_net(&mut self, now: Instant) -> Option<NetRequest> {
        let _ = now;
        todo!()
    }

    /// The next message to send: its connection, and its length in `buffer`, which holds
    /// [`crate::bounds::MESSAGE_BYTES_MAX`] bytes.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        let _ = (now, buffer);
        todo!()
    }

    /// The next mount to fence.
    pub fn poll_fence(&mut self, now: Instant) -> Option<FenceRequest> {
        let _ = now;
        todo!()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When [`poll`](Self::poll) has to be called at the latest, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Whether the mount has ended: nothing is outstanding and nothing more will be asked.
    pub fn has_ended(&self) -> bool {
        todo!()
    }

    /// The ballot under which this mount has the right to act as leader at this moment.
    pub fn right(&self, now: Instant) -> Option<Ballot> {
        let _ = now;
        todo!()
    }

    /// Whom this mount is connected to.
    pub fn connected_to(&self) -> Option<(Ballot, Option<SocketAddr>)> {
        todo!()
    }

    /// This mount's identity.
    pub fn rid(&self) -> Rid {
        self.config.rid
    }

    /// The service, for platforms that look into it.
    pub fn service(&mut self) -> &mut S {
        let _ = &self.memory;
        &mut self.service
    }
}
