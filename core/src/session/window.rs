//! The server's side of a session: what arrived, what was answered, and what must not be executed again.

use super::place;
use crate::bounds::{ANSWER_KEPT_BYTES, REQUEST_KEPT_BYTES, REQUESTS_IN_FLIGHT_MAX};
use crate::format::wire::{Command, RequestId, Status};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum State {
    /// Nothing of this number arrived.
    #[default]
    Empty,
    /// Arrived; it is executed when its answer may go out.
    Waiting,
    /// Answered, and the answer is kept: it is to be sent.
    Due,
    /// Answered, sent, and kept.
    Answered,
    /// Answered with more than is kept: asked again, it is executed again.
    TooLongToKeep,
}

/// One request and, later, its answer. Its number follows from its place and from what is released.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Exchange {
    command: Command,
    status: Status,
    state: State,
    length: u8,
    bytes: [u8; REQUEST_KEPT_BYTES],
}

impl Exchange {
    const EMPTY: Self = Self {
        command: Command(0),
        status: Status::Ok,
        state: State::Empty,
        length: 0,
        bytes: [0; REQUEST_KEPT_BYTES],
    };

    fn keep(&mut self, body: &[u8]) {
        self.bytes[..body.len()].copy_from_slice(body);
        // The bounds assert that the length fits.
        self.length = body.len() as u8;
    }
}

/// What to make of a request that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Arrival {
    /// An answer is to be sent on the connection that it came on, whether it is new or was asked again.
    Due,
    /// The client has forgotten it already.
    Ignored,
}

/// A request beyond the window: the client has more under way than it may.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Beyond;

/// The next thing to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due<'a> {
    /// Execute this request, then say with [`Window::answered`] what came of it.
    Execute(RequestId, Command, &'a [u8]),
    /// Send this answer.
    Answer(RequestId, Command, Status, &'a [u8]),
}

/// The newest requests of one client, at most [`REQUESTS_IN_FLIGHT_MAX`] of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Window {
    released: RequestId,
    exchanges: [Exchange; REQUESTS_IN_FLIGHT_MAX],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            released: RequestId(1),
            exchanges: [Exchange::EMPTY; REQUESTS_IN_FLIGHT_MAX],
        }
    }
}

impl Window {
    /// The client has all answers below `released`, and they are forgotten. Never goes back.
    pub(crate) fn release(&mut self, released: RequestId) {
        let news = released.0.saturating_sub(self.released.0);
        for skip in 0..news.min(REQUESTS_IN_FLIGHT_MAX as u64) {
            self.exchanges[place(RequestId(self.released.0 + skip))] = Exchange::EMPTY;
        }
        self.released = self.released.max(released);
    }

    /// What is kept of each request of the window, the lowest first.
    fn kept(&self) -> impl Iterator<Item = (RequestId, &Exchange)> {
        let numbers = (0..REQUESTS_IN_FLIGHT_MAX as u64).map(|skip| self.released.0.saturating_add(skip));
        numbers.map(|number| (RequestId(number), &self.exchanges[place(RequestId(number))]))
    }

    /// Whether a number lies in the window; `Ok(false)` for one that the client has released.
    pub(crate) fn admits(&self, id: RequestId) -> Result<bool, Beyond> {
        if id.0 >= self.released.0.saturating_add(REQUESTS_IN_FLIGHT_MAX as u64) {
            return Err(Beyond);
        }
        Ok(id >= self.released)
    }

    /// Takes a request. One that was answered before is not executed again, unless its answer was too long to keep.
    pub(crate) fn arrive(&mut self, id: RequestId, command: Command, body: &[u8]) -> Result<Arrival, Beyond> {
        if !self.admits(id)? {
            return Ok(Arrival::Ignored);
        }
        let exchange = &mut self.exchanges[place(id)];
        match exchange.state {
            // It may have come on a connection that is gone: the answer belongs on this one.
            State::Waiting | State::Due => return Ok(Arrival::Due),
            State::Answered => {
                exchange.state = State::Due;
                return Ok(Arrival::Due);
            }
            State::Empty | State::TooLongToKeep => {}
        }
        *exchange = Exchange {
            command,
            state: State::Waiting,
            ..Exchange::EMPTY
        };
        if body.len() > REQUEST_KEPT_BYTES {
            exchange.status = Status::Malformed;
            exchange.state = State::Due;
        } else {
            exchange.keep(body);
        }
        Ok(Arrival::Due)
    }

    /// What is to be done next; with `execute` that may be a request to execute.
    pub(crate) fn next_due(&self, execute: bool) -> Option<Due<'_>> {
        let (id, exchange) = self.kept().find(|(_, exchange)| match exchange.state {
            State::Waiting => execute,
            state => state == State::Due,
        })?;
        let bytes = &exchange.bytes[..usize::from(exchange.length)];
        Some(match exchange.state {
            State::Waiting => Due::Execute(id, exchange.command, bytes),
            _ => Due::Answer(id, exchange.command, exchange.status, bytes),
        })
    }

    /// Whether a request waits for being executed.
    pub(crate) fn has_waiting(&self) -> bool {
        self.exchanges
            .iter()
            .any(|exchange| exchange.state == State::Waiting)
    }

    /// A request was executed and its answer is being sent.
    pub(crate) fn answered(&mut self, id: RequestId, status: Status, body: &[u8]) {
        let exchange = &mut self.exchanges[place(id)];
        assert!(exchange.state == State::Waiting, "only what arrived is answered");
        exchange.status = status;
        if body.len() > ANSWER_KEPT_BYTES {
            exchange.state = State::TooLongToKeep;
            exchange.length = 0;
        } else {
            exchange.keep(body);
            exchange.state = State::Answered;
        }
    }

    /// A kept answer was sent.
    pub(crate) fn sent(&mut self, id: RequestId) {
        let exchange = &mut self.exchanges[place(id)];
        assert!(exchange.state == State::Due, "only what is due is sent");
        exchange.state = State::Answered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Command = Command::SERVICE;

    fn executed(window: &mut Window, answer: &[u8]) -> Option<u64> {
        let Some(Due::Execute(id, ..)) = window.next_due(true) else {
            return None;
        };
        window.answered(id, Status::Ok, answer);
        Some(id.0)
    }

    #[test]
    fn a_request_is_executed_once_however_often_it_comes() {
        let mut window = Window::default();
        let id = RequestId(1);
        assert!(!window.has_waiting());
        assert_eq!(window.arrive(id, ECHO, b"x"), Ok(Arrival::Due));
        assert_eq!(window.arrive(id, ECHO, b"x"), Ok(Arrival::Due));
        assert!(window.has_waiting());
        assert_eq!(executed(&mut window, b"y"), Some(1));
        assert!(!window.has_waiting());
        assert_eq!(window.next_due(true), None);
        assert_eq!(window.arrive(id, ECHO, b"x"), Ok(Arrival::Due));
        assert_eq!(
            window.next_due(false),
            Some(Due::Answer(id, ECHO, Status::Ok, b"y"))
        );
        window.sent(id);
        window.release(RequestId(2));
        assert_eq!(window.arrive(id, ECHO, b"x"), Ok(Arrival::Ignored));
        assert_eq!(window.next_due(true), None);
    }

    #[test]
    fn an_answer_too_long_to_keep_is_computed_again() {
        let mut window = Window::default();
        assert_eq!(window.arrive(RequestId(1), ECHO, b""), Ok(Arrival::Due));
        assert_eq!(executed(&mut window, &[0; ANSWER_KEPT_BYTES + 1]), Some(1));
        assert_eq!(window.arrive(RequestId(1), ECHO, b""), Ok(Arrival::Due));
        assert_eq!(executed(&mut window, &[0; ANSWER_KEPT_BYTES]), Some(1));
        assert_eq!(window.arrive(RequestId(1), ECHO, b""), Ok(Arrival::Due));
        assert_eq!(executed(&mut window, b""), None, "this time it was kept");
    }

    #[test]
    fn more_than_the_window_is_refused() {
        let mut window = Window::default();
        for id in 1..=REQUESTS_IN_FLIGHT_MAX as u64 {
            assert_eq!(window.arrive(RequestId(id), ECHO, b""), Ok(Arrival::Due));
        }
        assert_eq!(window.arrive(RequestId(5), ECHO, b""), Err(Beyond));
        window.release(RequestId(2));
        assert_eq!(window.arrive(RequestId(5), ECHO, b""), Ok(Arrival::Due));
        assert_eq!(window.arrive(RequestId(u64::MAX), ECHO, b""), Err(Beyond));
        window.release(RequestId(u64::MAX));
        window.release(RequestId(3));
        assert_eq!(window.arrive(RequestId(6), ECHO, b""), Ok(Arrival::Ignored));
    }

    #[test]
    fn a_new_server_takes_up_a_session_in_the_middle() {
        let mut window = Window::default();
        window.release(RequestId(1000));
        assert_eq!(window.arrive(RequestId(1002), ECHO, b"b"), Ok(Arrival::Due));
        assert_eq!(window.arrive(RequestId(1001), ECHO, b"a"), Ok(Arrival::Due));
        assert_eq!(
            window.next_due(true),
            Some(Due::Execute(RequestId(1001), ECHO, b"a"))
        );
        assert_eq!(window.next_due(false), None, "not before the service has started");
        assert!(window.has_waiting());
    }

    #[test]
    fn what_is_released_makes_room_and_what_is_not_stays() {
        let mut window = Window::default();
        for id in 1..=4 {
            assert_eq!(window.arrive(RequestId(id), ECHO, b""), Ok(Arrival::Due));
            assert_eq!(executed(&mut window, b"y"), Some(id));
        }
        window.release(RequestId(3));
        for id in [3, 4] {
            assert_eq!(window.arrive(RequestId(id), ECHO, b""), Ok(Arrival::Due));
            let kept = Due::Answer(RequestId(id), ECHO, Status::Ok, b"y");
            assert_eq!(window.next_due(true), Some(kept));
            window.sent(RequestId(id));
        }
        for id in [5, 6] {
            assert_eq!(window.arrive(RequestId(id), ECHO, b""), Ok(Arrival::Due));
            assert_eq!(executed(&mut window, b"z"), Some(id));
        }
    }

    #[test]
    fn a_body_too_long_is_answered_as_malformed() {
        let mut window = Window::default();
        let longest = [7; REQUEST_KEPT_BYTES];
        let fits = RequestId(2);
        assert_eq!(window.arrive(fits, ECHO, &longest), Ok(Arrival::Due));
        let execute = Due::Execute(fits, ECHO, &longest);
        assert_eq!(window.next_due(true), Some(execute));
        let id = RequestId(1);
        assert_eq!(
            window.arrive(id, ECHO, &[0; REQUEST_KEPT_BYTES + 1]),
            Ok(Arrival::Due)
        );
        assert_eq!(
            window.next_due(false),
            Some(Due::Answer(id, ECHO, Status::Malformed, b""))
        );
    }
}
