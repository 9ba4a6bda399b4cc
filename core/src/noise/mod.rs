//! Closed to strangers: the handshake by which two mounts show each other that they know the volume's key, and the
//! sealing of everything that they say afterwards.
//!
//! The pattern is `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s` of the [Noise protocol framework](https://noiseprotocol.org),
//! revision 34; the pre-shared key is the key in the super block. The client is the initiator:
//!
//! 1. The server sends a challenge, 16 random bytes. It goes into the prologue, so that a hello is good on one
//!    connection only.
//! 2. The client sends a hello: `psk, e`, and in it what it speaks ([`Offer`]). From here on
//!    the server knows that the peer knows the key, at the price of hashing: whoever does not know it costs no more.
//! 3. The server sends a reply: `e, ee`, and in it what it speaks. Now the client knows the same of the server.
//! 4. Both send sealed frames. The keys are forgotten with the connection.
//!
//! - `suite`: the functions that the pattern is made of, from well-kept crates; `entropy`: where keys come from.
//! - `initiator`, `responder`: the two sides; `channel`: sealed frames.

mod channel;
mod entropy;
mod initiator;
mod responder;
mod suite;
#[cfg(test)]
mod tests;

pub use entropy::{Entropy, SEED_BYTES};
pub use initiator::{Heard, Initiator};
pub(crate) use responder::{Arrived, Responder};

use crate::format::hello::{CHALLENGE_BYTES, HANDSHAKE, HELLO_HEAD_BYTES, Offer, SHAKE_BYTES, hello_head};
use crate::ids::{VolumeId, VolumeKey};
use suite::{Ephemeral, Handshake};

/// What both sides know before they meet: the volume, and the key that is read from its super block.
#[derive(Clone, Copy, Debug)]
pub struct Secret<'a> {
    /// The volume.
    pub volume: VolumeId,
    /// Its key.
    pub key: &'a VolumeKey,
}

/// A peer that did not show that it knows the volume's key, or that says what no mount of ours does. There is no way on
/// but to close the connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Broken;

type Challenge = [u8; CHALLENGE_BYTES];
type Shake = [u8; SHAKE_BYTES];

impl Secret<'_> {
    fn handshake(&self, initiates: bool, challenge: &Challenge, own: &Ephemeral) -> Handshake {
        let mut prologue = [0; 16 + CHALLENGE_BYTES + HELLO_HEAD_BYTES];
        let (volume, rest) = prologue.split_at_mut(16);
        let (middle, head) = rest.split_at_mut(CHALLENGE_BYTES);
        volume.copy_from_slice(&self.volume.0);
        middle.copy_from_slice(challenge);
        head.copy_from_slice(&hello_head(HANDSHAKE));
        suite::handshake(initiates, &prologue, &self.key.0, own)
    }
}

/// Reads what the peer offers in a message of the handshake.
fn read(handshake: &mut Handshake, shake: &Shake) -> Result<Offer, Broken> {
    let mut offer = [0; Offer::BYTES];
    handshake.read_message(shake, &mut offer).map_err(|_| Broken)?;
    Ok(Offer::decode(&offer))
}

/// Writes a message of the handshake.
fn write(handshake: &mut Handshake, offer: Offer, shake: &mut [u8]) -> Result<(), Broken> {
    handshake
        .write_message(&offer.encode(), shake)
        .map_err(|_| Broken)
}
