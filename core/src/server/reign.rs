//! One reign: from the ballot that is recorded in the super block until the server is off again.

use core::net::SocketAddr;

use super::commit::{Committer, Committing};
use super::journal::Recorded;
use super::load::{Loader, Loading};
use super::memory::{ClientSlot, Role};
use super::table::Layout;
use super::{Parts, index};
use crate::bounds::{BLOCK_BYTES, LISTEN_RETRY_WAIT, LISTEN_TRIES_MAX, PLACES_MAX};
use crate::config::Basics;
use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::event::Fault;
use crate::format::SUPER_COPIES;
use crate::ids::{Ballot, BlockNo, Rid};
use crate::noise::Secret;
use crate::service::Service;
use crate::superio::{SuperView, SuperWriter};
use crate::time::Instant;

/// How far a server is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Not started, or stopped. Something may still be outstanding: see [`Server::is_off`](super::Server::is_off).
    Off,
    /// Reads the client table, listens, publishes its address.
    Starting,
    /// Its address is published.
    Serving,
    /// Closes its connections.
    Stopping,
    /// It could not start, or the device failed under it; an event said why. It says nothing more.
    Failed,
}

/// The listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Listener {
    Closed,
    OpenDue,
    Opening,
    Open,
    CloseDue,
}

impl Listener {
    pub(super) const fn close(&mut self) {
        *self = match self {
            Self::Closed | Self::OpenDue => Self::Closed,
            Self::Opening | Self::Open | Self::CloseDue => Self::CloseDue,
        };
    }
}

/// What an update of the super block is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Update {
    /// The server listens: clients may come.
    Publish,
    /// Everybody leaves: every record is deleted.
    Barrier,
}

/// The client table, while it is read and afterwards.
#[derive(Clone, Debug)]
pub(super) enum Table {
    Loading(Loader),
    Ready(Committer),
}

/// A wish to have a ghost fenced for its voter's place.
#[derive(Clone, Debug)]
pub(super) struct GhostWish {
    pub(super) wanted: bool,
    pub(super) under_way: Option<Rid>,
    pub(super) attempt: u32,
    pub(super) not_before: Instant,
}

/// What a completion meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Completed {
    NotMine,
    Fine,
    /// A fence record is lost, nothing else; and whether its write may still land.
    RecordLost(Fault, bool),
    ReadFailed(Fault),
    WriteFailed(Fault),
}

/// What a server knows while it reigns, apart from its clients and connections.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) ballot: Ballot,
    pub(super) addr: SocketAddr,
    pub(super) layout: Layout,
    pub(super) supers: SuperWriter,
    pub(super) update: Option<Update>,
    /// Where the newest write of the super block went, to tell of its failure.
    super_write: BlockNo,
    pub(super) table: Table,
    /// The barrier that new records carry. One ahead of the super block while that is being bumped.
    pub(super) barrier: u64,
    pub(super) quorum_count: u16,
    /// Slots with a voter's place.
    pub(super) places: heapless::Vec<u32, PLACES_MAX>,
    /// No slot below this one is free.
    pub(super) free_from: usize,
    pub(super) listen_tries: u32,
    pub(super) listen_retry: Option<Instant>,
    /// Clients known from before that were not heard of yet.
    pub(super) expected: u32,
    /// How many clients are mounted, as last counted; and how many may have been not long ago: falls slowly.
    pub(super) crowd: u32,
    /// See `crowd`.
    pub(super) crowd_lately: u32,
    /// When `crowd_lately` fell last.
    pub(super) crowd_fell: Instant,
    pub(super) recovered: bool,
    /// The moment from which clients could have returned: absence before it does not count.
    pub(super) absence_counts_from: Instant,
    pub(super) next_sweep: Instant,
    /// Something changed that farewells depend on.
    pub(super) judge: bool,
    /// A farewell was said that is not answered.
    pub(super) held: bool,
    pub(super) remote_seen: bool,
    /// The barrier has released everybody at least once.
    pub(super) released: bool,
    /// Until then those it released may fetch their answers.
    pub(super) drain_by: Option<Instant>,
    pub(super) ghost: GhostWish,
    pub(super) stop_by: Instant,
}

impl Reign {
    /// By what clients know this volume's servers, and servers its clients.
    pub(super) const fn secret(&self) -> Secret<'_> {
        Secret {
            volume: self.layout.volume,
            key: &self.supers.current().key,
        }
    }

    pub(super) fn new(
        now: Instant,
        view: &SuperView,
        ballot: Ballot,
        addr: SocketAddr,
        config: &Basics,
    ) -> Self {
        let layout = Layout::new(&view.state, config.checksum);
        let barrier = view.state.unmount_barrier;
        Self {
            ballot,
            addr,
            layout,
            supers: SuperWriter::new(view),
            update: None,
            super_write: SUPER_COPIES[0],
            table: Table::Loading(Loader::new(layout, barrier, config.transfer_blocks)),
            barrier,
            quorum_count: view.state.quorum_count,
            places: heapless::Vec::new(),
            free_from: 0,
            listen_tries: 0,
            listen_retry: None,
            expected: 0,
            crowd: 0,
            crowd_lately: 0,
            crowd_fell: now,
            recovered: false,
            absence_counts_from: now,
            next_sweep: now,
            judge: false,
            held: false,
            remote_seen: false,
            released: false,
            drain_by: None,
            ghost: GhostWish {
                wanted: false,
                under_way: None,
                attempt: 0,
                not_before: now,
            },
            stop_by: now,
        }
    }

    /// Begins an update of the super block, unless one is under way.
    pub(super) fn update(&mut self, update: Update) {
        if self.supers.is_busy() {
            return;
        }
        let addr = self.addr;
        self.supers.start(|state| match update {
            Update::Publish => state.server_addr = Some(addr),
            Update::Barrier => state.unmount_barrier += 1,
        });
        if update == Update::Barrier {
            self.barrier += 1;
        }
        self.update = Some(update);
    }

    pub(super) fn is_published(&self) -> bool {
        self.update.is_none() && self.supers.current().server_addr == Some(self.addr)
    }

    /// Whether the listener may be opened: not before the table is whole, so that nothing is acknowledged upon a record
    /// that one more fault could take away.
    pub(super) fn may_listen(&self, now: Instant) -> bool {
        let whole = matches!(&self.table, Table::Ready(committer) if committer.is_settled());
        whole && self.listen_retry.is_none_or(|at| now >= at)
    }

    /// Counts a failure to listen; `Some` when it was the last one.
    pub(super) fn could_not_listen(&mut self, now: Instant) -> Option<SocketAddr> {
        self.listen_tries += 1;
        self.listen_retry = Some(now + LISTEN_RETRY_WAIT);
        (self.listen_tries == LISTEN_TRIES_MAX).then_some(self.addr)
    }

    /// When the next thing is due in this state.
    pub(super) fn next_deadline(&self, state: State) -> Option<Instant> {
        match state {
            State::Off | State::Failed => None,
            State::Starting => match &self.table {
                Table::Loading(loader) => loader.deadline(),
                Table::Ready(_) => self.listen_retry,
            },
            State::Serving => Some(
                self.drain_by
                    .map_or(self.next_sweep, |by| by.min(self.next_sweep)),
            ),
            State::Stopping => Some(self.stop_by),
        }
    }

    /// Whether a disk request is under way.
    pub(super) fn is_outstanding(&self) -> bool {
        let table = match &self.table {
            Table::Loading(loader) => loader.is_outstanding(),
            Table::Ready(committer) => committer.is_outstanding(),
        };
        table || (self.supers.is_busy() && !self.supers.is_due())
    }

    /// The client in `slot` changed and must be written.
    pub(super) fn mark(&mut self, slot: u32, clients: &mut [ClientSlot]) {
        if let Table::Ready(committer) = &mut self.table {
            committer.mark(slot, clients);
        }
    }
}

impl<S: Service> Parts<'_, S> {
    pub(super) fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) -> Completed {
        match self.journal.handle_disk(now, id, outcome, &self.reign.layout) {
            None => {}
            Some(Recorded::Fine) => return Completed::Fine,
            Some(Recorded::ReadFailed(fault)) => return Completed::RecordLost(fault, false),
            Some(Recorded::WriteFailed(fault)) => return Completed::RecordLost(fault, true),
        }
        let first = self.reign.super_write;
        match self.reign.supers.handle_disk(id, outcome) {
            None => self.handle_table(now, id, outcome),
            Some(Ok(())) => {
                self.updated(now);
                Completed::Fine
            }
            Some(Err(error)) => Completed::WriteFailed(Fault::Disk {
                first,
                write: true,
                error,
            }),
        }
    }

    fn updated(&mut self, now: Instant) {
        if self.reign.update.take() == Some(Update::Barrier) && self.state == State::Serving {
            self.released(now);
        }
    }

    fn handle_table(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) -> Completed {
        match &mut self.reign.table {
            Table::Loading(loader) => {
                let transfer_blocks = self.config.transfer_blocks;
                match loader.handle_disk(now, id, outcome, transfer_blocks, self.clients) {
                    None => Completed::NotMine,
                    Some(Loading::More) => Completed::Fine,
                    Some(Loading::Failed(fault)) => Completed::ReadFailed(fault),
                    Some(Loading::Done { seq, repair }) => self.loaded(seq, repair),
                }
            }
            Table::Ready(committer) => match committer.handle_disk(id, outcome, self.clients) {
                None => Completed::NotMine,
                Some(Committing::More) => Completed::Fine,
                Some(Committing::Failed(fault)) => Completed::WriteFailed(fault),
                Some(Committing::Done) => {
                    // Nobody is there any more whom it concerns, once the connections are closed.
                    if matches!(self.state, State::Starting | State::Serving) {
                        self.committed(now);
                    }
                    Completed::Fine
                }
            },
        }
    }

    /// The table is read: counts who is expected back.
    fn loaded(&mut self, seq: u64, repair: bool) -> Completed {
        let layout = self.reign.layout;
        self.reign.table = Table::Ready(Committer::new(layout, seq, repair));
        index::build(self.clients);
        for (slot, client) in self.clients.iter().enumerate() {
            let slot = slot as u32;
            self.reign.expected += u32::from(client.expected);
            if client.has_voters_place() {
                // More than that were never admitted; their records count as voters' all the same.
                let _ = self.reign.places.push(slot);
            }
        }
        Completed::Fine
    }

    /// The address is published: from now on absence counts.
    pub(super) fn begin_to_serve(&mut self, now: Instant) {
        self.reign.absence_counts_from = now;
        self.count_crowd(now);
        self.plan_sweep(now);
        self.reign.judge = true;
        for client in &*self.clients {
            if client.window.has_waiting() && client.conn != super::NONE {
                self.conns.mark(self.slots, client.conn, |due| due.answers = true);
            }
        }
    }

    pub(super) fn poll_disk(
        &mut self,
        now: Instant,
        may_act: bool,
        id: IoId,
        buffer: &mut [u8],
    ) -> Option<DiskRequest> {
        let limit = self.config.write_time_max;
        if self.state == State::Stopping {
            return self.poll_journal(now, may_act, id, buffer);
        }
        if let Table::Loading(loader) = &mut self.reign.table {
            return loader.poll_disk(now, id, limit);
        }
        if let Some(record) = self.poll_journal(now, may_act, id, buffer) {
            return Some(record);
        }
        if !may_act {
            return None;
        }
        let update = self
            .reign
            .supers
            .poll_disk(id, limit, self.config.checksum, buffer);
        if let Some(DiskRequest::Write { first, .. }) = update {
            self.reign.super_write = first;
            return update;
        }
        let Table::Ready(committer) = &mut self.reign.table else {
            return None;
        };
        let blocks = (buffer.len() / BLOCK_BYTES).min(self.config.transfer_blocks as usize);
        committer.poll_disk(id, limit, self.clients, &mut buffer[..blocks * BLOCK_BYTES])
    }

    fn poll_journal(
        &mut self,
        now: Instant,
        may_act: bool,
        id: IoId,
        buffer: &mut [u8],
    ) -> Option<DiskRequest> {
        let blocks = (buffer.len() / BLOCK_BYTES).min(self.config.transfer_blocks as usize);
        let limit = self.config.write_time_max;
        self.journal.poll_disk(
            now,
            id,
            (may_act, limit),
            &self.reign.layout,
            &mut buffer[..blocks * BLOCK_BYTES],
        )
    }

    pub(super) fn end_drain_time(&mut self, now: Instant) {
        if self.reign.drain_by.is_some_and(|by| now >= by) {
            self.reign.drain_by = None;
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        let waiting = |conn: &super::ConnSlot| matches!(conn.role, Role::Client | Role::Leaver);
        self.reign.released && (self.reign.drain_by.is_none() || !self.slots.iter().any(waiting))
    }

    /// The slot of a client.
    pub(super) fn find(&self, rid: Rid) -> Option<u32> {
        index::find(self.clients, rid)
    }
}
