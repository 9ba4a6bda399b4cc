//! The shared disk: requests take an interval of time, and what happens within it is decided by the dice.
//!
//! A write lands sector by sector at moments between its submission and its end, a read looks sector by sector
//! at moments between the same two: reads that overlap writes return a mixture, and what anyone has read does
//! not go back, exactly as A1 and A2 say. A write has landed when the device holds all of it, which may be before the last
//! of its sectors has come, if those say what stands there already. Which faults strike how often is decided by [`super::atlas`].

mod device;
mod fate;
mod flight;

pub use device::{Area, Device, Moment};
pub(crate) use fate::Fate;
pub use flight::{DiskStep, Flight, FlightId, Flights, Piece, Plot};

use ostrakon_core::bounds::{BLOCK_BYTES, SECTOR_BYTES};
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest};
use ostrakon_core::time::Duration;

use super::check::Landed;
use super::clock::Time;
use super::host::{ProcId, Stashed};
use super::trace::note;
use super::world::{Happening, World, violate};

/// Sectors in a block.
pub const SECTORS: usize = BLOCK_BYTES / SECTOR_BYTES;

/// What lies between one host and the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// All is well.
    Fine,
    /// Every request fails.
    Failing,
    /// No request is answered.
    Hanging,
}

/// How a request is going to end, drawn when it is submitted.
struct Plan {
    /// From submission to the answer.
    answer_after: Time,
    outcome: Result<(), DiskError>,
    /// Within this time the pieces of a write land; `None` if they never do.
    land_within: Option<Time>,
    /// And not before this time has passed.
    land_from: Time,
    /// All but the first sector come so much later.
    rest_later: Option<Time>,
}

impl Plan {
    /// A story has other plans.
    const fn thicken(&mut self, plot: Plot) {
        self.land_within = plot.lands_after;
        if let Some(lands_after) = plot.lands_after {
            self.land_from = lands_after;
        }
        self.rest_later = plot.rest_later;
        match plot.lands_after {
            _ if plot.fails => self.outcome = Err(DiskError::Failed),
            Some(lands_after) => self.answer_after = lands_after,
            None => {}
        }
        if let (false, Some(later)) = (plot.fails, plot.rest_later) {
            self.answer_after += later;
        }
    }
}

impl World {
    /// Virtual time within which every write has landed or never will: W, a little less to make up for drift.
    pub(crate) fn write_time(&self) -> Time {
        self.options.write_time_max_ms * 990
    }

    /// A process hands a request to its disk queue; `bytes` are those of a write.
    pub(crate) fn submit(&mut self, proc: ProcId, request: DiskRequest, bytes: &[u8]) {
        let host = self.procs[proc].host;
        let (id, limit) = match request {
            DiskRequest::Read { id, limit, .. }
            | DiskRequest::Write { id, limit, .. }
            | DiskRequest::Flush { id, limit } => (id, limit),
        };
        self.procs[proc].requests += 1;
        match request {
            DiskRequest::Read { first, count, .. } => self.submit_read(proc, host, id, first.0, count, limit),
            DiskRequest::Write { first, count, .. } => {
                let bytes = &bytes[..count as usize * BLOCK_BYTES];
                self.submit_write(proc, host, id, first.0, bytes, limit);
            }
            DiskRequest::Flush { .. } => {
                let flight = self.flights.add(Flight::flush(proc, id));
                let after = self.options.disk.latency.draw(&mut self.dice);
                self.after(after, Happening::Disk(DiskStep::Answer(flight)));
            }
        }
    }

    fn plan(&mut self, proc: ProcId, host: usize, limit: Duration, write: bool) -> Plan {
        let limit = self.hosts[host].clock.true_span(limit);
        let profile = self.options.disk;
        let stalls = self.dice.chance(profile.stall_ppm);
        let span = if stalls { profile.stall } else { profile.latency };
        let latency = span.draw(&mut self.dice);
        let failing = |answer_after| Plan {
            answer_after,
            outcome: Err(DiskError::Failed),
            land_within: None,
            land_from: 0,
            rest_later: None,
        };
        if self.procs[proc].cut && write {
            return failing(latency.min(limit));
        }
        match self.hosts[host].path {
            Path::Failing => return failing(latency.min(limit)),
            Path::Hanging => {
                return Plan {
                    answer_after: limit,
                    outcome: Err(DiskError::TimedOut),
                    land_within: None,
                    land_from: 0,
                    rest_later: None,
                };
            }
            Path::Fine => {}
        }
        let fails = self.dice.chance(profile.error_ppm);
        let outlasts = latency > limit;
        let land_within = match fails || outlasts {
            false => Some(latency),
            true if self.dice.one_in(2) => Some(self.dice.between(0, self.write_time())),
            true => None,
        };
        let outcome = match (outlasts, fails) {
            (true, _) => Err(DiskError::TimedOut),
            (false, true) => Err(DiskError::Failed),
            (false, false) => Ok(()),
        };
        Plan {
            answer_after: latency.min(limit),
            outcome,
            land_within,
            land_from: 0,
            rest_later: None,
        }
    }

    fn submit_read(
        &mut self,
        proc: ProcId,
        host: usize,
        id: ostrakon_core::disk::IoId,
        first: u64,
        count: u32,
        limit: Duration,
    ) {
        if !self.device.holds(first, count) {
            violate!(
                self,
                "{} reads {count} blocks from {first}, outside the volume",
                self.procs[proc].name
            );
            return;
        }
        let plan = self.plan(proc, host, limit, false);
        let sectors = count as usize * SECTORS;
        let cuts = self.cut(sectors);
        let mut flight = Flight::read(proc, id, first, count, plan.outcome);
        // A read in one piece mostly looks when it is answered.
        if plan.outcome.is_ok() && (is_cut(cuts, sectors) || self.dice.one_in(16)) {
            flight.pieces = pieces(cuts, sectors);
            flight.since = Some(self.device.now());
        }
        // Looking changes nothing: what was seen is found out when the read is answered.
        for piece in &mut flight.pieces {
            let after = self.dice.between(0, plan.answer_after);
            piece.looks = Some(self.turn_after(after));
        }
        let flight = self.flights.add(flight);
        self.after(plan.answer_after, Happening::Disk(DiskStep::Answer(flight)));
    }

    fn submit_write(
        &mut self,
        proc: ProcId,
        host: usize,
        id: ostrakon_core::disk::IoId,
        first: u64,
        bytes: &[u8],
        limit: Duration,
    ) {
        let count = (bytes.len() / BLOCK_BYTES) as u32;
        let area = self.device.area(first, count);
        note!(self, &self.procs[proc].name, "writes {area:?}");
        self.check_submission(proc, area, first, bytes);
        if matches!(area, Area::Region(_)) {
            self.shoot_vote(proc, first, bytes);
        }
        self.supply.count_write();
        let mut plan = self.plan(proc, host, limit, true);
        let plotted = |plot: &mut Plot| (plot.kind)(area);
        if let Some(plot) = self.hosts[host].plot.take_if(plotted) {
            plan.thicken(plot);
        }
        let mut target = first;
        if plan.outcome.is_ok() {
            target = self.perhaps_misplace(area, first, &mut plan);
        }
        let mut flight = Flight::write(proc, id, first, count, plan.outcome);
        flight.target = target;
        flight.submitted = self.now;
        flight.data = self.flights.buffer(bytes.len());
        flight.data.copy_from_slice(bytes);
        if plan.land_within.is_some() {
            let sectors = count as usize * SECTORS;
            flight.pieces = match plan.rest_later {
                Some(_) => vec![Piece::new(0, 1), Piece::new(1, sectors)],
                None => pieces(self.cut(sectors), sectors),
            };
            self.perhaps_tear(area, plan.outcome, &mut flight);
        }
        let pieces = flight.pieces.len();
        let flight = self.flights.add(flight);
        for piece in 0..pieces {
            let within = plan.land_within.unwrap_or(0);
            let later = plan.rest_later.filter(|_| piece > 0).unwrap_or(0);
            let after = self.dice.between(plan.land_from, within) + later;
            self.after(after, Happening::Disk(DiskStep::Piece(flight, piece)));
        }
        self.after(plan.answer_after, Happening::Disk(DiskStep::Answer(flight)));
    }

    /// Lost writes: only in the region and of the doorbell. Misdirected ones: only in the region, within the budget.
    fn perhaps_misplace(&mut self, area: Area, first: u64, plan: &mut Plan) -> u64 {
        let profile = self.options.disk;
        let in_region = matches!(area, Area::Region(_));
        if !in_region && area != Area::Doorbell {
            return first;
        }
        if self.dice.chance(profile.lost_ppm) {
            note!(self, "disk", "loses the write of block {first}");
            plan.land_within = None;
        } else if in_region && self.dice.chance(profile.misdirected_ppm) && self.spend_torn() {
            let target = self.device.random_region_block(&mut self.dice);
            note!(
                self,
                "disk",
                "misdirects the write of block {first} to block {target}"
            );
            return target;
        }
        first
    }

    /// A failing region write may leave only some of its sectors behind, within the budget.
    fn perhaps_tear(&mut self, area: Area, outcome: Result<(), DiskError>, flight: &mut Flight) {
        let fails = outcome.is_err() && matches!(area, Area::Region(_));
        if fails && self.dice.chance(self.options.disk.torn_error_ppm) && self.spend_torn() {
            let (from, to) = self.part_of(SECTORS);
            note!(
                self,
                "disk",
                "of the failing write of block {} sectors {from} to {to} land",
                flight.target
            );
            flight.pieces = vec![Piece::new(from, to)];
            flight.torn = true;
        }
    }

    /// Where a request falls into pieces: mostly nowhere; sometimes in two places, anywhere between two sectors.
    fn cut(&mut self, sectors: usize) -> [usize; 2] {
        if !self.dice.chance(self.options.disk.split_ppm) {
            return [0, sectors];
        }
        let mut cuts = [0, 0].map(|_: i32| self.dice.between(0, sectors as u64) as usize);
        cuts.sort_unstable();
        cuts
    }

    /// Something happens on the disk.
    pub(crate) fn disk_step(&mut self, step: DiskStep) {
        match step {
            DiskStep::Piece(id, piece) => self.land(id, piece),
            DiskStep::Answer(id) => self.answer(id),
        }
    }

    /// One piece of a write reaches the medium.
    pub(crate) fn land(&mut self, id: FlightId, piece: usize) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        if flight.pieces[piece].done {
            return;
        }
        flight.pieces[piece].done = true;
        let Piece { from, to, .. } = flight.pieces[piece];
        self.device.write_sectors(
            flight.target,
            from,
            &flight.data[from * SECTOR_BYTES..to * SECTOR_BYTES],
        );
        let in_region = matches!(self.device.area(flight.target, flight.count), Area::Region(_));
        if !in_region && self.device.blocks(flight.target, flight.count) == flight.data {
            // It stands, and whoever looks sees it: what is left of it has nothing to change, and does not come again over
            // what others write from now on. In the region it does: there a write is outstanding until it was answered.
            flight.pieces.iter_mut().for_each(|piece| piece.done = true);
        }
        if flight.pieces.iter().all(|piece| piece.done) {
            if !flight.torn {
                // A1: whatever else was written meanwhile, the last write to complete is what stands there.
                self.device.write_sectors(flight.target, 0, &flight.data);
            }
            let (proc, target, count) = (flight.proc, flight.target, flight.count);
            let (torn, misplaced) = (flight.torn, flight.target != flight.first);
            let answered = flight.answered;
            if answered {
                self.flights.remove(id);
            }
            self.landed(Landed {
                proc,
                first: target,
                count,
                damaged: torn || misplaced,
                answered,
            });
        }
    }

    fn answer(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        let (proc, io) = (flight.proc, flight.io);
        let host = self.procs[proc].host;
        if flight.outcome.is_ok() && self.hosts[host].path != Path::Fine {
            // The path broke while the request was under way: what it did, it did; nobody hears of it.
            flight.outcome = Err(DiskError::Failed);
        }
        if flight.answered {
            return;
        }
        flight.answered = true;
        let outcome = flight.outcome;
        if let Err(error) = outcome {
            note!(
                self,
                &self.procs[proc].name,
                "disk request {} fails: {error:?}",
                io.0
            );
        }
        let flight = self.flights.get(id).expect("it was there a moment ago");
        let (first, count, is_write) = (flight.first, flight.count, flight.is_write);
        let over = !is_write || flight.pieces.iter().all(|piece| piece.done);
        let medium = !is_write && count > 0 && self.device.is_bad(first, count);
        if !self.is_running(proc) {
            self.stash_disk(proc, id, medium);
        } else {
            let mut process = self.hosts[host].process.take().expect("it runs");
            let now = self.hosts[host].clock.local(self.now);
            let mount = &mut process.mount;
            match (outcome, is_write) {
                (Err(error), _) => mount.handle_disk(now, io, DiskOutcome::Failed(error)),
                (Ok(()), true) => mount.handle_disk(now, io, DiskOutcome::Done),
                (Ok(()), false) if count == 0 => mount.handle_disk(now, io, DiskOutcome::Done),
                (Ok(()), false) if medium => {
                    mount.handle_disk(now, io, DiskOutcome::Failed(DiskError::Medium));
                }
                (Ok(()), false) => self.device.as_seen(first, count, &flight.pieces, |device, seen| {
                    let _known = device.lend_known();
                    mount.handle_disk(now, io, DiskOutcome::Read(seen));
                }),
            }
            self.put_process(host, process);
            self.touch(host);
        }
        if over {
            self.flights.remove(id);
        }
    }

    /// A paused process finds the completion when it runs again.
    fn stash_disk(&mut self, proc: ProcId, id: FlightId, medium: bool) {
        let flight = self.flights.get(id).expect("the caller looked it up");
        let result = match flight.outcome {
            Err(error) => Err(error),
            Ok(()) if medium => Err(DiskError::Medium),
            Ok(()) if flight.is_write || flight.count == 0 => Ok(None),
            Ok(()) => {
                let (first, count) = (flight.first, flight.count);
                let keep = |_: &Device, seen: &[u8]| seen.to_vec();
                Ok(Some(self.device.as_seen(first, count, &flight.pieces, keep)))
            }
        };
        let io = flight.io;
        let host = self.procs[proc].host;
        if let Some(process) = self.hosts[host]
            .process
            .as_mut()
            .filter(|process| process.id == proc)
        {
            process.inbox.push(Stashed::Disk(io, result));
        }
    }
}

/// The pieces of a request that is cut there: one, two or three.
fn pieces([first, second]: [usize; 2], sectors: usize) -> Vec<Piece> {
    [(0, first), (first, second), (second, sectors)]
        .into_iter()
        .filter(|(from, to)| from < to)
        .map(|(from, to)| Piece::new(from, to))
        .collect()
}

/// Whether they are more than one.
fn is_cut(cuts: [usize; 2], sectors: usize) -> bool {
    cuts.iter().any(|&cut| cut != 0 && cut != sectors)
}
