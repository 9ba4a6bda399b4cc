//! One connection: two ends, and a pipe from each to the other.

use std::collections::VecDeque;

use ostrakon_core::net::ConnId;

use crate::sim::clock::Time;
use crate::sim::host::ProcId;

/// Names a connection, for ever.
pub type ConnKey = u64;

/// Whose end it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A process, and its name for the connection.
    Process(ProcId, ConnId),
    /// A process that listens and has not accepted it.
    Backlog(ProcId),
    /// Somebody who has no business here.
    Stranger,
    /// Somebody who answers in the place of a host.
    Impostor,
    /// Nobody yet.
    Nobody,
}

/// One end.
#[derive(Clone, Debug)]
pub struct End {
    /// The machine.
    pub host: usize,
    /// Whose.
    pub who: Who,
    /// Not closed, neither by its own side nor by what arrived.
    pub open: bool,
    /// Bytes that arrived and were not consumed.
    pub received: Vec<u8>,
}

impl End {
    /// An end on this machine.
    pub const fn new(host: usize, who: Who) -> Self {
        Self {
            host,
            who,
            open: !matches!(who, Who::Nobody),
            received: Vec::new(),
        }
    }
}

/// What travels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// May I?
    Syn,
    /// You may.
    SynAck,
    /// Nobody listens.
    Refuse,
    /// Bytes.
    Data(Vec<u8>),
    /// The end, after everything that was sent before.
    Fin,
    /// The end, whatever was sent before.
    Rst,
}

/// One way of a connection.
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    /// What is on the way, and when it arrives.
    pub segments: VecDeque<(Time, Segment)>,
    /// The arrival of the first is in the queue of the world.
    pub scheduled: bool,
    /// The first could not get through.
    pub parked: bool,
    /// Arrival of the last.
    pub last_at: Time,
}

impl Pipe {
    /// Bytes on the way.
    pub fn bytes(&self) -> usize {
        let sizes = self.segments.iter().map(|(_, segment)| match segment {
            Segment::Data(bytes) => bytes.len(),
            _ => 0,
        });
        sizes.sum()
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Conn {
    /// Who asked for it, then who was asked.
    pub ends: [End; 2],
    /// From each end to the other.
    pub pipes: [Pipe; 2],
    /// The one who asked knows that it stands.
    pub established: bool,
}

impl Conn {
    /// A connection that is about to be asked for.
    pub fn new(from: End, to: End) -> Self {
        Self {
            ends: [from, to],
            pipes: [Pipe::default(), Pipe::default()],
            established: false,
        }
    }
}
