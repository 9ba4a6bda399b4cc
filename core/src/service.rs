//! Services: what a server does for its clients beyond greeting and farewell.
//!
//! The server is a place where services live. A session carries any request with a command from
//! [`crate::format::wire::Command::SERVICE`] to the service of the leading mount, resends it across
//! reconnects and fail-overs until it was answered, and hands an answer that was given already out again.
//! Across servers a request may be executed again: a service that is not idempotent by nature keeps the last
//! (rid, request id) with what it stores, in the same atomic step.

use crate::format::wire::{Command, RequestId, Status};
use crate::ids::{Ballot, Rid};

/// A request that reached the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub client: Rid,
    /// Number of the request in its session.
    pub id: RequestId,
    /// What it asks.
    pub command: Command,
    /// The rest.
    pub body: &'a [u8],
    /// The ballot under which this server acts: its term is the fencing token.
    pub server: Ballot,
}

/// What a service answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Done: this many bytes of the buffer. Up to [`crate::bounds::ANSWER_KEPT_BYTES`] are kept and never
    /// computed again for this session; with more, the request must be one that may be executed again.
    Now(Status, usize),
    /// Not a command of this service.
    Unknown,
}

/// What a server does for its clients.
pub trait Service {
    /// This mount leads and has recovered its table; the service may begin.
    fn started(&mut self, server: Ballot);
    /// This mount leads no longer; nothing of the service may go on.
    fn stopped(&mut self);
    /// Executes a request and writes the answer into `answer`.
    fn handle(&mut self, request: &Request<'_>, answer: &mut [u8]) -> Reply;
    /// A client left or was evicted: what it held is free.
    fn client_gone(&mut self, client: Rid);
}

/// A server that only elects, greets and says farewell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NoService;

impl Service for NoService {
    fn started(&mut self, _server: Ballot) {}
    fn stopped(&mut self) {}
    fn handle(&mut self, _request: &Request<'_>, _answer: &mut [u8]) -> Reply {
        Reply::Unknown
    }
    fn client_gone(&mut self, _client: Rid) {}
}
