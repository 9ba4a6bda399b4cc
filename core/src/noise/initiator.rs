//! The client's side of a connection.

use zeroize::Zeroize;

use super::channel::{Channel, first_frame};
use super::suite::{Ephemeral, ephemeral, split};
use super::{Broken, Challenge, Entropy, Secret, read, write};
use crate::format::hello::{
    CHALLENGE_BYTES, HANDSHAKE, HELLO_BYTES, HELLO_HEAD_BYTES, Offer, REPLY_BYTES, hello_head,
};

/// The client's side of a connection, from its first byte on.
#[derive(Clone, Debug)]
pub struct Initiator {
    state: State,
    offer: Offer,
}

#[derive(Clone, Debug)]
enum State {
    /// Within a mount: nothing to hide.
    Plain,
    /// The challenge has not come.
    Waits,
    /// The hello is due.
    Challenged(Challenge),
    /// The reply has not come.
    Asked {
        challenge: Challenge,
        own: Own,
    },
    Open(Channel),
}

/// The pair of keys of a connection that is being made: forgotten with it, and never printed.
#[derive(Clone)]
struct Own(Ephemeral);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Own {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Own(..)")
    }
}

/// What came in.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Less than can be judged.
    Nothing,
    /// A challenge: the hello is due.
    Challenge,
    /// The server showed that it knows the key, and this is what it speaks.
    Reply(Offer),
    /// A frame, opened and without its tag.
    Frame(&'a [u8]),
}

impl Initiator {
    /// A connection to another mount, by one that speaks what it offers.
    pub const fn new(offer: Offer) -> Self {
        Self {
            state: State::Waits,
            offer,
        }
    }

    /// The connection to the server of the same mount.
    pub(crate) const fn plain() -> Self {
        Self {
            state: State::Plain,
            offer: Offer::OURS,
        }
    }

    /// Whether frames may be said.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Plain | State::Open(_))
    }

    /// Writes the hello, if it is due, and returns its length.
    pub fn hello(&mut self, secret: &Secret<'_>, entropy: &mut Entropy, out: &mut [u8]) -> Option<usize> {
        let State::Challenged(challenge) = self.state else {
            return None;
        };
        let hello = out.get_mut(..HELLO_BYTES)?;
        let own = Own(ephemeral(entropy.draw()));
        let (head, shake) = hello.split_at_mut(HELLO_HEAD_BYTES);
        head.copy_from_slice(&hello_head(HANDSHAKE));
        write(&mut secret.handshake(true, &challenge, &own.0), self.offer, shake).ok()?;
        self.state = State::Asked { challenge, own };
        Some(HELLO_BYTES)
    }

    /// Takes what came in first, opened where it lies, and returns how many bytes it had.
    ///
    /// # Errors
    /// The server does not know the key, or says what none of ours does.
    pub fn take<'a>(
        &mut self,
        secret: &Secret<'_>,
        bytes: &'a mut [u8],
    ) -> Result<(Heard<'a>, usize), Broken> {
        match &mut self.state {
            State::Waits => Ok(self.take_challenge(bytes)),
            // It has not been answered, and speaks again.
            State::Challenged(_) if !bytes.is_empty() => Err(Broken),
            State::Challenged(_) => Ok((Heard::Nothing, 0)),
            State::Asked { challenge, own } => {
                let (challenge, own) = (*challenge, own.clone());
                self.take_reply(secret, &challenge, &own, bytes)
            }
            State::Plain => first(None, bytes),
            State::Open(channel) => first(Some(channel), bytes),
        }
    }

    fn take_challenge<'a>(&mut self, bytes: &[u8]) -> (Heard<'a>, usize) {
        match bytes.first_chunk() {
            Some(&challenge) => {
                self.state = State::Challenged(challenge);
                (Heard::Challenge, CHALLENGE_BYTES)
            }
            None => (Heard::Nothing, 0),
        }
    }

    fn take_reply<'a>(
        &mut self,
        secret: &Secret<'_>,
        challenge: &Challenge,
        own: &Own,
        bytes: &[u8],
    ) -> Result<(Heard<'a>, usize), Broken> {
        let Some(shake) = bytes.first_chunk() else {
            return Ok((Heard::Nothing, 0));
        };
        // The handshake is said again from its beginning: that costs some hashing, and keeping it costs half a kilobyte.
        let mut handshake = secret.handshake(true, challenge, &own.0);
        write(&mut handshake, self.offer, &mut [0; REPLY_BYTES])?;
        let offer = read(&mut handshake, shake)?;
        let (outgoing, incoming) = split(&handshake);
        self.state = State::Open(Channel::new(outgoing, incoming));
        Ok((Heard::Reply(offer), REPLY_BYTES))
    }

    /// As after four billion frames.
    #[cfg(test)]
    pub(crate) fn wear_out(&mut self) {
        if let State::Open(channel) = &mut self.state {
            channel.wear_out();
        }
    }

    /// Seals the frame of this length at the beginning of `buffer` and returns its new length. `None` if the connection
    /// is not open, or if its keys are worn out: then it has to be made anew.
    pub fn seal(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        match &mut self.state {
            State::Plain => Some(length),
            State::Open(channel) => channel.seal(buffer, length),
            State::Waits | State::Challenged(_) | State::Asked { .. } => None,
        }
    }
}

fn first<'a>(channel: Option<&mut Channel>, bytes: &'a mut [u8]) -> Result<(Heard<'a>, usize), Broken> {
    Ok(match first_frame(channel, bytes)? {
        Some((frame, length)) => (Heard::Frame(frame), length),
        None => (Heard::Nothing, 0),
    })
}
