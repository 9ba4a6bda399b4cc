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
    /// There are never many, and they come and go more often than anything else: in any order, and their names apart.
    ids: Vec<FlightId>,
    all: Vec<Flight>,
    next: FlightId,
    spare: Vec<Vec<u8>>,
}

/// Spare buffers that are kept.
const SPARE_MAX: usize = 32;

impl Flights {
    /// Takes off.
    pub fn add(&mut self, flight: Flight) -> FlightId {
        self.next += 1;
        self.ids.push(self.next);
        self.all.push(flight);
        self.next
    }

    /// This one, if it is still under way.
    pub fn get(&self, id: FlightId) -> Option<&Flight> {
        self.place(id).map(|at| &self.all[at])
    }

    /// This one, to change it.
    pub fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.place(id).map(|at| &mut self.all[at])
    }

    fn place(&self, id: FlightId) -> Option<usize> {
        self.ids.iter().position(|&other| other == id)
    }

    /// Over and done.
    pub fn remove(&mut self, id: FlightId) {
        let Some(at) = self.place(id) else { return };
        let data = std::mem::take(&mut self.all[at].data);
        if self.spare.len() < SPARE_MAX && !data.is_empty() {
            self.spare.push(data);
        }
        self.ids.swap_remove(at);
        self.all.swap_remove(at);
    }

    /// Out of the list, bytes and all.
    pub fn take(&mut self, id: FlightId) -> Option<Flight> {
        let at = self.place(id)?;
        self.ids.swap_remove(at);
        Some(self.all.swap_remove(at))
    }

    /// Those of a process, oldest first.
    pub fn of(&self, proc: ProcId) -> Vec<FlightId> {
        let all = self.ids.iter().zip(&self.all);
        let own = all.filter(|(_, flight)| flight.proc == proc);
        let mut own: Vec<FlightId> = own.map(|(&id, _)| id).collect();
        own.sort_unstable();
        own
    }

    /// The names of all, oldest first.
    pub fn ids(&self) -> Vec<FlightId> {
        let mut all = self.ids.clone();
        all.sort_unstable();
        all
    }

    /// All of them, in any order.
    pub fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.all.iter()
    }

    /// A buffer of this length, with anything in it: one that was as long before, so that nothing has to be cleared.
    pub fn buffer(&mut self, length: usize) -> Vec<u8> {
        let fits = self.spare.iter().rposition(|spare| spare.len() == length);
        fits.map_or_else(|| vec![0; length], |at| self.spare.swap_remove(at))
    }
}
