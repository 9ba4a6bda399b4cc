//! What becomes of the requests of a process that dies or is fenced.

use ostrakon_core::bounds::SECTOR_BYTES;

use super::{Area, DiskStep, Flight, FlightId, SECTORS};
use crate::sim::check::Landed;
use crate::sim::host::ProcId;
use crate::sim::trace::note;
use crate::sim::world::{Happening, World};

/// What becomes of a write whose process is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It never does, but for what had landed of it.
    Dropped,
    /// It had landed already.
    Landed,
    /// Only some of its sectors had.
    Torn,
    /// It still lands, within W of its submission.
    Late,
}

impl World {
    /// The process is dead: its reads are nobody's, its writes meet their fate.
    pub(crate) fn abandon_flights(&mut self, proc: ProcId) {
        let tear = std::mem::take(&mut self.hosts[self.procs[proc].host].tear_next_write);
        for id in self.flights.of(proc) {
            let flight = self.flights.get(id).expect("it was just listed");
            if flight.may_land() {
                self.seal_fate(id, tear);
            } else {
                self.flights.remove(id);
            }
        }
    }

    fn seal_fate(&mut self, id: FlightId, tear: bool) {
        let flight = self.flights.get(id).expect("the caller found it");
        let area = self.device.area(flight.target, flight.count);
        let begun = flight.pieces.iter().any(|piece| piece.done);
        let in_region = matches!(area, Area::Region(_));
        let wanted = match (self.supply.fate(&mut self.dice), self.dice.below(10)) {
            (Some(fate), _) => fate,
            (None, _) if tear => Fate::Torn,
            (None, 0..=3) => Fate::Dropped,
            (None, 4..=5) => Fate::Landed,
            (None, 6..=7) => Fate::Torn,
            (None, _) => Fate::Late,
        };
        // What has landed of it stays (A2).
        let wanted = match wanted {
            Fate::Dropped if begun => Fate::Torn,
            wanted => wanted,
        };
        let fate = match wanted {
            Fate::Torn if in_region && !self.spend_torn() => Fate::Landed,
            Fate::Late if in_region && !self.spend_late() => Fate::Landed,
            fate => fate,
        };
        note!(
            self,
            "disk",
            "the write of {area:?} by {} meets its fate: {fate:?}",
            self.name_of_flight(id)
        );
        match fate {
            Fate::Dropped => {
                self.flights.remove(id);
            }
            Fate::Landed => self.land_all(id, false),
            Fate::Torn => self.land_some(id),
            Fate::Late => self.land_late(id, in_region),
        }
    }

    /// The device has lost its power: what outlives its process ends with it.
    pub(crate) fn abandon_all_flights(&mut self) {
        for id in self.flights.ids() {
            if self.flights.get(id).is_some_and(Flight::may_land) {
                self.seal_fate(id, false);
            } else {
                self.flights.remove(id);
            }
        }
    }

    /// A fence has acted: what is under way of its victim has landed, or never will.
    pub(crate) fn drop_flights(&mut self, proc: ProcId) {
        let cut = self.procs[proc].cut;
        for id in self.flights.of(proc) {
            let flight = self.flights.get(id).expect("it was just listed");
            if !flight.may_land() {
                continue;
            }
            let begun = flight.pieces.iter().any(|piece| piece.done);
            if !begun && self.dice.one_in(2) {
                self.forget_or_fail(id, cut);
            } else {
                self.land_all(id, cut);
            }
        }
    }

    fn name_of_flight(&self, id: FlightId) -> &str {
        self.flights
            .get(id)
            .map_or("?", |flight| &self.procs[flight.proc].name)
    }

    /// A cut process is told that its write failed; a dead one is told nothing.
    fn forget_or_fail(&mut self, id: FlightId, cut: bool) -> Option<Flight> {
        let flight = self.flights.take(id)?;
        if cut && !flight.answered {
            let mut refused = Flight::write(
                flight.proc,
                flight.io,
                flight.first,
                flight.count,
                Err(ostrakon_core::disk::DiskError::Failed),
            );
            refused.submitted = self.now;
            let refused = self.flights.add(refused);
            let after = self.options.disk.latency.draw(&mut self.dice);
            self.after(after, Happening::Disk(DiskStep::Answer(refused)));
        }
        Some(flight)
    }

    fn land_all(&mut self, id: FlightId, cut: bool) {
        let Some(flight) = self.forget_or_fail(id, cut) else {
            return;
        };
        if flight.torn {
            self.write_pieces(&flight, 0, usize::MAX);
        } else {
            self.device.write_sectors(flight.target, 0, &flight.data);
        }
        self.landed(Landed {
            proc: flight.proc,
            first: flight.target,
            count: flight.count,
            damaged: flight.torn || flight.target != flight.first,
            answered: flight.answered,
        });
    }

    fn land_some(&mut self, id: FlightId) {
        let Some(flight) = self.flights.take(id) else {
            return;
        };
        // Whatever had landed stays; of the rest, the beginning or the end follows.
        let sectors = flight.count as usize * SECTORS;
        let (from, to) = self.part_of(sectors);
        self.write_pieces(&flight, from, to);
        if self.options.disk.spoils_sectors {
            self.device.rot(flight.target, &mut self.dice);
        }
        self.landed(Landed {
            proc: flight.proc,
            first: flight.target,
            count: flight.count,
            damaged: true,
            answered: flight.answered,
        });
    }

    /// The first sectors of so many, or the last.
    pub(super) fn part_of(&mut self, sectors: usize) -> (usize, usize) {
        let cut = self.dice.between(1, sectors as u64 - 1) as usize;
        if self.dice.one_in(2) {
            (0, cut)
        } else {
            (cut, sectors)
        }
    }

    /// Writes what has not landed of sectors `from` to `to`.
    fn write_pieces(&mut self, flight: &Flight, from: usize, to: usize) {
        for piece in flight.pieces.iter().filter(|piece| !piece.done) {
            let (from, to) = (piece.from.max(from), piece.to.min(to));
            if from < to {
                let bytes = &flight.data[from * SECTOR_BYTES..to * SECTOR_BYTES];
                self.device.write_sectors(flight.target, from, bytes);
            }
        }
    }

    /// The flight goes on under a new name, so that what was planned for it comes to nothing.
    fn land_late(&mut self, id: FlightId, in_region: bool) {
        let Some(mut flight) = self.flights.take(id) else {
            return;
        };
        flight.answered = true;
        flight.late = in_region;
        let end = (flight.submitted + self.write_time()).max(self.now);
        let pieces = flight.pieces.clone();
        let id = self.flights.add(flight);
        for (index, _) in pieces.iter().enumerate().filter(|(_, piece)| !piece.done) {
            let at = self.dice.between(self.now, end);
            self.at(at, Happening::Disk(DiskStep::Piece(id, index)));
        }
    }
}
