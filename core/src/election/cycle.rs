//! The walk through the disk: super block, region, (super block again,) one write, pause.

use crate::bounds::{BLOCK_BYTES, CYCLE_PAUSE, HELPERS_MAX, LONELY_PAUSE_MAX, RETRY_PAUSE};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::{Event, Fault};
use crate::format::{Doorbell, SUPER_COPIES};
use crate::ids::BlockNo;
use crate::rules::{self, Rule};
use crate::superio::{SuperError, SuperView};
use crate::time::{Duration, Instant};

use super::Election;
use super::collect::Next;
use super::stage::Stage;

/// Pause between two readings of blocks that keep changing or are torn.
const REREAD_PAUSE: Duration = Duration::from_millis(2);

/// What the disk is doing for this voter. At most one write is outstanding, and no collect begins before it
/// completed (rule R2): each of these states has one successor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Step {
    /// Nothing, until then.
    Rest(Instant),
    /// A write failed or timed out: it counts as outstanding until W has passed (R2).
    Hold(Instant),
    /// Reads the super block, before a collect or after it.
    Super { after: bool },
    /// Reads the region.
    Collect,
    /// Reads bad blocks of the region again, then.
    Reread(Instant),
    /// Has a block of the region to write.
    WriteDue(usize),
    /// Writes it.
    Write(IoId),
    /// Has the doorbell to ring.
    RingDue,
    /// Rings it.
    Ring(IoId),
    /// Has the doorbell to look at.
    BellDue,
    /// Looks at it.
    Bell(IoId),
    /// Updates the super block (R8 or R9).
    SuperWrite,
}

impl Election {
    /// Begins what is due as soon as nothing is outstanding.
    pub(super) fn wake(&mut self, now: Instant) {
        if let Step::Rest(at) = &mut self.step {
            *at = now.min(*at);
        }
    }

    pub(super) fn rest(&mut self, now: Instant, pause: Duration) {
        self.step = Step::Rest(now + pause);
    }

    pub(super) fn step_poll(&mut self, now: Instant) {
        match self.step {
            Step::Rest(at) | Step::Hold(at) if at <= now => {
                self.step = Step::Rest(now);
                self.begin(now);
            }
            Step::Reread(at) if at <= now => self.step = Step::Collect,
            _ => {}
        }
    }

    /// What is due after a pause.
    fn begin(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Off) {
            if !self.wanted || self.abandoned {
                self.step = Step::Rest(Instant(u64::MAX));
                return;
            }
            self.enter(now);
        }
        // One that has nothing to take back leaves though the device cannot be read, or its log does not fit.
        let stuck = self.io_failing || self.log_full;
        if stuck && !self.wanted && self.own.is_none() && !self.said.void_due {
            self.stage = Stage::Off;
            self.step = Step::Rest(Instant(u64::MAX));
            return;
        }
        match &self.stage {
            Stage::Lead(_) => self.begin_leading(now),
            Stage::Stop(_) => self.begin_stopping(now),
            _ => self.begin_cycle(now),
        }
    }

    pub(super) fn begin_cycle(&mut self, now: Instant) {
        self.cycle_began = now;
        self.read_super(false);
    }

    pub(super) fn read_super(&mut self, after: bool) {
        self.reader.start();
        self.step = Step::Super { after };
    }

    pub(super) fn begin_look(&mut self, now: Instant) {
        self.begin_collect(now);
    }

    fn begin_collect(&mut self, now: Instant) {
        self.collect_began = now;
        self.collect.begin();
        if !rules::holds(Rule::MergeAllTerms) {
            self.log = crate::decide::log::Log::new();
        }
        let void = self.said.void_spreads.map(|(ballot, _)| ballot);
        let own = self.own.filter(|_| self.has_entered_log());
        let target = own.or(void).or(self.log.highest());
        self.witness.begin(target);
        self.step = Step::Collect;
    }

    pub(super) fn step_request(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        let limit = self.config.write_time_max;
        let request = match self.step {
            Step::Super { .. } => {
                let id = self.ids.draw();
                self.reader.poll_disk(id, limit)
            }
            Step::Collect => {
                let region = self.state()?.geometry.region.0;
                let id = self.ids.draw();
                let (first, count) = self.collect.request(id, self.config.transfer_blocks as usize)?;
                Some(DiskRequest::Read {
                    id,
                    first: BlockNo(region + first as u64),
                    count: count as u32,
                    limit,
                })
            }
            Step::WriteDue(index) => {
                let id = self.ids.draw();
                let first = self.encode_vote(index, &mut buffer[..BLOCK_BYTES])?;
                self.step = Step::Write(id);
                Some(DiskRequest::Write {
                    id,
                    first,
                    count: 1,
                    durable: true,
                    limit,
                })
            }
            Step::RingDue => {
                let id = self.ids.draw();
                let first = self.encode_ring(&mut buffer[..BLOCK_BYTES])?;
                self.step = Step::Ring(id);
                Some(DiskRequest::Write {
                    id,
                    first,
                    count: 1,
                    durable: true,
                    limit,
                })
            }
            Step::BellDue => {
                let id = self.ids.draw();
                let first = self.state()?.geometry.doorbell;
                self.step = Step::Bell(id);
                Some(DiskRequest::Read {
                    id,
                    first,
                    count: 1,
                    limit,
                })
            }
            Step::SuperWrite => self.request_super_write(now, buffer),
            _ => None,
        };
        if request.is_some() {
            self.io_began = now;
        }
        request
    }

    /// Every write outside the region is issued under the right to act, checked at this very moment.
    fn request_super_write(&mut self, now: Instant, buffer: &mut [u8]) -> Option<DiskRequest> {
        if !self.writer.as_ref()?.is_due() {
            return None;
        }
        let stops = matches!(self.stage, Stage::Stop(_)) && !rules::holds(Rule::StopWithinRight);
        if !self.may_act(now) && !stops {
            // A later look may bring the right back; the update then begins again from a fresh reading.
            self.writer = None;
            self.rest(now, Duration::ZERO);
            return None;
        }
        let id = self.ids.draw();
        let request =
            self.writer
                .as_mut()?
                .poll_disk(id, self.config.write_time_max, self.config.checksum, buffer);
        if let Stage::Claim { ballot } = self.stage {
            self.claim_issued(ballot);
        }
        request
    }

    pub(super) fn step_handle(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        let took = now.since(self.io_began);
        match self.step {
            Step::Super { after } => {
                let Some(result) = self.reader.handle_disk(id, outcome, self.config.checksum) else {
                    return;
                };
                self.pace.io_took(now, took);
                match result {
                    Ok(view) => self.super_read(now, view, after),
                    Err(error) => self.super_failed(now, error),
                }
            }
            Step::Collect => {
                let Some(result) = self.collect_handle(now, id, outcome) else {
                    return;
                };
                self.pace.io_took(now, took);
                match result {
                    Ok(Next::Read) => {}
                    Ok(Next::Pause) => self.step = Step::Reread(now + REREAD_PAUSE),
                    Ok(Next::Complete) => self.collected(now),
                    Err(error) => self.read_failed(now, Some(error)),
                }
            }
            Step::Write(issued) if issued == id => self.write_ended(now, outcome, took, false),
            Step::Ring(issued) if issued == id => self.write_ended(now, outcome, took, true),
            Step::Bell(issued) if issued == id => {
                self.pace.io_took(now, took);
                self.bell_read(now, outcome);
            }
            Step::SuperWrite => {
                let Some(result) = self
                    .writer
                    .as_mut()
                    .and_then(|writer| writer.handle_disk(id, outcome))
                else {
                    return;
                };
                self.pace.io_took(now, took);
                match result {
                    Ok(()) => self.super_written(now),
                    Err(error) => {
                        self.writer = None;
                        self.write_failed(now, SUPER_COPIES[0], error);
                    }
                }
            }
            _ => {}
        }
    }

    fn super_read(&mut self, now: Instant, view: SuperView, after: bool) {
        if self.view.is_none() {
            self.reader.pin(view.state.volume);
        }
        self.view = Some(view);
        self.views = self.views.wrapping_add(1);
        if let Some(own) = self.own
            && rules::holds(Rule::CheckFenced)
            && crate::decide::safety::is_overtaken(&view, own)
        {
            self.overtaken(now, own);
        }
        match &self.stage {
            Stage::Stop(_) => self.stop_reading(now, &view, after),
            _ if after => self.looked_again(now, &view),
            Stage::Off => self.rest(now, Duration::ZERO),
            _ => self.begin_collect(now),
        }
    }

    /// The collect is complete: merge, decide, and write or look again.
    fn collected(&mut self, now: Instant) {
        self.witness.complete();
        self.io_failing = false;
        self.pace.cycle_took(now.since(self.cycle_began));
        let trimmed = self.trimmed();
        let own = self
            .own
            .filter(|_| self.has_entered_log())
            .map(|own| self.own_entry(own));
        let (peers, said, me) = (&self.peers, &self.said, self.config.rid);
        let void_term = |rid| {
            if rid == me {
                said.void_term
            } else {
                peers.void_term(rid)
            }
        };
        let full = self.log.settle(trimmed, &void_term, own.as_ref()).is_err();
        if full {
            // Nothing may be written on the strength of this collect.
            if self.log_full {
                self.tell(Event::Fault(Fault::LogFull));
            }
            self.witness.fail();
            self.rest(
                now,
                if self.log_full {
                    Duration::from_secs(1)
                } else {
                    Duration::ZERO
                },
            );
            self.log_full = true;
            return;
        }
        self.log_full = false;
        self.decide(now);
        self.peers.settle();
    }

    /// The stage's decision on a complete and merged collect.
    fn decide(&mut self, now: Instant) {
        match &self.stage {
            Stage::Off => self.rest(now, Duration::ZERO),
            Stage::Gate { .. } | Stage::Follow(_) | Stage::Ask(_) | Stage::Rest { .. } => {
                self.decide_following(now)
            }
            Stage::Candidate { .. }
            | Stage::Seal { .. }
            | Stage::Silence(_)
            | Stage::Claim { .. }
            | Stage::Withdraw { .. } => self.decide_standing(now),
            Stage::Lead(_) | Stage::Stop(_) => self.decide_leading(now),
        }
    }

    /// Chooses a block and writes it.
    pub(super) fn write_vote(&mut self) {
        let random = self.random();
        let carriers = match (self.witness.carriers(), self.void_to_overwrite()) {
            (carriers, true) => carriers.complement(),
            (carriers, false) => carriers,
        };
        let (damage, refused) = (self.witness.damage(), self.witness.refused());
        let index = crate::decide::pick::block(carriers, damage, refused, random);
        self.step = Step::WriteDue(index);
    }

    /// Whether a ballot that was given up still stands in blocks, as the last collect found.
    fn void_to_overwrite(&mut self) -> bool {
        let Some((ballot, writes)) = self.said.void_spreads else {
            return false;
        };
        if self.witness.target() != Some(ballot) {
            return false;
        }
        let left = writes.saturating_sub(1);
        let some = left > 0 && self.witness.carriers().count() > 0;
        self.said.void_spreads = some.then_some((ballot, left));
        some
    }

    fn write_ended(&mut self, now: Instant, outcome: DiskOutcome<'_>, took: Duration, ring: bool) {
        self.pace.io_took(now, took);
        let failed = match outcome {
            DiskOutcome::Done => None,
            DiskOutcome::Failed(error) => Some(error),
            DiskOutcome::Read(_) => Some(DiskError::Failed),
        };
        if let Some(error) = failed {
            if !ring {
                self.witness.refuse();
            }
            let at = self.state().map_or(BlockNo(0), |state| {
                if ring {
                    state.geometry.doorbell
                } else {
                    state.geometry.region
                }
            });
            return self.write_failed(now, at, error);
        }
        if ring {
            self.rang(now);
        } else {
            self.pace.cycle_took(now.since(self.cycle_began));
            self.said.void_due = false;
        }
        match &self.stage {
            Stage::Lead(lead) if self.facts.serving => {
                let looked = lead.bell_looked;
                if now.since(looked) >= crate::bounds::URGENT_BELL_INTERVAL {
                    self.step = Step::BellDue
                } else {
                    self.rest_leading(now)
                }
            }
            _ if !ring && self.wants_to_ring(now) => self.step = Step::RingDue,
            _ => {
                let pause = self.pause(now);
                self.rest(now, pause);
            }
        }
    }

    /// Whether a ballot is being sealed that spreads faster with the writes of this voter. Of many voters each would only keep
    /// the others from the disk.
    fn helps_to_seal(&self, now: Instant) -> bool {
        let sealing = self.rival().is_some_and(|rival| !self.is_sealed_elsewhere(rival));
        sealing && self.are_few(now)
    }

    /// Whether so few take part that none keeps another from the disk.
    fn are_few(&self, now: Instant) -> bool {
        self.peers.active(self.recently(now)).count() <= HELPERS_MAX
    }

    /// Pause between two cycles: none while one is elected or sealed, longer for a voter that nobody else keeps company.
    fn pause(&mut self, now: Instant) -> Duration {
        let short = CYCLE_PAUSE + CYCLE_PAUSE.drawn(self.random());
        match &self.stage {
            Stage::Seal { .. } | Stage::Claim { .. } => Duration::ZERO,
            Stage::Follow(_) if self.helps_to_seal(now) => Duration::ZERO,
            Stage::Candidate { .. } if self.are_few(now) => Duration::ZERO,
            Stage::Ask(ask) if ask.passed.is_some() && self.are_few(now) => Duration::ZERO,
            Stage::Ask(ask) => {
                let lonely = now.since(ask.since).0 / 64;
                if ask.leader.is_some() {
                    short.min(self.until_dead(now, ask))
                } else if ask.votes > 1 {
                    short
                } else {
                    Duration(lonely.clamp(short.0, LONELY_PAUSE_MAX.0))
                }
            }
            _ => short,
        }
    }

    fn write_failed(&mut self, now: Instant, first: BlockNo, error: DiskError) {
        self.disk_fault(first, true, error);
        self.witness.fail();
        // W counts from now, not from when the write was handed out: a process can be frozen in between.
        let outstanding = if rules::holds(Rule::OneWrite) {
            self.config.write_time_max
        } else {
            Duration::ZERO
        };
        self.step = Step::Hold(now + outstanding);
        if let Stage::Claim { .. } = &self.stage
            && !rules::holds(Rule::NoVoidAfterClaim)
        {
            self.give_up(now, crate::event::GaveUp::ServerFailed);
        }
        if let Stage::Lead(lead) = &self.stage {
            let ballot = lead.ballot;
            self.stop_leading_on_failure(now, ballot);
        }
    }

    fn super_failed(&mut self, now: Instant, error: SuperError) {
        if !self.io_failing {
            self.tell(Event::Fault(Fault::Super(error)));
        }
        self.io_failing = true;
        self.read_failed(now, None);
    }

    fn read_failed(&mut self, now: Instant, error: Option<DiskError>) {
        self.witness.fail();
        if let (Some(error), Some(region)) = (error, self.region_block(0)) {
            self.disk_fault(region, false, error);
        }
        self.rest(now, RETRY_PAUSE);
        self.leader_read_failed(now);
    }

    pub(super) fn disk_fault(&mut self, first: BlockNo, write: bool, error: DiskError) {
        if !self.io_failing {
            self.tell(Event::Fault(Fault::Disk { first, write, error }));
        }
        self.io_failing = true;
    }

    fn bell_read(&mut self, now: Instant, outcome: DiskOutcome<'_>) {
        let Some(state) = self.state() else { return };
        let (at, volume) = (state.geometry.doorbell, state.volume);
        let bell = match outcome {
            DiskOutcome::Read(bytes) => Doorbell::decode(bytes, at, volume, self.config.checksum).ok(),
            // A damaged bell means nothing: the askers ring again.
            DiskOutcome::Failed(DiskError::Medium) => None,
            DiskOutcome::Failed(error) => {
                self.disk_fault(at, false, error);
                self.rest(now, RETRY_PAUSE);
                return self.leader_read_failed(now);
            }
            DiskOutcome::Done => None,
        };
        self.io_failing = false;
        self.bell_seen(now, bell);
    }
}
