//! Requests under way.

use ostrakon_core::disk::{DiskError, IoId};

use super::device::{Area, Moment};
use crate::sim::clock::{Time, Turn};
use crate::sim::host::ProcId;

/// Names a request under way, for ever.
pub type FlightId = u64;

/// Something that happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskStep {
    /// A piece of a write lands.
    Piece(FlightId, usize),
    /// Its process is told how it ended.
    Answer(FlightId),
}

/// Sectors that land, or are looked at, at one moment.
#[derive(Clone, Debug)]
pub struct Piece {
    /// First sector, counted from the start of the request.
    pub from: usize,
    /// The one after the last.
    pub to: usize,
    /// It happened.
    pub done: bool,
    /// When a read looks at it.
    pub looks: Option<Turn>,
}

impl Piece {
    /// A piece that is still to come.
    pub const fn new(from: usize, to: usize) -> Self {
        Self {
            from,
            to,
            done: false,
            looks: None,
        }
    }
}

/// What a story does to one write.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Which write: the next one to a place of this kind.
    pub kind: fn(Area) -> bool,
    /// It lands so much later, and not before; `None` if it never does.
    pub lands_after: Option<Time>,
    /// Only its first sector does, and the others come so much later.
    pub rest_later: Option<Time>,
    /// It is reported as failed, as soon as it would have been answered; or else it is answered when it lands.
    pub fails: bool,
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// Whose.
    pub proc: ProcId,
    /// Its name for it.
    pub io: IoId,
    /// A write, or else a read (or a flush, of 0 blocks).
    pub is_write: bool,
    /// First block.
    pub first: u64,
    /// Blocks.
    pub count: u32,
    /// First block that a write really goes to.
    pub target: u64,
    /// What is written.
    pub data: Vec<u8>,
    /// What is still to land or to be looked at. Empty for a write that never lands, and for a read that looks when it is
    /// answered.
    pub pieces: Vec<Piece>,
    /// The pieces are not all of it.
    pub torn: bool,
    /// How it will be reported.
    pub outcome: Result<(), DiskError>,
    /// It was reported; pieces may still land.
    pub answered: bool,
    /// When.
    pub submitted: Time,
    /// Of a read that looks before it is answered: what is overwritten from here on is remembered for it.
    pub since: Option<Moment>,
    /// It outlives its process and counts as one of the D.
    pub late: bool,
}

impl Flight {
    fn new(proc: ProcId, io: IoId, first: u64, count: u32, outcome: Result<(), DiskError>) -> Self {
        Self {
            proc,
            io,
            is_write: false,
            first,
            count,
            target: first,
            data: Vec::new(),
            pieces: Vec::new(),
            torn: false,
            outcome,
            answered: false,
            submitted: 0,
            since: None,
            late: false,
        }
    }

    /// A read.
    pub fn read(proc: ProcId, io: IoId, first: u64, count: u32, outcome: Result<(), DiskError>) -> Self {
        Self::new(proc, io, first, count, outcome)
    }

    /// A write.
    pub fn write(proc: ProcId, io: IoId, first: u64, count: u32, outcome: Result<(), DiskError>) -> Self {
        Self {
            is_write: true,
            ..Self::new(proc, io, first, count, outcome)
        }
    }

    /// A flush: nothing here is volatile, so that it only takes time.
    pub fn flush(proc: ProcId, io: IoId) -> Self {
        Self::new(proc, io, 0, 0, Ok(()))
    }

    /// Whether it may still change the medium.
    pub fn may_land(&self) -> bool {
        self.is_write && self.pieces.iter().any(|piece| !piece.done)
    }
}

/// All requests under way, and buffers to use again.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// Oldest first: there are never many.
    all: Vec<(FlightId, Flight)>,
    next: FlightId,
    spare: Vec<Vec<u8>>,
}

/// Spare buffers that are kept.
const SPARE_MAX: usize = 32;

impl Flights {
    /// Takes off.
    pub fn add(&mut self, flight: Flight) -> FlightId {
        self.next += 1;
        self.all.push((self.next, flight));
        self.next
    }

    /// This one, if it is still under way.
    pub fn get(&self, id: FlightId) -> Option<&Flight> {
        self.place(id).map(|at| &self.all[at].1)
    }

    /// This one, to change it.
    pub fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.place(id).map(|at| &mut self.all[at].1)
    }

    fn place(&self, id: FlightId) -> Option<usize> {
        self.all.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    /// Over and done.
    pub fn remove(&mut self, id: FlightId) -> Option<Flight> {
        let mut flight = self.take(id)?;
        if self.spare.len() < SPARE_MAX && !flight.data.is_empty() {
            self.spare.push(std::mem::take(&mut flight.data));
        }
        Some(flight)
    }

    /// Out of the list, bytes and all.
    pub fn take(&mut self, id: FlightId) -> Option<Flight> {
        self.place(id).map(|at| self.all.remove(at).1)
    }

    /// Those of a process, oldest first.
    pub fn of(&self, proc: ProcId) -> Vec<FlightId> {
        let own = self.all.iter().filter(|(_, flight)| flight.proc == proc);
        own.map(|(id, _)| *id).collect()
    }

    /// The names of all, oldest first.
    pub fn ids(&self) -> Vec<FlightId> {
        self.all.iter().map(|(id, _)| *id).collect()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.all.iter().map(|(_, flight)| flight)
    }

    /// A buffer of this length, with anything in it: one that was as long before, so that nothing has to be cleared.
    pub fn buffer(&mut self, length: usize) -> Vec<u8> {
        let fits = self.spare.iter().rposition(|spare| spare.len() == length);
        fits.map_or_else(|| vec![0; length], |at| self.spare.swap_remove(at))
    }
}
