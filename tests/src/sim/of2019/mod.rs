//! The 2019 rules as a machine at the same seam as the real mount: what they do in the same worlds is what the
//! documents compare ours with.
//!
//! They are given what they lacked to be worth comparing: a fence that acts, and a rid in the super block, by which
//! the simulator names servers. Everything else is as it was: fixed timers, a fixed number of cycles in the log, logs
//! of older terms dropped before they are merged, votes that a second election call casts again, no seal, silence
//! while a leader fences and starts, a super block that anybody writes who believes to serve, whatever it read
//! before, and a server that a connection without a greeting brings down. Unmounting is left out: a mount that is told
//! to leave stops its server and goes.
//!
//! - `block`: bytes. - `ballot`: one election call. - `talk`: greeting and keeping in touch. This file: the order of
//!   things.

mod ballot;
mod block;
mod talk;

use std::collections::VecDeque;
use std::net::SocketAddr;

use ostrakon_core::bounds::{BLOCK_BYTES, REGION_BLOCKS};
use ostrakon_core::disk::{DiskOutcome, DiskRequest, IoId};
use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::format::{FenceParam, LogEntry, SUPER_COPIES};
use ostrakon_core::ids::{BlockNo, BootId, HostId, Rid, Term};
use ostrakon_core::time::{Duration, Instant};

use super::dice::Dice;
pub use block::Super;
use block::{Entry, Vote};
use talk::Talk;

/// Longest election call.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Pause before the next attempt to find a server.
const RETRY: Duration = Duration::from_millis(100);
const PAUSE_MIN_US: u64 = 10_000;
const PAUSE_MAX_US: u64 = 20_000;

/// What a mount is given.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its identity.
    pub rid: Rid,
    /// Where it would serve, if it is a voter.
    pub addr: Option<SocketAddr>,
    /// Votes that elect.
    pub quorum: usize,
    /// First block of the region.
    pub region: u64,
    /// Blocks that a request may have.
    pub transfer: usize,
    /// Time limit of a request.
    pub limit: Duration,
}

/// What the mount is doing; one thing at a time, each with at most one request under way.
#[derive(Clone, Debug)]
enum Task {
    /// Nothing until then; then it looks for a server.
    Rest(Instant),
    /// Reads the super block to find a server.
    Seek,
    /// Has one, or tries to reach it.
    Talk,
    /// Takes part in an election.
    Elect(Call, Step),
    /// Was elected: fences these, the last one first.
    Fence(u64, Vec<Entry>, Fencing),
    /// Writes the super block as leader of this term.
    Record(u64, Record),
    /// Waits for its listener.
    Listen(u64),
    /// Its server stops: clears the address.
    Stop(Record),
    /// Has ended.
    Over,
}

#[derive(Clone, Debug)]
struct Call {
    ballot: ballot::Ballot,
    until: Instant,
    server_term: u64,
    state: Super,
    votes: Vec<Vote>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Super,
    Region(usize),
    Write,
    Pause(Instant),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fencing {
    Due,
    Asked(u32),
    Again(Instant, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Record {
    ReadFenced,
    WriteFenced,
    ReadServer,
    WriteServer,
}

/// One mount under the 2019 rules.
#[derive(Clone, Debug)]
pub struct Mount {
    config: Config,
    dice: Dice,
    task: Task,
    talk: Talk,
    /// Term of the server that runs here.
    serving: Option<u64>,
    /// The super block as it was last read, and is written back.
    state: Super,
    io: Option<IoId>,
    next_io: u32,
    fence_due: Option<(Entry, u32)>,
    leaving: Option<Unmounted>,
    events: VecDeque<Event>,
}

impl Mount {
    /// A mount that begins at once.
    pub fn new(now: Instant, config: Config, seed: u64) -> Self {
        let talk = Talk::new(config.rid);
        Self {
            config,
            dice: Dice::new(seed),
            task: Task::Rest(now),
            talk,
            serving: None,
            state: Super::default(),
            io: None,
            next_io: 0,
            fence_due: None,
            leaving: None,
            events: VecDeque::new(),
        }
    }

    /// Term and rid of the server that runs here.
    pub fn serves(&self) -> Option<ostrakon_core::ids::Ballot> {
        self.serving.map(|term| self.ballot(term))
    }

    fn ballot(&self, term: u64) -> ostrakon_core::ids::Ballot {
        ostrakon_core::ids::Ballot {
            term: Term(term),
            rid: self.config.rid,
        }
    }

    /// Whether it has ended, with nothing outstanding.
    pub const fn has_ended(&self) -> bool {
        matches!(self.task, Task::Over) && self.io.is_none()
    }

    /// Leaves: stops its server first.
    pub fn unmount(&mut self) {
        self.leave(Unmounted::NeverMounted);
    }

    /// Leaves at once.
    pub fn force(&mut self) {
        self.leave(Unmounted::Forced);
    }

    fn leave(&mut self, how: Unmounted) {
        self.leaving.get_or_insert(how);
    }

    /// A disk request ended.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        if self.io.take_if(|io| *io == id).is_none() {
            return;
        }
        match std::mem::replace(&mut self.task, Task::Rest(now)) {
            Task::Seek => self.sought(now, outcome),
            Task::Elect(call, step) => self.called(now, call, step, outcome),
            Task::Record(term, record) => self.recorded(now, term, record, outcome),
            Task::Stop(record) => self.stopping(now, record, outcome),
            task => self.task = task,
        }
    }

    fn sought(&mut self, now: Instant, outcome: DiskOutcome<'_>) {
        let DiskOutcome::Read(bytes) = outcome else {
            return self.rest(now);
        };
        self.state = Super::decode(bytes);
        match self.state.addr {
            Some(addr) => {
                self.talk.connect(now, addr);
                self.task = Task::Talk;
            }
            None => self.no_server(now),
        }
    }

    /// One failed connect is enough for a voter to start an election.
    fn no_server(&mut self, now: Instant) {
        if self.config.addr.is_none() || self.serving.is_some() {
            return self.rest(now);
        }
        let call = Call {
            ballot: ballot::Ballot::new(self.config.rid.value(), self.config.quorum, now.0, &mut self.dice),
            until: now + CALL_MAX,
            server_term: if self.state.addr.is_some() {
                self.state.server_term
            } else {
                0
            },
            state: self.state,
            votes: Vec::new(),
        };
        self.task = Task::Elect(call, Step::Super);
    }

    fn rest(&mut self, now: Instant) {
        self.task = Task::Rest(now + RETRY);
    }

    fn called(&mut self, now: Instant, mut call: Call, step: Step, outcome: DiskOutcome<'_>) {
        match (step, outcome) {
            (Step::Super, DiskOutcome::Read(bytes)) => {
                call.state = Super::decode(bytes);
                call.votes.clear();
                let elsewhere = call.state.addr.is_some() && call.state.server_term > call.server_term;
                if elsewhere || now >= call.until {
                    self.state = call.state;
                    self.task = Task::Rest(now);
                } else {
                    self.task = Task::Elect(call, Step::Region(0));
                }
            }
            (Step::Region(first), DiskOutcome::Read(bytes)) => {
                call.votes
                    .extend(bytes.chunks_exact(BLOCK_BYTES).filter_map(Vote::decode));
                let next = first + bytes.len() / BLOCK_BYTES;
                let step = if next < REGION_BLOCKS {
                    Step::Region(next)
                } else {
                    Step::Write
                };
                self.task = Task::Elect(call, step);
            }
            (Step::Write, DiskOutcome::Done) => {
                let pause = Duration(self.dice.between(PAUSE_MIN_US, PAUSE_MAX_US));
                self.task = Task::Elect(call, Step::Pause(now + pause));
            }
            _ => self.rest(now),
        }
    }

    fn elected(&mut self, term: u64, log: Vec<Entry>) {
        self.events.push_back(Event::Elected(self.ballot(term)));
        self.task = Task::Fence(term, log, Fencing::Due);
    }

    fn recorded(&mut self, now: Instant, term: u64, record: Record, outcome: DiskOutcome<'_>) {
        match (record, outcome) {
            (Record::ReadFenced, DiskOutcome::Read(bytes)) => {
                self.state = Super::decode(bytes);
                self.state.fenced_term = term - 1;
                self.task = Task::Record(term, Record::WriteFenced);
            }
            (Record::WriteFenced, DiskOutcome::Done) => {
                self.talk
                    .listen(self.config.addr.expect("only a voter is elected"));
                self.task = Task::Listen(term);
            }
            (Record::ReadServer, DiskOutcome::Read(bytes)) => {
                self.state = Super {
                    server_term: term,
                    server_rid: self.config.rid.value(),
                    addr: self.config.addr,
                    ..Super::decode(bytes)
                };
                self.task = Task::Record(term, Record::WriteServer);
            }
            (Record::WriteServer, DiskOutcome::Done) => {
                let addr = self.config.addr.expect("only a voter is elected");
                self.serving = Some(term);
                self.talk.serve(self.ballot(term));
                self.events.push_back(Event::Serving {
                    ballot: self.ballot(term),
                    addr,
                });
                self.task = Task::Rest(now);
            }
            _ => {
                self.talk.unlisten();
                self.rest(now);
            }
        }
    }

    /// Whoever's address it is: it is cleared.
    fn stopping(&mut self, now: Instant, record: Record, outcome: DiskOutcome<'_>) {
        match (record, outcome) {
            (Record::ReadServer, DiskOutcome::Read(bytes)) => {
                self.state = Super::decode(bytes);
                self.state.addr = None;
                self.task = Task::Stop(Record::WriteServer);
            }
            _ => self.rest(now),
        }
    }

    /// What became of a fence.
    pub fn handle_fence(&mut self, now: Instant, outcome: FenceOutcome) {
        let Task::Fence(_, victims, fencing) = &mut self.task else {
            return;
        };
        let Fencing::Asked(attempt) = *fencing else { return };
        if outcome == FenceOutcome::Done {
            victims.pop();
            *fencing = Fencing::Due;
        } else {
            *fencing = Fencing::Again(now + Duration::from_secs(1), attempt + 1);
        }
    }

    /// Lets time pass.
    pub fn poll(&mut self, now: Instant) {
        self.talk.poll(now);
        if self.serving.is_some() && (self.talk.is_hurt() || self.leaving.is_some()) && self.io.is_none() {
            self.stop_serving();
        }
        if self.leaving.is_some() && self.io.is_none() && !matches!(self.task, Task::Stop(_)) {
            return self.end();
        }
        match &mut self.task {
            Task::Rest(at) if *at <= now => self.task = Task::Seek,
            Task::Talk if self.talk.has_failed() => {
                if self.talk.take_failure() {
                    self.rest(now);
                } else {
                    self.no_server(now);
                }
            }
            Task::Elect(_, step) if matches!(*step, Step::Pause(at) if at <= now) => *step = Step::Super,
            Task::Fence(term, victims, fencing) => match (*fencing, victims.last()) {
                (_, None) => self.task = Task::Record(*term, Record::ReadFenced),
                (Fencing::Due, Some(victim)) => {
                    self.fence_due = Some((*victim, 1));
                    *fencing = Fencing::Asked(1);
                }
                (Fencing::Again(at, attempt), Some(victim)) if at <= now => {
                    self.fence_due = Some((*victim, attempt));
                    *fencing = Fencing::Asked(attempt);
                }
                _ => {}
            },
            Task::Listen(term) => match self.talk.take_listening() {
                Some(true) => self.task = Task::Record(*term, Record::ReadServer),
                Some(false) => self.rest(now),
                None => {}
            },
            _ => {}
        }
        self.talk.tell(&mut self.events);
    }

    fn stop_serving(&mut self) {
        let Some(term) = self.serving.take() else { return };
        let ballot = self.ballot(term);
        self.talk.stop();
        self.events
            .push_back(Event::StoppedServing { ballot, clean: false });
        self.task = Task::Stop(Record::ReadServer);
    }

    fn end(&mut self) {
        if let Some(how) = self.leaving.filter(|_| !matches!(self.task, Task::Over)) {
            self.talk.stop();
            self.talk.disconnect();
            self.events.push_back(Event::Unmounted(how));
            self.task = Task::Over;
        }
    }

    /// The next request for the disk.
    pub fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        if self.io.is_some() {
            return None;
        }
        let super_block = SUPER_COPIES[0];
        let request = match &mut self.task {
            Task::Seek
            | Task::Elect(_, Step::Super)
            | Task::Record(_, Record::ReadFenced | Record::ReadServer)
            | Task::Stop(Record::ReadFenced | Record::ReadServer) => (super_block, 1, false),
            Task::Record(_, Record::WriteFenced | Record::WriteServer)
            | Task::Stop(Record::WriteFenced | Record::WriteServer) => {
                self.state.encode(&mut buffer[..BLOCK_BYTES]);
                (super_block, 1, true)
            }
            Task::Elect(_, Step::Region(first)) => {
                let count = self.config.transfer.min(REGION_BLOCKS - *first);
                (BlockNo(self.config.region + *first as u64), count as u32, false)
            }
            Task::Elect(call, Step::Write) => {
                match call.ballot.turn(now.0, &call.state, &call.votes, &mut self.dice) {
                    ballot::Turn::Write(vote) => {
                        vote.encode(&mut buffer[..BLOCK_BYTES]);
                        let block = self.dice.below(REGION_BLOCKS as u64);
                        (BlockNo(self.config.region + block), 1, true)
                    }
                    ballot::Turn::Elected(term, log) => {
                        self.elected(term, log);
                        return None;
                    }
                    ballot::Turn::Full => {
                        self.rest(now);
                        return None;
                    }
                }
            }
            _ => return None,
        };
        self.next_io += 1;
        let (id, (first, count, write), limit) = (IoId(self.next_io), request, self.config.limit);
        self.io = Some(id);
        Some(match write {
            true => DiskRequest::Write {
                id,
                first,
                count,
                durable: true,
                limit,
            },
            false => DiskRequest::Read {
                id,
                first,
                count,
                limit,
            },
        })
    }

    /// The next predecessor to fence.
    pub fn poll_fence(&mut self) -> Option<FenceRequest> {
        let (victim, attempt) = self.fence_due.take()?;
        let rid = Rid::new(victim.rid)?;
        Some(FenceRequest {
            victim: LogEntry {
                ballot: ostrakon_core::ids::Ballot {
                    term: Term(victim.term),
                    rid,
                },
                host: HostId(0),
                boot: BootId::default(),
                addr: self.config.addr?,
                quiet_ms: 0,
                fenced: false,
                fence_param: FenceParam::default(),
            },
            attempt,
        })
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`poll`](Self::poll) has something to do at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = match &self.task {
            Task::Rest(at) | Task::Elect(_, Step::Pause(at)) | Task::Fence(_, _, Fencing::Again(at, _)) => {
                Some(*at)
            }
            // Was elected while it had a vote to write.
            Task::Fence(_, _, Fencing::Due) => Some(Instant(0)),
            _ => None,
        };
        own.into_iter().chain(self.talk.next_deadline()).min()
    }

    /// What it says in the network.
    pub const fn talk(&mut self) -> &mut Talk {
        &mut self.talk
    }
}
