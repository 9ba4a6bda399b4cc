//! The composition that a platform polls: client, election and server of one mount.
//!
//! - `wiring`: what the three machines tell one another, in one place and one order.
//! - `lead`: what concerns programs that run because this host leads.
//! - `leave`: how a mount comes to its end.
//! - `absent`: what stands for the election in a build without voters.

#[cfg(not(feature = "voter"))]
mod absent;
mod lead;
mod leave;
mod wiring;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use crate::bounds::BLOCK_BYTES;
use crate::client::Client;
use crate::config::Config;
use crate::disk::{DiskOutcome, DiskRequest, IoId};
#[cfg(feature = "voter")]
use crate::election::Election;
use crate::event::{Event, Silenced, Unmounted};
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::FenceMethod;
use crate::format::wire::{Command, RequestId};
use crate::ids::{Ballot, Rid};
use crate::io::{IoIds, Owner};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::noise::{Entropy, SEED_BYTES};
use crate::server::{Memory, Server, State};
use crate::service::Service;
use crate::superio::SuperView;
use crate::tell;
use crate::time::{Duration, Instant, earliest};
#[cfg(not(feature = "voter"))]
use absent::Election;

/// Longest time that a mount whose server could not start leaves the election to others.
const START_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How far a mount is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Life {
    /// Mounted or mounting.
    Mounted,
    /// The client has ended; the election and the server are still to be wound up.
    WindingUp(Unmounted),
    /// Nothing is outstanding any more; after [`Mount::force`], nothing that this mount still answers for.
    Ended(Unmounted),
}

/// One mount of a volume.
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
    /// Keeps the configuration too, once for all.
    client: Client,
    /// Voters only.
    election: Option<Election>,
    server: Server<M, S>,
    client_ids: IoIds,
    server_ids: IoIds,
    life: Life,
    /// The ballot under which the server was started, until it is off again.
    reign: Option<Ballot>,
    /// When a mount that winds up stops waiting for a device that does not answer.
    wind_up_until: Option<Instant>,
    /// Whether the reign is over, and the server was told.
    stopping: bool,
    polled_at: Instant,
    /// Client and server of this mount told one another something since the last poll, which has to go on.
    again: bool,
    /// Something that runs because this mount leads has not ended yet.
    held: bool,
    /// Whether the server was serving at the last poll.
    serves: bool,
    /// The bell for which the voters were pinged.
    pinged: Option<Instant>,
    /// Readings of the super block by the election that the client was shown.
    views_shown: u32,
    /// Times in a row that the server could not start, and until when the election is left to others.
    start_failures: u32,
    no_election_before: Instant,
    started_told: bool,
    unmounting_due: bool,
    /// Votes in sight and needed, as last told while this mount waits for a quorum to leave.
    quorum_told: Option<(u16, u16)>,
    quorum_due: bool,
    ended_told: bool,
}

impl<M: Memory, S: Service> Mount<M, S> {
    /// Begins to mount. `seed` is drawn from the platform's entropy, once: every key of its sessions comes from it, so that
    /// whoever can guess it can read them. In a build without the feature `voter` every mount is a plain client.
    ///
    /// # Panics
    /// If [`Config::check`] finds something that cannot work.
    // Built where it is wanted, not moved there: a stack of firmware has no room for it twice.
    #[inline(always)]
    pub fn new(now: Instant, config: Config, seed: [u8; SEED_BYTES], memory: M, service: S) -> Self {
        assert!(config.check().is_ok(), "a configuration that works");
        let mut entropy = Entropy::new(seed);
        let client = Entropy::new(entropy.draw());
        let server = Entropy::new(entropy.draw());
        #[cfg(feature = "voter")]
        let election = config
            .voter
            .map(|voter| Election::new(&config, voter, entropy.draw_number()));
        #[cfg(not(feature = "voter"))]
        let (election, config) = (
            None,
            Config {
                voter: None,
                ..config
            },
        );
        Self {
            client: Client::new(now, config, client),
            election,
            server: Server::new(&config, memory, service, server),
            client_ids: IoIds::new(Owner::Client),
            server_ids: IoIds::new(Owner::Server),
            life: Life::Mounted,
            reign: None,
            wind_up_until: None,
            stopping: false,
            polled_at: now,
            again: false,
            held: false,
            serves: false,
            pinged: None,
            views_shown: 0,
            start_failures: 0,
            no_election_before: now,
            started_told: false,
            unmounting_due: false,
            quorum_told: None,
            quorum_due: false,
            ended_told: false,
        }
    }

    /// A disk request ended.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        match Owner::of(id) {
            Some(Owner::Election) => {
                if let Some(election) = &mut self.election {
                    election.handle_disk(now, id, outcome);
                }
            }
            Some(Owner::Server) => self.server.handle_disk(now, id, outcome),
            Some(Owner::Client) => self.client.handle_disk(now, id, outcome),
            None => {}
        }
    }

    /// The listener asked for by [`NetRequest::Listen`] stands, or could not be made.
    pub fn handle_listening(&mut self, now: Instant, listens: Result<(), CloseReason>) {
        self.server.handle_listening(now, listens);
    }

    /// Whether a connection that waits to be accepted may come in now: a listener that lets others wait outside while this
    /// says no keeps a crowd that comes at once from pushing itself out. Ask again after any input, and after some
    /// milliseconds.
    pub fn may_accept(&mut self, now: Instant) -> bool {
        self.server.may_accept(now)
    }

    /// A connection came in. `None`: no room, close it.
    pub fn handle_accept(&mut self, now: Instant) -> Option<ConnId> {
        self.server.handle_accept(now)
    }

    /// The connection asked for by [`NetRequest::Connect`] stands.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        if conn == ConnId::CLIENT {
            self.client.handle_connected(now, conn);
        }
    }

    /// A connection is gone, or could not be made; its name is free again.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        if conn == ConnId::CLIENT {
            self.client.handle_closed(now, conn, reason);
        } else {
            self.server.handle_closed(now, conn);
        }
    }

    /// Bytes that came in on a connection, from the first one not yet consumed. Returns how many were consumed:
    /// whole messages only, which are opened where they lie. Offer at least [`crate::bounds::MESSAGE_BYTES_MAX`] if that much has come in, and none
    /// while more than that much of this connection's output waits to be sent.
    pub fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &mut [u8]) -> usize {
        if conn == ConnId::CLIENT {
            self.client.handle_bytes(now, conn, bytes)
        } else {
            self.server.handle_bytes(now, conn, bytes)
        }
    }

    /// What became of the fence request for this victim.
    pub fn handle_fence(&mut self, now: Instant, victim: Ballot, outcome: FenceOutcome) {
        self.handle_fence_by(now, victim, outcome, FenceMethod::default());
    }

    /// The same, from a platform that says what it fenced with, or how it knew: for the fence record.
    pub fn handle_fence_by(
        &mut self,
        now: Instant,
        victim: Ballot,
        outcome: FenceOutcome,
        method: FenceMethod,
    ) {
        if self.election.is_some() {
            self.server.journal().answered(victim, outcome, method);
        }
        if victim.term.0 == 0 {
            // No election has term 0: the server asked, for a ghost's place.
            self.server.handle_fence(now, victim.rid, outcome);
        } else if let Some(election) = &mut self.election {
            election.handle_fence(now, victim, outcome);
        }
    }

    /// Sends a request to the server's service; [`Event::Answered`] follows, across any number of fail-overs.
    /// `None` while [`crate::bounds::REQUESTS_IN_FLIGHT_MAX`] are under way, if the body is longer than
    /// [`crate::bounds::REQUEST_KEPT_BYTES`], or when the mount is leaving.
    ///
    /// # Panics
    /// If `command` is below [`Command::SERVICE`]: those are not for services.
    pub fn submit(&mut self, command: Command, body: &[u8]) -> Option<RequestId> {
        self.client.submit(command, body)
    }

    /// The body of the answer that [`Event::Answered`] announced, as far as it was kept.
    pub fn answer(&self, id: RequestId) -> &[u8] {
        self.client.answer(id)
    }

    /// Lets time pass. Does a bounded amount of work.
    pub fn poll(&mut self, now: Instant) {
        if !self.has_ended() {
            self.again = false;
            self.wire(now);
            self.watch_quorum();
            self.wind_up(now);
        }
    }

    /// The next disk request. The bytes of a write are put into `buffer`, which holds
    /// [`Config::transfer_blocks`] blocks and stays untouched until the write completes.
    ///
    /// # Panics
    /// If it holds fewer: a request may span as many.
    pub fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        let blocks = self.client.config().transfer_blocks;
        assert!(
            buffer.len() / BLOCK_BYTES >= blocks as usize,
            "a buffer of transfer_blocks blocks"
        );
        if self.has_ended() {
            return None;
        }
        if let Some(request) = self
            .election
            .as_mut()
            .and_then(|election| election.poll_disk(now, buffer))
        {
            return Some(request);
        }
        let may_act = self.may_act(now);
        let id = self.server_ids.draw();
        if let Some(request) = self.server.poll_disk(now, may_act, id, buffer) {
            return Some(request);
        }
        let id = self.client_ids.draw();
        self.client.poll_disk(now, id)
    }

    /// The next thing to do with the network.
    pub fn poll_net(&mut self, now: Instant) -> Option<NetRequest> {
        while let Some(request) = self.server.poll_net(now) {
            // The last of them turns the server off, and nothing else calls to find that out.
            self.again |= !matches!(self.server.state(), State::Starting | State::Serving);
            if request == NetRequest::Close(ConnId::LOCAL) {
                self.again = true;
                self.client.handle_closed(now, ConnId::LOCAL, CloseReason::ByPeer);
            } else {
                return Some(request);
            }
        }
        while let Some(request) = self.client.poll_net(now) {
            self.again = true;
            match request {
                NetRequest::Close(ConnId::LOCAL) => self.server.handle_closed(now, ConnId::LOCAL),
                NetRequest::Connect(ConnId::LOCAL, _) => match self.server.handle_accept_local(now) {
                    Some(conn) => self.client.handle_connected(now, conn),
                    None => self
                        .client
                        .handle_closed(now, ConnId::LOCAL, CloseReason::Refused),
                },
                request => return Some(request),
            }
        }
        None
    }

    /// The next message to send: its connection, and its length in `buffer`, which holds
    /// [`crate::bounds::MESSAGE_BYTES_MAX`] bytes.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        if self.has_ended() {
            return None;
        }
        loop {
            let may_act = self.may_act(now);
            let from_server = self.server.poll_transmit(now, may_act, buffer);
            match from_server.or_else(|| self.client.poll_transmit(now, buffer))? {
                (ConnId::LOCAL, length) if from_server.is_some() => {
                    self.again = true;
                    self.client
                        .handle_bytes(now, ConnId::LOCAL, &mut buffer[..length]);
                }
                (ConnId::LOCAL, length) => {
                    self.again = true;
                    self.server
                        .handle_bytes(now, ConnId::LOCAL, &mut buffer[..length]);
                }
                message => return Some(message),
            }
        }
    }

    fn can_fence(&self) -> bool {
        let voter = &self.client.config().voter;
        voter.as_ref().is_some_and(|voter| voter.can_fence)
    }

    /// The next mount to fence.
    pub fn poll_fence(&mut self, now: Instant) -> Option<FenceRequest> {
        if self.has_ended() {
            return None;
        }
        let request = self
            .election
            .as_mut()
            .and_then(|election| election.poll_fence(now));
        let may_act = self.can_fence() && self.may_act(now);
        let request = request.or_else(|| self.server.poll_fence(now, may_act))?;
        let own = self.election.as_ref().and_then(|election| election.own());
        if let Some(by) = own {
            self.server.journal().asked(&request.victim, request.attempt, by);
        }
        Some(request)
    }

    /// The time of day, in seconds since 1970, from a platform that knows it: fence records say when. Nothing else
    /// depends on it.
    pub fn set_unix_time(&mut self, unix_s: u64) {
        self.server.journal().set_unix_time(unix_s);
    }

    /// The next thing to tell. [`Event::Unmounted`] is the last. With the features `log` and `defmt` it is told to these, too.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.next_event();
        if let Some(event) = &event {
            tell::event(event);
        }
        event
    }

    fn next_event(&mut self) -> Option<Event> {
        if self.client.super_view().is_some() && !core::mem::replace(&mut self.started_told, true) {
            return Some(Event::Started);
        }
        if core::mem::take(&mut self.unmounting_due) {
            return Some(Event::Unmounting);
        }
        if let (true, Some((votes, needed))) = (core::mem::take(&mut self.quorum_due), self.quorum_told) {
            return Some(Event::WaitingForQuorum { votes, needed });
        }
        let election = self.election.as_mut().and_then(|election| election.poll_event());
        if let Some(event) = &election {
            self.record_silence(event);
        }
        let event = election
            .or_else(|| self.server.poll_event())
            .or_else(|| self.client_event());
        if event.is_some() {
            return event;
        }
        match self.life {
            Life::Ended(how) if !core::mem::replace(&mut self.ended_told, true) => {
                Some(Event::Unmounted(how))
            }
            _ => None,
        }
    }

    /// Keeps a record of a predecessor that was silenced without a fence of this mount; of the others the answer tells.
    fn record_silence(&mut self, event: &Event) {
        let Event::Silenced { victim, how } = event else {
            return;
        };
        let Some(election) = &self.election else { return };
        if let (Some(entry), Some(by)) = (election.logged(victim.rid), election.own()) {
            match how {
                Silenced::LeaseRanOut => self.server.journal().lapsed(&entry, by),
                Silenced::FencedBefore => self.server.journal().fenced_before(&entry, by),
                Silenced::Void | Silenced::Stopped | Silenced::Fenced => {}
            }
        }
    }

    /// The client tells of its end itself; the mount does so when everything is wound up.
    fn client_event(&mut self) -> Option<Event> {
        loop {
            match self.client.poll_event()? {
                Event::Unmounted(_) => {}
                event => {
                    // The farewell is the last request: it waits until the platform was told of every answer.
                    self.again |= self.client.is_leaving();
                    return Some(event);
                }
            }
        }
    }

    /// When [`poll`](Self::poll) has to be called at the latest, if nothing else happens.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.has_ended() {
            return None;
        }
        if self.again {
            return Some(self.polled_at);
        }
        let election = self
            .election
            .as_ref()
            .and_then(|election| election.next_deadline());
        let backoff = (self.polled_at < self.no_election_before).then_some(self.no_election_before);
        let due = self.election_due();
        earliest(&[
            election,
            self.server.next_deadline(),
            self.client.next_deadline(),
            backoff,
            due,
            self.wind_up_until,
        ])
    }

    /// Whether the mount has ended: nothing more will be asked. Nothing is outstanding either but reads, and, after
    /// [`force`](Self::force), what the platform drops with the device.
    pub const fn has_ended(&self) -> bool {
        matches!(self.life, Life::Ended(_))
    }

    /// The ballot under which this mount has the right to act as leader at this moment.
    pub fn right(&self, now: Instant) -> Option<Ballot> {
        if self.has_ended() {
            return None;
        }
        self.election.as_ref().and_then(|election| election.right(now))
    }

    /// Whether the server may write and answer at this moment.
    fn may_act(&self, now: Instant) -> bool {
        self.reign.is_some() && self.right(now) == self.reign
    }

    /// Whom this mount is connected to, and where; no address for this mount's own server.
    pub fn connected_to(&self) -> Option<(Ballot, Option<SocketAddr>)> {
        self.client.connected_to()
    }

    /// The newest reading of the super block.
    pub fn super_view(&self) -> Option<&SuperView> {
        self.client.super_view()
    }

    /// Clients mounted at this mount's server, while it serves.
    pub fn clients_mounted(&mut self) -> u32 {
        if self.reign.is_some() {
            self.server.mounted()
        } else {
            0
        }
    }

    /// This mount's identity.
    pub const fn rid(&self) -> Rid {
        self.client.config().rid
    }

    /// The service, for platforms that look into it.
    pub fn service(&mut self) -> &mut S {
        self.server.service()
    }
}
