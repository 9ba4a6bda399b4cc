//! The client's side of a session: requests that may have to be sent again.

use super::place;
use crate::bounds::{REQUEST_KEPT_BYTES, REQUESTS_IN_FLIGHT_MAX};
use crate::format::wire::{Command, RequestId};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum State {
    #[default]
    Empty,
    Unsent,
    Sent,
    /// Answered, and the platform was not told yet: the answer must stay.
    Answered,
    /// The platform was told; the answer stays until the place is needed.
    Told,
}

/// One request, and after it was answered, what is kept of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Kept {
    id: RequestId,
    command: Command,
    state: State,
    length: u8,
    bytes: [u8; REQUEST_KEPT_BYTES],
}

impl Kept {
    const EMPTY: Self = Self {
        id: RequestId(0),
        command: Command(0),
        state: State::Empty,
        length: 0,
        bytes: [0; REQUEST_KEPT_BYTES],
    };

    const fn is_open(&self) -> bool {
        matches!(self.state, State::Unsent | State::Sent)
    }

    fn body(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn keep(&mut self, body: &[u8]) {
        let length = body.len().min(REQUEST_KEPT_BYTES);
        self.bytes[..length].copy_from_slice(&body[..length]);
        // The bounds assert that the length fits.
        self.length = length as u8;
    }
}

/// Every request that was not answered yet, and the answers of the newest that were.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Requests {
    next: RequestId,
    kept: [Kept; REQUESTS_IN_FLIGHT_MAX],
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            next: RequestId(1),
            kept: [Kept::EMPTY; REQUESTS_IN_FLIGHT_MAX],
        }
    }
}

impl Requests {
    /// Takes a request; `None` while the window is full, or if the body is too long to be kept.
    pub(crate) fn submit(&mut self, command: Command, body: &[u8]) -> Option<RequestId> {
        let room = self.next.0 < self.released().0 + REQUESTS_IN_FLIGHT_MAX as u64;
        let id = self.next;
        let free = self.kept[place(id)].state != State::Answered;
        if !room || !free || body.len() > REQUEST_KEPT_BYTES {
            return None;
        }
        let kept = &mut self.kept[place(id)];
        *kept = Kept {
            id,
            command,
            state: State::Unsent,
            ..Kept::EMPTY
        };
        kept.keep(body);
        self.next = RequestId(id.0 + 1);
        Some(id)
    }

    /// The lowest request that is not answered: all below it are released.
    pub(crate) fn released(&self) -> RequestId {
        let open = self.kept.iter().filter(|kept| kept.is_open());
        open.map(|kept| kept.id).min().unwrap_or(self.next)
    }

    /// Whether every request was answered.
    pub(crate) fn all_answered(&self) -> bool {
        self.released() == self.next
    }

    /// Another connection: everything that is not answered goes out again.
    pub(crate) fn send_again(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| kept.is_open()) {
            kept.state = State::Unsent;
        }
    }

    /// The next request to send, in the order of their numbers, and its command and body.
    pub(crate) fn next_to_send(&mut self) -> Option<(RequestId, Command, &[u8])> {
        let unsent = self
            .kept
            .iter_mut()
            .filter(|kept| kept.state == State::Unsent)
            .min_by_key(|kept| kept.id)?;
        unsent.state = State::Sent;
        Some((unsent.id, unsent.command, unsent.body()))
    }

    /// Takes an answer and returns how much of its body is kept; `None` if the request was answered before or was
    /// never made.
    pub(crate) fn answer(&mut self, id: RequestId, body: &[u8]) -> Option<usize> {
        let kept = &mut self.kept[place(id)];
        if kept.id != id || !kept.is_open() {
            return None;
        }
        kept.state = State::Answered;
        kept.keep(body);
        Some(usize::from(kept.length))
    }

    /// The platform was told of an answer: its place may be taken from now on.
    pub(crate) fn told(&mut self, id: RequestId) {
        let kept = &mut self.kept[place(id)];
        // Unless it was abandoned meanwhile.
        if kept.id == id {
            kept.state = State::Told;
        }
    }

    /// What is kept of the answer to a request; empty once its place was taken by another one.
    pub(crate) fn answered(&self, id: RequestId) -> &[u8] {
        let kept = &self.kept[place(id)];
        match kept.state {
            State::Answered | State::Told if kept.id == id => kept.body(),
            _ => &[],
        }
    }

    /// Forgets every request: the session is over, and nobody will answer.
    pub(crate) fn abandon(&mut self) {
        self.kept = [Kept::EMPTY; REQUESTS_IN_FLIGHT_MAX];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Command = Command(Command::SERVICE.0 + 7);

    fn sent(requests: &mut Requests) -> heapless::Vec<u64, 8> {
        let mut ids = heapless::Vec::new();
        while let Some((id, ..)) = requests.next_to_send() {
            ids.push(id.0).unwrap();
        }
        ids
    }

    #[test]
    fn unanswered_requests_go_out_again_in_order_and_answered_ones_do_not() {
        let mut requests = Requests::default();
        for body in [b"a", b"b", b"c"] {
            assert!(requests.submit(Command::SERVICE, body).is_some());
        }
        assert_eq!(sent(&mut requests)[..], [1, 2, 3]);
        assert_eq!(requests.answer(RequestId(2), b"two"), Some(3));
        requests.send_again();
        assert_eq!(sent(&mut requests)[..], [1, 3]);
        assert_eq!(requests.released(), RequestId(1));
        assert_eq!(requests.answered(RequestId(2)), b"two");
    }

    #[test]
    fn an_answer_that_nobody_was_told_of_keeps_its_place() {
        let mut requests = Requests::default();
        for body in [b"a", b"b", b"c", b"d"] {
            assert!(requests.submit(Command::SERVICE, body).is_some());
        }
        assert_eq!(requests.answer(RequestId(1), b"one"), Some(3));
        assert_eq!(requests.submit(Command::SERVICE, b"e"), None);
        assert_eq!(requests.answered(RequestId(1)), b"one");
        requests.told(RequestId(1));
        assert_eq!(requests.answered(RequestId(1)), b"one");
        assert_eq!(requests.submit(Command::SERVICE, b"e"), Some(RequestId(5)));
        assert_eq!(requests.answer(RequestId(5), b"five"), Some(4));
        assert_eq!(requests.answered(RequestId(5)), b"five");
        assert_eq!(requests.answered(RequestId(1)), b"", "its place was needed");
    }

    #[test]
    fn the_window_moves_with_the_oldest_unanswered_request() {
        let mut requests = Requests::default();
        for _ in 0..REQUESTS_IN_FLIGHT_MAX {
            assert!(requests.submit(Command::SERVICE, b"").is_some());
        }
        assert_eq!(requests.submit(Command::SERVICE, b""), None);
        for id in 2..=4 {
            assert!(requests.answer(RequestId(id), b"").is_some());
        }
        assert_eq!(
            requests.submit(Command::SERVICE, b""),
            None,
            "1 still holds the window"
        );
        assert!(requests.answer(RequestId(1), b"").is_some());
        assert!(requests.all_answered());
        requests.told(RequestId(1));
        assert_eq!(requests.submit(Command::SERVICE, b""), Some(RequestId(5)));
    }

    #[test]
    fn strange_answers_are_ignored_and_long_ones_cut() {
        let mut requests = Requests::default();
        assert_eq!(
            requests.submit(Command::SERVICE, &[0; REQUEST_KEPT_BYTES + 1]),
            None
        );
        let longest = [9; REQUEST_KEPT_BYTES];
        let id = requests.submit(ECHO, &longest).unwrap();
        assert_eq!(requests.next_to_send(), Some((id, ECHO, &longest[..])));
        assert_eq!(requests.answer(RequestId(0), b""), None);
        assert_eq!(requests.answer(RequestId(id.0 + 4), b""), None);
        assert_eq!(requests.answer(id, &[7; 200]), Some(REQUEST_KEPT_BYTES));
        assert_eq!(requests.answer(id, b"again"), None);
        assert_eq!(requests.answered(id), [7; REQUEST_KEPT_BYTES]);
    }
}
