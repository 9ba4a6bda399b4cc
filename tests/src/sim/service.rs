//! The service that every simulated mount offers: it adds, and remembers under which ballot it did what.

use ostrakon_core::format::wire::{Command, Status};
use ostrakon_core::ids::Ballot;
use ostrakon_core::service::{Reply, Request, Service};

/// Ask for `body + 1`.
pub const ADD_ONE: Command = Command(Command::SERVICE.0 + 7);

/// Something that only a leader does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// The service was started under this ballot.
    Started(Ballot),
    /// The service was stopped.
    Stopped,
    /// A request was executed under this ballot.
    Handled(Ballot),
}

/// Adds one to what it is given.
#[derive(Clone, Debug, Default)]
pub struct Adder {
    running: Option<Ballot>,
    /// What it did since somebody looked.
    pub acts: Vec<Act>,
}

impl Adder {
    /// The ballot it was started under and has not been stopped since.
    pub const fn running(&self) -> Option<Ballot> {
        self.running
    }
}

impl Service for Adder {
    fn started(&mut self, server: Ballot) {
        self.running = Some(server);
        self.acts.push(Act::Started(server));
    }

    fn stopped(&mut self) {
        self.running = None;
        self.acts.push(Act::Stopped);
    }

    fn handle(&mut self, request: &Request<'_>, answer: &mut [u8]) -> Reply {
        self.acts.push(Act::Handled(request.server));
        if request.command != ADD_ONE {
            return Reply::Unknown;
        }
        let Ok(number) = <[u8; 8]>::try_from(request.body) else {
            return Reply::Now(Status::ServiceError, 0);
        };
        let sum = u64::from_le_bytes(number).wrapping_add(1);
        answer[..8].copy_from_slice(&sum.to_le_bytes());
        Reply::Now(Status::Ok, 8)
    }

    fn client_gone(&mut self, _client: ostrakon_core::ids::Rid) {}
}
