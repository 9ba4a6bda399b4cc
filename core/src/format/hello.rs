//! What is said before a session: challenge, hello and reply, and which versions and features each side speaks.
//!
//! Only the layout stands here. What makes a hello and a reply believable is in [`crate::noise`].

use core::fmt;
use core::mem::offset_of;

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::wire::{MAGIC, WIRE_VERSION, WireError};

/// The handshake that this build speaks. It is the only thing that a client says in clear text.
pub const HANDSHAKE: u16 = 1;

/// Bytes of a challenge: random, and never the same twice. Nothing in them tells whose they are.
pub const CHALLENGE_BYTES: usize = 16;

/// Bytes of a message of the handshake: a public key, an [`Offer`], and the tag that authenticates it.
pub const SHAKE_BYTES: usize = 32 + Offer::BYTES + 16;

/// Bytes in clear text before the hello's part of the handshake.
pub const HELLO_HEAD_BYTES: usize = 4;

/// Bytes of a hello.
pub const HELLO_BYTES: usize = HELLO_HEAD_BYTES + SHAKE_BYTES;

/// Bytes of a reply.
pub const REPLY_BYTES: usize = SHAKE_BYTES;

/// The clear text of a hello.
pub const fn hello_head(handshake: u16) -> [u8; HELLO_HEAD_BYTES] {
    let (magic, handshake) = (MAGIC.to_le_bytes(), handshake.to_le_bytes());
    [magic[0], magic[1], handshake[0], handshake[1]]
}

/// The first hello in `bytes` without its head; `Ok(None)` while it is not complete.
///
/// # Errors
/// The first thing that shows the bytes to be no hello of ours, as soon as it came in.
pub fn hello(bytes: &[u8]) -> Result<Option<&[u8; SHAKE_BYTES]>, WireError> {
    let number = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    match (number(0), number(2)) {
        (Some(magic), _) if magic != MAGIC => Err(WireError::Magic(magic)),
        (_, Some(handshake)) if handshake != HANDSHAKE => Err(WireError::Handshake(handshake)),
        _ => Ok(bytes
            .get(HELLO_HEAD_BYTES..HELLO_BYTES)
            .and_then(|shake| shake.try_into().ok())),
    }
}

/// What one side of a connection speaks. Both sides send theirs, authenticated, and come to the same conclusion.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Offer {
    /// Oldest wire version that it speaks.
    pub oldest: u16,
    /// Newest wire version that it speaks.
    pub newest: u16,
    /// Features that it has, a bit each.
    pub features: u16,
    /// Features without which it talks to nobody.
    pub needed: u16,
}

/// What both sides speak.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Agreement {
    /// The newest wire version that both speak.
    pub version: u16,
    /// The features that both have.
    pub features: u16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OfferBytes {
    oldest: U16,
    newest: U16,
    features: U16,
    needed: U16,
}

const _: () = assert!(size_of::<OfferBytes>() == Offer::BYTES);
const _: () = assert!(offset_of!(OfferBytes, newest) == 2);
const _: () = assert!(offset_of!(OfferBytes, features) == 4);
const _: () = assert!(offset_of!(OfferBytes, needed) == 6);

impl Offer {
    /// Bytes of an offer.
    pub const BYTES: usize = 8;

    /// What this build speaks.
    pub const OURS: Self = Self {
        oldest: WIRE_VERSION,
        newest: WIRE_VERSION,
        features: 0,
        needed: 0,
    };

    /// What both speak; `None` if the two cannot talk.
    pub fn agree(self, other: Self) -> Option<Agreement> {
        let version = self.newest.min(other.newest);
        let features = self.features & other.features;
        let spoken = version >= self.oldest.max(other.oldest);
        let enough = (self.needed | other.needed) & !features == 0;
        (spoken && enough).then_some(Agreement { version, features })
    }

    /// Its bytes.
    pub fn encode(self) -> [u8; Self::BYTES] {
        transmute!(OfferBytes {
            oldest: self.oldest.into(),
            newest: self.newest.into(),
            features: self.features.into(),
            needed: self.needed.into(),
        })
    }

    /// Reads an offer. One that makes no sense agrees with nobody.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let bytes: &OfferBytes = transmute_ref!(bytes);
        Self {
            oldest: bytes.oldest.get(),
            newest: bytes.newest.get(),
            features: bytes.features.get(),
            needed: bytes.needed.get(),
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            oldest,
            newest,
            features,
            needed,
        } = *self;
        if oldest == newest {
            write!(f, "wire version {newest}")?;
        } else {
            write!(f, "wire versions {oldest} to {newest}")?;
        }
        if features != 0 || needed != 0 {
            write!(
                f,
                " with features {features:#06x}, of which it needs {needed:#06x}"
            )?;
        }
        Ok(())
    }
}
