//! The server's side of a connection.

use zeroize::Zeroize;

use super::channel::{Channel, first_frame};
use super::suite::{ephemeral, split};
use super::{Broken, Challenge, Entropy, Secret, Shake, read, write};
use crate::format::hello::{CHALLENGE_BYTES, HELLO_BYTES, Offer, REPLY_BYTES, hello};

/// The server's side of a connection, from its first byte on. It needs no more room for a stranger than for a client.
#[derive(Clone, Debug, Default)]
pub(crate) enum Responder {
    /// Within a mount: nothing to hide.
    Plain,
    /// The challenge is due.
    #[default]
    Silent,
    /// The hello has not come.
    Challenged(Challenge),
    /// The peer knows the key; the reply is due.
    Proven {
        challenge: Challenge,
        hello: Shake,
    },
    /// The peer knows the key, and speaks nothing that this server speaks.
    Strange,
    Open(Channel),
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Arrived<'a> {
    /// Less than can be judged.
    Nothing,
    /// The peer showed that it knows the key: the reply is due.
    Hello,
    /// A frame, opened and without its tag.
    Frame(&'a [u8]),
}

impl Responder {
    /// Writes the challenge, if it is due, and returns its length.
    pub(crate) fn challenge(&mut self, entropy: &mut Entropy, out: &mut [u8]) -> Option<usize> {
        let Self::Silent = self else { return None };
        let place = out.first_chunk_mut::<CHALLENGE_BYTES>()?;
        let drawn = entropy.draw();
        place.copy_from_slice(&drawn[..CHALLENGE_BYTES]);
        *self = Self::Challenged(*place);
        Some(CHALLENGE_BYTES)
    }

    /// Takes what came in first, opened where it lies, and returns how many bytes it had. Until the peer has shown that it
    /// knows the key this costs nothing but hashing.
    ///
    /// # Errors
    /// The peer does not know the key, or says what none of ours does.
    pub(crate) fn take<'a>(
        &mut self,
        secret: &Secret<'_>,
        bytes: &'a mut [u8],
    ) -> Result<(Arrived<'a>, usize), Broken> {
        match self {
            &mut Self::Challenged(challenge) => self.take_hello(secret, challenge, bytes),
            // Nobody speaks before it was asked, and nobody goes on before it was answered.
            Self::Silent | Self::Proven { .. } | Self::Strange if bytes.is_empty() => {
                Ok((Arrived::Nothing, 0))
            }
            Self::Silent | Self::Proven { .. } | Self::Strange => Err(Broken),
            Self::Plain => first(None, bytes),
            Self::Open(channel) => first(Some(channel), bytes),
        }
    }

    fn take_hello<'a>(
        &mut self,
        secret: &Secret<'_>,
        challenge: Challenge,
        bytes: &[u8],
    ) -> Result<(Arrived<'a>, usize), Broken> {
        let Some(&shake) = hello(bytes).map_err(|_| Broken)? else {
            return Ok((Arrived::Nothing, 0));
        };
        // Reading needs no key of this side's: it is drawn when the peer is worth an answer.
        read(&mut secret.handshake(false, &challenge, &[0; 64]), &shake)?;
        *self = Self::Proven {
            challenge,
            hello: shake,
        };
        Ok((Arrived::Hello, HELLO_BYTES))
    }

    /// Writes the reply, if it is due, with what this side speaks. Returns its length, and what the peer offered if the two cannot talk.
    pub(crate) fn reply(
        &mut self,
        secret: &Secret<'_>,
        offer: Offer,
        entropy: &mut Entropy,
        out: &mut [u8],
    ) -> Option<(usize, Option<Offer>)> {
        let Self::Proven { challenge, hello } = self else {
            return None;
        };
        let shake = out.get_mut(..REPLY_BYTES)?;
        let mut own = ephemeral(entropy.draw());
        let mut handshake = secret.handshake(false, challenge, &own);
        own.zeroize();
        let theirs = read(&mut handshake, hello).ok()?;
        write(&mut handshake, offer, shake).ok()?;
        if offer.agree(theirs).is_none() {
            *self = Self::Strange;
            return Some((REPLY_BYTES, Some(theirs)));
        }
        let (incoming, outgoing) = split(&handshake);
        *self = Self::Open(Channel::new(outgoing, incoming));
        Some((REPLY_BYTES, None))
    }

    /// As after four billion frames.
    #[cfg(test)]
    pub(crate) const fn wear_out(&mut self) {
        if let Self::Open(channel) = self {
            channel.wear_out();
        }
    }

    /// Seals the frame of this length at the beginning of `buffer` and returns its new length. `None` if the connection
    /// is not open, or if its keys are worn out: then it has to be closed.
    pub(crate) fn seal(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        match self {
            Self::Plain => Some(length),
            Self::Open(channel) => channel.seal(buffer, length),
            Self::Silent | Self::Challenged(_) | Self::Proven { .. } | Self::Strange => None,
        }
    }
}

fn first<'a>(channel: Option<&mut Channel>, bytes: &'a mut [u8]) -> Result<(Arrived<'a>, usize), Broken> {
    Ok(match first_frame(channel, bytes)? {
        Some((frame, length)) => (Arrived::Frame(frame), length),
        None => (Arrived::Nothing, 0),
    })
}
