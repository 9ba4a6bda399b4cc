//! The election of one voter, as a polled machine without I/O: rules R1 to R10 and the rules for progress of
//! `core/DESIGN.md`.
//!
//! - `cycle`: the walk through the disk: super block, region, (super block again,) one write, pause.
//! - `collect`: reading the region, block by block, until every block is judged.
//! - `follow`: taking part without a ballot: gate, follow, ask, rest.
//! - `stand`: with a ballot: candidate, seal, silence the predecessors, claim the super block.
//! - `lead`: leading, and stopping cleanly.
//! - `block`: what is written.

mod block;
mod collect;
mod cycle;
mod follow;
mod lead;
mod stage;
mod stand;

#[cfg(test)]
mod tests;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro128PlusPlus;

use crate::bounds::QUIET_MS_MAX;
use crate::config::{Basics, Config, VoterConfig};
use crate::decide::log::Log;
use crate::decide::pace::Pace;
use crate::decide::peers::Peers;
use crate::decide::witness::{Blocks, Witness};
use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::event::Event;
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::{LogEntry, SuperBlock};
use crate::ids::{Ballot, BlockNo, Mark, Rid, Term, WriteNr};
use crate::io::{IoIds, Owner};
use crate::rules::{self, Rule};
use crate::superio::{SuperReader, SuperView, SuperWriter};
use crate::time::Instant;

use collect::Collect;
use cycle::Step;
use stage::{Stage, VictimState, Victims};

/// Events that one input can give rise to.
const EVENTS_MAX: usize = 12;

/// Room that silencing leaves in the queue for other events: what it cannot tell of waits for the next cycle.
const EVENTS_SPARE: usize = 4;

/// What the election has to know of the server that runs under its ballot, and of this mount's connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LeaderFacts {
    /// The server's address is published.
    pub serving: bool,
    /// Voters heard since [`Election::bell_since`], this mount counted.
    pub voters: u16,
    /// Voters that were lost, or are recorded and awaited.
    pub away: u16,
    /// A remote client has greeted since the election.
    pub remote_seen: bool,
}

/// How this mount lost its server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lost {
    /// Whom it was connected to when the connection broke.
    pub server: Ballot,
    /// A new connection is refused now, or the server said that it resigns.
    pub refused: bool,
}

/// What this mount has said in the region, and must not contradict.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Said {
    term: Term,
    /// Whom it voted for in `term`. Never recast.
    voted: Option<Rid>,
    /// Terms up to this one were on disk when it came: it abstains in them.
    abstain: Option<Term>,
    void_term: Term,
    /// `void_term` does not stand in any block yet.
    void_due: bool,
    /// A ballot that was given up and still stands in logs: the blocks that carry it are overwritten, so that nobody
    /// meets it after this mount's word that it is void was overwritten itself.
    void_spreads: Option<(Ballot, u32)>,
    write_nr: WriteNr,
    ring: u64,
    round: u32,
    barren: bool,
    yielded_to: Option<Rid>,
    yielded_at: Instant,
}

/// The election of one voter.
///
/// Order of calls: inputs as they come; [`poll`](Self::poll) when time has passed or an input came; then the
/// `poll_*` outputs until each gives nothing. [`wish`](Self::wish) says whether the server should run.
#[derive(Clone, Debug)]
pub struct Election {
    config: Basics,
    voter: VoterConfig,
    rng: Xoshiro128PlusPlus,
    ids: IoIds,

    wanted: bool,
    /// Not wanted because its mount ends.
    leaves: bool,
    admitted: bool,
    lost: Option<Lost>,
    facts: LeaderFacts,
    server_off: bool,

    step: Step,
    reader: SuperReader,
    collect: Collect,
    writer: Option<SuperWriter>,
    cycle_began: Instant,
    collect_began: Instant,
    io_began: Instant,
    io_failing: bool,
    log_full: bool,
    /// Damaged blocks that were told of, so that each is told once.
    damage_told: Blocks,

    view: Option<SuperView>,
    views: u32,
    log: Log,
    peers: Peers,
    witness: Witness,
    pace: Pace,

    said: Said,
    own: Option<Ballot>,
    /// The write of rule R8 was issued for `own`: the point of no return.
    claimed: bool,
    /// The own ballot can neither be stopped nor voided: this mount takes no part any more.
    abandoned: bool,
    stage: Stage,
    /// Until when the last look gives the right to act; only under a lease.
    right_until: Instant,
    /// The predecessors of the own ballot, and how far each is silenced.
    victims: Victims,
    /// The leader that was taken for dead when it did not answer, and when that was.
    dead: Option<(Ballot, Instant)>,
    events: heapless::Deque<Event, EVENTS_MAX>,
}

impl Election {
    /// The election of a voter that does not take part yet. `seed` decides every random choice.
    // Built where it is wanted, not moved there: a stack of firmware has no room for it twice.
    #[inline(always)]
    pub fn new(config: &Config, voter: VoterConfig, seed: u64) -> Self {
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
        let round = rng.next_u32();
        Self {
            config: config.into(),
            voter,
            rng,
            ids: IoIds::new(Owner::Election),
            wanted: false,
            leaves: false,
            admitted: false,
            lost: None,
            facts: LeaderFacts::default(),
            server_off: true,
            step: Step::Rest(Instant(u64::MAX)),
            reader: SuperReader::new(None),
            collect: Collect::new(),
            writer: None,
            cycle_began: Instant(0),
            collect_began: Instant(0),
            io_began: Instant(0),
            io_failing: false,
            log_full: false,
            damage_told: Blocks::NONE,
            view: None,
            views: 0,
            log: Log::new(),
            peers: Peers::new(),
            witness: Witness::new(),
            pace: Pace::new(config.write_time_max),
            said: Said {
                term: Term(0),
                voted: None,
                abstain: None,
                void_term: Term(0),
                void_due: false,
                void_spreads: None,
                write_nr: WriteNr(0),
                ring: 0,
                round,
                barren: false,
                yielded_to: None,
                yielded_at: Instant(0),
            },
            own: None,
            claimed: false,
            abandoned: false,
            stage: Stage::Off,
            right_until: Instant(0),
            victims: Victims::new(),
            dead: None,
            events: heapless::Deque::new(),
        }
    }

    /// Whether this voter should take part: it cannot reach a server (and how it lost the one it had), or can.
    pub fn set_wanted(&mut self, now: Instant, wanted: bool, lost: Option<Lost>) {
        if self.lost != lost {
            self.lost = lost;
            self.wake(now);
        }
        if self.wanted != wanted {
            self.wanted = wanted;
            self.wake(now);
        }
    }

    /// Whether a server has admitted this mount as a voter: it then needs no gate before its next region write (A5).
    pub const fn set_admitted(&mut self, admitted: bool) {
        self.admitted = admitted;
    }

    /// What the server under this mount's ballot knows.
    pub fn set_facts(&mut self, now: Instant, facts: LeaderFacts) {
        let lost = facts.away > self.facts.away;
        if lost || facts.serving != self.facts.serving {
            self.wake(now);
        }
        self.facts = facts;
    }

    /// The server has nothing outstanding any more, or has (`false`) been started.
    pub fn set_server_off(&mut self, now: Instant, off: bool) {
        if off {
            self.wake(now);
        }
        self.server_off = off;
    }

    /// The ballot under which the server should run, with the super block as it stands in both copies.
    pub const fn wish(&self) -> Option<(Ballot, &SuperView)> {
        match (&self.stage, &self.view) {
            (Stage::Lead(lead), Some(view)) => Some((lead.ballot, view)),
            _ => None,
        }
    }

    /// The ballot of this mount that is neither void nor stopped cleanly.
    pub const fn own(&self) -> Option<Ballot> {
        self.own
    }

    /// What the log says of this rid.
    pub fn logged(&self, rid: Rid) -> Option<LogEntry> {
        self.log.of_rid(rid)
    }

    /// Predecessors whose fence was confirmed before this mount led: no write of theirs reaches the device any more.
    pub fn fenced_predecessors(&self) -> impl Iterator<Item = Rid> {
        let fenced = self
            .victims
            .iter()
            .filter(|victim| victim.state == VictimState::Fenced);
        fenced.map(|victim| victim.ballot.rid)
    }

    /// Whether this rid was seen to write in the region at `since` or later.
    pub fn wrote_since(&self, rid: Rid, since: Instant) -> bool {
        self.peers.find(rid).is_some_and(|peer| peer.is_active(since))
    }

    /// This mount ends: no candidacy any more, and no leading.
    pub fn leave(&mut self, now: Instant) {
        self.leaves = true;
        self.set_wanted(now, false, None);
        self.resign(now);
    }

    /// Stop leading, cleanly: this mount leaves, or its server cannot start. Does nothing without a ballot that leads.
    pub fn resign(&mut self, now: Instant) {
        if let Stage::Lead(lead) = &self.stage {
            let ballot = lead.ballot;
            self.stop_leading(now, ballot, None);
        }
    }

    /// Whether the device failed under the leader: its server stops answering at once.
    pub const fn is_disk_failing(&self) -> bool {
        self.io_failing
    }

    /// Since when the doorbell rings, while it does: the server pings its voters then, and counts who answers.
    pub const fn bell_since(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Lead(lead) => lead.bell_since,
            _ => None,
        }
    }

    /// The ballot under which this mount may act as leader at this moment (see the read lease in `core/DESIGN.md`).
    pub fn right(&self, now: Instant) -> Option<Ballot> {
        let ballot = match &self.stage {
            Stage::Lead(lead) => lead.ballot,
            // Once its server is off, all that is left of leading is to say so.
            Stage::Stop(stop) if !self.server_off => stop.ballot,
            _ => return None,
        };
        self.may_act(now).then_some(ballot)
    }

    /// Whether this mount led, and can neither stop cleanly nor be void: it has to end, and mount anew with a fresh rid.
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Until when the right to act lasts that [`right`](Self::right) tells of; never ends without a lease.
    pub fn right_until(&self, now: Instant) -> Option<Instant> {
        self.right(now)?;
        Some(match self.voter.lease {
            Some(_) => self.right_until,
            None => Instant::NEVER,
        })
    }

    /// Whether nothing of this voter needs the device: it may be left.
    pub const fn is_off(&self) -> bool {
        matches!((&self.stage, self.step), (Stage::Off, Step::Rest(_)))
    }

    /// The newest super block seen, and how many were.
    pub const fn view(&self) -> Option<(&SuperView, u32)> {
        match &self.view {
            Some(view) => Some((view, self.views)),
            None => None,
        }
    }

    /// Votes in sight (this mount counted) and votes needed, while it asks for them.
    pub fn votes_while_asking(&self) -> Option<(u16, u16)> {
        match &self.stage {
            Stage::Ask(ask) if ask.votes > 0 => Some((ask.votes, self.quorum_count())),
            _ => None,
        }
    }

    /// A disk request of this machine ended.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        self.step_handle(now, id, outcome);
    }

    /// What became of a fence request.
    pub fn handle_fence(&mut self, now: Instant, victim: Ballot, outcome: FenceOutcome) {
        self.fence_answered(now, victim, outcome);
        self.wake(now);
    }

    /// Lets time pass: begins the next cycle when it is due.
    pub fn poll(&mut self, now: Instant) {
        self.step_poll(now);
    }

    /// The next disk request; a write is put into `buffer`.
    pub fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        self.step_request(now, buffer)
    }

    /// The next predecessor to fence.
    pub fn poll_fence(&mut self, now: Instant) -> Option<FenceRequest> {
        if !matches!(self.stage, Stage::Silence(_)) {
            return None;
        }
        let log = &mut self.log;
        let (victim, entry, attempt) = self.victims.iter_mut().find_map(|victim| match victim.state {
            VictimState::FenceDue { attempt } if victim.due <= now => {
                // Of one rid the log keeps the highest ballot; whoever fences the rid fences this one. A victim that
                // has left the log is void or stopped, which the next look at it finds.
                Some((victim.ballot, log.of_rid(victim.ballot.rid)?, attempt))
                    .inspect(|_| victim.state = VictimState::Fencing { attempt })
            }
            _ => None,
        })?;
        if !rules::holds(Rule::MarkConfirmed) {
            log.mark_fenced(victim);
        }
        let attempt = u32::from(attempt);
        self.tell(Event::Fencing { victim, attempt });
        Some(FenceRequest {
            victim: LogEntry {
                ballot: victim,
                ..entry
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
        match self.step {
            Step::Rest(at) | Step::Hold(at) | Step::Reread(at) if at.0 != u64::MAX => Some(at),
            _ => None,
        }
    }

    #[inline(never)]
    fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            // The newest news matter most; the platform drains the queue after every input.
            self.events.pop_front();
        }
        // Cannot fail: one was taken out if it was full.
        let _ = self.events.push_back(event);
    }

    #[inline(never)]
    fn random(&mut self) -> u32 {
        self.rng.next_u32()
    }

    /// Whether a leader may act now: always, unless it promised a lease that has run out.
    fn may_act(&self, now: Instant) -> bool {
        self.voter.lease.is_none() || now < self.right_until || !rules::holds(Rule::WithinRight)
    }

    /// The super block as it was last read or written: it describes the volume.
    const fn state(&self) -> Option<&SuperBlock> {
        match &self.view {
            Some(view) => Some(&view.state),
            None => None,
        }
    }

    /// See [`SuperView::trimmed`].
    #[inline(never)]
    fn trimmed(&self) -> Mark {
        self.view.as_ref().map_or(Mark::NONE, SuperView::trimmed)
    }

    /// See [`SuperView::live_server`].
    #[inline(never)]
    fn live_server(&self) -> Option<Ballot> {
        self.view.as_ref().and_then(SuperView::live_server)
    }

    /// Block `index` of the region.
    fn region_block(&self, index: usize) -> Option<BlockNo> {
        Some(BlockNo(self.state()?.geometry.region.0 + index as u64))
    }

    fn quorum_count(&self) -> u16 {
        self.state().map_or(u16::MAX, |state| state.quorum_count)
    }

    /// What this mount's ballot promises those who read its entry.
    fn own_entry(&self, ballot: Ballot) -> LogEntry {
        let quiet_ms = self.voter.lease.map_or(0, |lease| {
            (lease + self.voter.linger + self.config.write_time_max).as_millis_ceil()
        });
        LogEntry {
            ballot,
            host: self.config.host,
            boot: self.config.boot,
            addr: self.voter.server_addr,
            quiet_ms: u32::try_from(quiet_ms).unwrap_or(QUIET_MS_MAX),
            fenced: false,
            fence_param: self.voter.fence_param,
        }
    }
}
