//! Sealed frames: everything behind a frame's length is encrypted, and the tag at its end authenticates it and its place
//! in the order of frames.

use noise_protocol::Cipher;
use zeroize::Zeroize;

use super::Broken;
use super::suite::{ChaChaPoly, Key};
use crate::bounds::{MESSAGE_BYTES_MAX, SEALED_MAX};
use crate::format::wire::{FRAME_BYTES, LENGTH_BYTES, TAG_BYTES, frame_length, put_length};

/// The keys of one connection, and how many frames were sealed with each.
#[derive(Clone)]
pub(crate) struct Channel {
    outgoing: Key,
    incoming: Key,
    sent: u32,
    received: u32,
}

/// The keys are forgotten with the connection.
impl Drop for Channel {
    fn drop(&mut self) {
        self.outgoing.zeroize();
        self.incoming.zeroize();
    }
}

impl core::fmt::Debug for Channel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Channel({} sent, {} received)", self.sent, self.received)
    }
}

impl Channel {
    pub(super) const fn new(outgoing: Key, incoming: Key) -> Self {
        Self {
            outgoing,
            incoming,
            sent: 0,
            received: 0,
        }
    }

    /// Seals the frame of this length at the beginning of `buffer`, and returns its new length. `None` if there is no
    /// room for the tag, or if the key has sealed [`SEALED_MAX`] frames: then the connection has to be made anew.
    pub(super) fn seal(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let sealed = length + TAG_BYTES;
        if self.sent == SEALED_MAX || sealed > MESSAGE_BYTES_MAX || buffer.len() < sealed {
            return None;
        }
        put_length(buffer, sealed);
        let text = &mut buffer[LENGTH_BYTES..sealed];
        ChaChaPoly::encrypt_in_place(&self.outgoing, self.sent.into(), &[], text, length - LENGTH_BYTES);
        self.sent += 1;
        Some(sealed)
    }

    /// Opens a whole frame where it lies, and returns it without its tag.
    fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<&'a [u8], Broken> {
        let length = frame.len().saturating_sub(TAG_BYTES);
        if length < FRAME_BYTES || self.received == SEALED_MAX {
            return Err(Broken);
        }
        let text = &mut frame[LENGTH_BYTES..];
        let sealed = text.len();
        ChaChaPoly::decrypt_in_place(&self.incoming, self.received.into(), &[], text, sealed)
            .map_err(|()| Broken)?;
        self.received += 1;
        Ok(&frame[..length])
    }

    #[cfg(test)]
    pub(super) const fn wear_out(&mut self) {
        (self.sent, self.received) = (SEALED_MAX, SEALED_MAX);
    }
}

/// The first frame in `bytes`, opened where it lies by `channel` if there is one, and its length; `Ok(None)` while it is
/// not complete.
pub(super) fn first_frame<'a>(
    channel: Option<&mut Channel>,
    bytes: &'a mut [u8],
) -> Result<Option<(&'a [u8], usize)>, Broken> {
    let Some(length) = frame_length(bytes).map_err(|_| Broken)? else {
        return Ok(None);
    };
    let frame = &mut bytes[..length];
    let opened = match channel {
        Some(channel) => channel.open(frame)?,
        None => frame,
    };
    Ok(Some((opened, length)))
}
