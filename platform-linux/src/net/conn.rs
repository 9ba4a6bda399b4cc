//! One connection: bytes that core has not consumed yet, and bytes that the peer has not taken yet.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::net::CloseReason;

/// Bytes of one read, and the most that is kept unconsumed for a connection. Core consumes whole messages, so
/// that anything from one message up works; more saves system calls.
pub(super) const INPUT_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Output kept for a peer that does not take it. Input stops at [`MESSAGE_BYTES_MAX`] of output already, so that
/// only what core says of its own accord can grow this far; such a peer is dead.
const OUTPUT_BYTES_MAX: usize = 64 * MESSAGE_BYTES_MAX;

/// Bytes thrown away when a connection is closed: closing with unread input resets the connection, and the
/// reset could overtake the last answer.
const DISCARD_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Conn {
    pub(super) stream: TcpStream,
    /// The handshake is not over.
    pub(super) connecting: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The socket may have more to read (readiness is told once, at its edge).
    readable: bool,
    /// Nothing comes after what it has: there is no other edge, so it is read to its end.
    ending: bool,
    /// Output was moved since input was offered last: core may consume what it did not before.
    relieved: bool,
    /// Writing failed. What the peer said before it went is read first: it may be the answer.
    broken: Option<CloseReason>,
}

/// What one look at a connection's input came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Nothing more to do before the next readiness.
    Idle,
    /// The bound of one turn was reached with more to read.
    More,
    /// It is gone.
    Closed(CloseReason),
}

impl Conn {
    pub(super) fn new(stream: TcpStream, connecting: bool) -> Self {
        // A request waits for nobody: without this each small message could wait for an acknowledgement.
        // Where it fails the connection is slower, and otherwise the same.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            connecting,
            input: Vec::new(),
            output: Vec::new(),
            readable: true,
            ending: false,
            relieved: false,
            broken: None,
        }
    }

    pub(super) fn set_readable(&mut self, ending: bool) {
        self.readable = true;
        self.ending |= ending;
    }

    /// Whether there is something to do without another readiness.
    pub(super) fn has_work(&self) -> bool {
        let unread = self.readable && self.input.len() < INPUT_BYTES_MAX;
        let unconsumed = self.relieved && !self.input.is_empty();
        !self.connecting && (self.broken.is_some() || !self.is_backed_up() && (unread || unconsumed))
    }

    /// Whether core has left bytes unconsumed: a part of a message, or one that it has no room for yet.
    pub(super) fn is_stalled(&self) -> bool {
        !self.input.is_empty()
    }

    /// The rule of `Mount::handle_bytes`: no input while more output than one message waits.
    fn is_backed_up(&self) -> bool {
        self.output.len() > MESSAGE_BYTES_MAX
    }

    /// Offers what was kept, then reads and offers up to `reads` times. `scratch` holds [`INPUT_BYTES_MAX`] bytes.
    pub(super) fn look(
        &mut self,
        scratch: &mut [u8],
        reads: usize,
        mut offer: impl FnMut(&mut [u8]) -> usize,
    ) -> Look {
        if !self.is_backed_up() && !self.input.is_empty() {
            self.relieved = false;
            let mut kept = std::mem::take(&mut self.input);
            self.offer_all(&mut kept, &mut offer);
        }
        for _ in 0..reads {
            if self.is_backed_up() || !self.readable || self.input.len() >= INPUT_BYTES_MAX {
                break;
            }
            if let Err(reason) = self.read_once(scratch, &mut offer) {
                return Look::Closed(reason);
            }
        }
        match self.broken {
            Some(reason) => Look::Closed(reason),
            None if self.has_work() => Look::More,
            None => Look::Idle,
        }
    }

    fn read_once(
        &mut self,
        scratch: &mut [u8],
        offer: &mut impl FnMut(&mut [u8]) -> usize,
    ) -> Result<(), CloseReason> {
        let kept = self.input.len();
        scratch[..kept].copy_from_slice(&self.input);
        match self.stream.read(&mut scratch[kept..INPUT_BYTES_MAX]) {
            Ok(0) => Err(CloseReason::ByPeer),
            Ok(count) => {
                // A read that filled less than its room took all there was, and whatever comes later is a new edge: the
                // system need not be asked twice for each message.
                self.readable = self.ending || kept + count == INPUT_BYTES_MAX;
                self.offer_all(&mut scratch[..kept + count], offer);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.readable = false;
                    Ok(())
                }
                ErrorKind::Interrupted => Ok(()),
                _ => Err(reason(&error)),
            },
        }
    }

    fn offer_all(&mut self, bytes: &mut [u8], offer: &mut impl FnMut(&mut [u8]) -> usize) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let consumed = offer(rest);
            assert!(consumed <= rest.len(), "nobody consumes more than was offered");
            if consumed == 0 {
                break;
            }
            rest = &mut rest[consumed..];
        }
        // An idle connection keeps no memory: an empty `Vec` has none.
        self.input = rest.to_vec();
    }

    /// Takes a message to be sent with the next [`flush`](Self::flush); `false` if the peer has taken none for
    /// too long.
    pub(super) fn queue(&mut self, message: &[u8]) -> bool {
        let fits = self.output.len() + message.len() <= OUTPUT_BYTES_MAX;
        if fits {
            self.output.extend_from_slice(message);
        }
        fits
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) {
        if self.connecting {
            return;
        }
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(0) => self.broken = Some(CloseReason::Failed),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.broken = Some(reason(&error)),
            }
            if self.broken.is_some() {
                sent = self.output.len();
                self.readable = true;
            }
        }
        self.relieved |= sent > 0;
        if sent == self.output.len() {
            self.output = Vec::new();
        } else {
            self.output.drain(..sent);
        }
    }

    /// Closes, after a last attempt to hand over what was said.
    pub(super) fn close(mut self, scratch: &mut [u8]) {
        self.flush();
        if self.connecting || self.broken.is_some() {
            return;
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        for _ in 0..DISCARD_BYTES_MAX / INPUT_BYTES_MAX {
            match self.stream.read(scratch) {
                Ok(count) if count > 0 => {}
                _ => break,
            }
        }
    }
}

/// What an error of a socket says about its peer.
pub(super) fn reason(error: &std::io::Error) -> CloseReason {
    match error.kind() {
        ErrorKind::ConnectionRefused => CloseReason::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => CloseReason::ByPeer,
        _ => CloseReason::Failed,
    }
}
