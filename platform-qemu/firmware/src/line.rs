//! The serial line, where an appliance has its service processor: lines of text, as `platform-qemu/README.md` has them.
//!
//! What silences another mount is at the other end of it: a power switch.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use ostrakon_core::event::Event;
use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::ids::{Ballot, Rid, Term};
use ostrakon_core::time::{Duration, Instant, earliest};

use crate::board::{now, receive_byte, send_byte, start_serial};

/// Longest line that comes in.
const LINE_BYTES: usize = 80;

/// Fences that wait for their answer at once. A further one has failed, and core asks again.
const FENCES: usize = 4;

/// What the outside says.
pub(crate) enum Order {
    /// The answer to a fence that was asked for, or that none came in time.
    Fenced(Ballot, FenceOutcome),
    /// Leave cleanly.
    Unmount,
    /// Leave at once.
    Force,
}

/// The serial line.
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    /// Bytes of the line that is coming in; more than there is room for if it is too long.
    length: usize,
    fences: [Option<(Ballot, Instant)>; FENCES],
    fence_time_max: Duration,
}

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(send_byte);
        Ok(())
    }
}

/// What is to be said before the end.
pub(crate) fn last_words(info: &PanicInfo<'_>) {
    // A serial port takes everything.
    let _ = writeln!(Serial, "event error {info}");
}

impl Line {
    /// Opens it. Fences that are not answered for `fence_time_max` have failed.
    pub(crate) fn start(fence_time_max: Duration) -> Self {
        start_serial();
        Self {
            bytes: [0; LINE_BYTES],
            length: 0,
            fences: [None; FENCES],
            fence_time_max,
        }
    }

    /// Says a line.
    pub(crate) fn say(&mut self, words: fmt::Arguments<'_>) {
        let _ = writeln!(Serial, "{words}");
    }

    /// Tells an event: its name, and what belongs to it.
    pub(crate) fn tell(&mut self, event: &Event) {
        match event {
            Event::Connected {
                server,
                addr: Some(addr),
            } => {
                self.say(format_args!(
                    "event connected {} {} {addr}",
                    server.term, server.rid
                ));
            }
            Event::Connected { server, addr: None } => {
                self.say(format_args!(
                    "event connected {} {} itself",
                    server.term, server.rid
                ));
            }
            Event::Disconnected { server } => {
                self.say(format_args!("event disconnected {} {}", server.term, server.rid));
            }
            Event::Elected(ballot) => self.say(format_args!("event elected {}", ballot.term)),
            Event::Silenced { victim, how } => {
                self.say(format_args!(
                    "event silenced {} {} {how:?}",
                    victim.term, victim.rid
                ));
            }
            Event::Serving { ballot, addr } => {
                self.say(format_args!("event serving {} {addr}", ballot.term));
            }
            Event::StoppedServing { ballot, clean } => {
                self.say(format_args!("event stopped_serving {} {clean}", ballot.term));
            }
            Event::ClientEvicted(rid) => self.say(format_args!("event client_evicted {rid}")),
            Event::Unmounted(how) => self.say(format_args!("event unmounted {how:?}")),
            Event::Fault(fault) => self.say(format_args!("event error {fault:?}")),
            // The rest is not for whoever holds the power switch.
            _ => {}
        }
    }

    /// Asks for a mount to be silenced; `false` if too many others are waited for.
    pub(crate) fn ask_for_fence(&mut self, request: &FenceRequest) -> bool {
        let (victim, addr) = (request.victim.ballot, request.victim.addr);
        let same = self
            .fences
            .iter()
            .position(|fence| fence.is_some_and(|(other, _)| other == victim));
        let free = same.or_else(|| self.fences.iter().position(Option::is_none));
        let Some(place) = free.map(|free| &mut self.fences[free]) else {
            return false;
        };
        *place = Some((victim, now() + self.fence_time_max));
        let (term, rid, attempt) = (victim.term, victim.rid, request.attempt);
        self.say(format_args!("fence {term} {rid} {addr} {attempt}"));
        true
    }

    /// When a fence will have taken too long.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        earliest(&self.fences.map(|fence| fence.map(|(_, deadline)| deadline)))
    }

    /// The next line that makes sense, or a fence that nobody answered.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        while let Some(byte) = receive_byte() {
            if byte != b'\n' {
                if let Some(place) = self.bytes.get_mut(self.length) {
                    *place = byte;
                }
                self.length = (self.length + 1).min(LINE_BYTES + 1);
                continue;
            }
            let (bytes, length) = (self.bytes, core::mem::take(&mut self.length));
            let line = bytes
                .get(..length)
                .and_then(|line| core::str::from_utf8(line).ok());
            if let Some(order) = line.and_then(|line| self.understand(line)) {
                return Some(order);
            }
        }
        let late = self
            .fences
            .iter_mut()
            .find(|fence| fence.is_some_and(|(_, deadline)| now() >= deadline))?;
        let (victim, _) = late.take()?;
        Some(Order::Fenced(victim, FenceOutcome::Failed))
    }

    fn understand(&mut self, line: &str) -> Option<Order> {
        let mut words = line.trim().split(' ');
        let outcome = match words.next()? {
            "unmount" => return Some(Order::Unmount),
            "force" => return Some(Order::Force),
            "done" => FenceOutcome::Done,
            "failed" => FenceOutcome::Failed,
            _ => return None,
        };
        let term = Term(words.next()?.parse().ok()?);
        let rid = Rid::new(u64::from_str_radix(words.next()?, 16).ok()?)?;
        let victim = Ballot { term, rid };
        // Only who was asked for.
        let asked = self
            .fences
            .iter_mut()
            .find(|fence| fence.is_some_and(|(other, _)| other == victim))?;
        *asked = None;
        Some(Order::Fenced(victim, outcome))
    }
}
