//! Where keys and challenges come from.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroize;

/// Bytes of the seed that a platform draws from its entropy, once for each mount.
pub const SEED_BYTES: usize = 32;

/// A generator that nobody predicts who does not know its seed: the key stream of ChaCha20. Each draw replaces the key by
/// the first half of the stream and gives the other half away ("fast key erasure"), so that what was drawn before
/// cannot be found from what is in memory now.
#[derive(Clone)]
pub struct Entropy([u8; SEED_BYTES]);

impl Entropy {
    /// Begins with a seed that was never used before.
    pub const fn new(seed: [u8; SEED_BYTES]) -> Self {
        Self(seed)
    }

    /// The next 32 bytes.
    pub fn draw(&mut self) -> [u8; 32] {
        let mut stream = [0; 64];
        ChaCha20::new(&self.0.into(), &[0; 12].into()).apply_keystream(&mut stream);
        let mut drawn = [0; 32];
        self.0.copy_from_slice(&stream[..32]);
        drawn.copy_from_slice(&stream[32..]);
        stream.zeroize();
        drawn
    }

    /// The next 8 bytes, for dice that nobody needs to be kept from guessing.
    pub(crate) fn draw_number(&mut self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.draw();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_beginning_of_a_draw() {
        let drawn = Entropy::new([3; 32]).draw();
        let number = Entropy::new([3; 32]).draw_number();
        assert_eq!(number.to_le_bytes(), drawn[..8]);
    }

    #[test]
    fn draws_are_the_key_stream_of_rfc_8439_and_the_key_moves_on() {
        // Appendix A.1, test vector 1: key, nonce and counter are zero.
        let mut entropy = Entropy::new([0; 32]);
        let first = entropy.draw();
        assert_eq!(first[..4], [0xda, 0x41, 0x59, 0x7c]);
        assert_eq!(entropy.0[..4], [0x76, 0xb8, 0xe0, 0xad]);
        assert_ne!(entropy.draw(), first);
        let mut other = Entropy::new([1; 32]);
        assert_ne!(other.draw(), first);
    }
}
