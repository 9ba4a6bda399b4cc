//! The control line: the second serial port, where an appliance would have a reset line and a service processor.
//!
//! Lines of text. Outwards: `hello RID NAME`, `event WORDS`, `fence TERM RID ADDRESS ATTEMPT`. Inwards: `done TERM RID`,
//! `failed TERM RID`, `unmount`, `force`; and, for who wants to see what becomes of the cluster then, `panic` and `hang`.

use core::fmt::{self, Write};

use heapless::{Deque, String};
use ostrakon_core::ids::{Ballot, Rid, Term};

use crate::log::{Debug, warning};
use crate::machine::port::Port;

const PORT: Port = Port(0x2f8);
const INTERRUPTS: Port = PORT.offset(1);
const FIFO: Port = PORT.offset(2);
const LINE: Port = PORT.offset(3);
const MODEM: Port = PORT.offset(4);
const STATUS: Port = PORT.offset(5);

const RECEIVED: u8 = 1;
const SENT: u8 = 1 << 5;
const WHEN_RECEIVED: u8 = 1;
const WHEN_SENT: u8 = 1 << 1;

/// Bytes of the port's own queue.
const FIFO_BYTES: usize = 16;

/// Bytes that wait to be sent. With more, whole lines are dropped: nobody listens.
const QUEUE_BYTES: usize = 4096;

/// Longest line either way.
const LINE_BYTES: usize = 160;

/// What the outside says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The victim of a fence request is silent for good.
    Done(Ballot),
    /// It is not, or nobody knows.
    Failed(Ballot),
    /// Leave cleanly.
    Unmount,
    /// Leave at once.
    Force,
    /// Panic.
    Panic,
    /// Stand still for good, as firmware that is stuck does.
    Hang,
}

/// The control line.
pub(crate) struct Control {
    incoming: String<LINE_BYTES>,
    /// The line that is coming in is too long: forget all of it.
    overlong: bool,
    outgoing: Deque<u8, QUEUE_BYTES>,
    dropped: u32,
}

impl Control {
    /// Sets the port up.
    pub(crate) fn start() -> Self {
        INTERRUPTS.write8(0);
        // The divisor of 115200 baud, 8 bits, no parity; clear and use the queues; let its interrupts out.
        LINE.write8(0x80);
        PORT.write8(1);
        INTERRUPTS.write8(0);
        LINE.write8(0x03);
        FIFO.write8(0x07);
        MODEM.write8(0x0b);
        INTERRUPTS.write8(WHEN_RECEIVED);
        Self {
            incoming: String::new(),
            overlong: false,
            outgoing: Deque::new(),
            dropped: 0,
        }
    }

    /// Queues a line.
    pub(crate) fn say(&mut self, words: fmt::Arguments<'_>) {
        let mut line = String::<LINE_BYTES>::new();
        let fits = write!(line, "{words}").is_ok() && line.len() < QUEUE_BYTES - self.outgoing.len();
        if !fits {
            self.dropped += 1;
            return;
        }
        for byte in line.bytes().chain([b'\n']) {
            let queued = self.outgoing.push_back(byte);
            assert!(queued.is_ok(), "there was room for the whole line");
        }
        self.pump();
    }

    /// Sends what the port takes.
    pub(crate) fn pump(&mut self) {
        while !self.outgoing.is_empty() && STATUS.read8() & SENT != 0 {
            for _ in 0..FIFO_BYTES {
                let Some(byte) = self.outgoing.pop_front() else {
                    break;
                };
                PORT.write8(byte);
            }
        }
        let when_sent = if self.outgoing.is_empty() { 0 } else { WHEN_SENT };
        INTERRUPTS.write8(WHEN_RECEIVED | when_sent);
    }

    /// Waits until everything was sent, or `attempts` looks at the port.
    pub(crate) fn drain(&mut self, attempts: u32) {
        for _ in 0..attempts {
            if self.outgoing.is_empty() {
                return;
            }
            self.pump();
        }
    }

    /// The next line that came in and makes sense.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        // The register must be read for the port to interrupt again.
        FIFO.read8();
        while STATUS.read8() & RECEIVED != 0 {
            let byte = PORT.read8();
            if byte != b'\n' {
                self.overlong |= self.incoming.push(char::from(byte)).is_err();
                continue;
            }
            let line = core::mem::take(&mut self.incoming);
            if core::mem::replace(&mut self.overlong, false) {
                warning!("control: a line of more than {} bytes", LINE_BYTES);
                continue;
            }
            match parse(line.trim()) {
                Some(order) => return Some(order),
                None => warning!("control: {} is no order", Debug(&line)),
            }
        }
        None
    }
}

fn parse(line: &str) -> Option<Order> {
    let mut words = line.split(' ');
    let verb = words.next()?;
    let order = match verb {
        "unmount" => Order::Unmount,
        "force" => Order::Force,
        "panic" => Order::Panic,
        "hang" => Order::Hang,
        "done" | "failed" => {
            let term = Term(words.next()?.parse().ok()?);
            let rid = Rid::new(u64::from_str_radix(words.next()?, 16).ok()?)?;
            let victim = Ballot { term, rid };
            if verb == "done" {
                Order::Done(victim)
            } else {
                Order::Failed(victim)
            }
        }
        _ => return None,
    };
    words.next().is_none().then_some(order)
}
