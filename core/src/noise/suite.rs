//! The functions of `25519_ChaChaPoly_BLAKE2s`, as the crate `noise-protocol` wants them: nothing but calls.

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use noise_protocol::patterns::noise_nn_psk0;
use noise_protocol::{Cipher, DH, HandshakeState, Hash};
use x25519_dalek::x25519;

use crate::format::wire::TAG_BYTES;

/// A handshake under way.
pub(super) type Handshake = HandshakeState<X25519, ChaChaPoly, Blake2s>;

/// Key of one direction of a session.
pub(super) type Key = [u8; 32];

/// A secret key for one connection, and behind it the public key that belongs to it, so that it is computed once.
pub(super) type Ephemeral = [u8; 64];

/// The pair of keys that belongs to a secret one.
pub(super) fn ephemeral(secret: [u8; 32]) -> Ephemeral {
    let mut pair = [0; 64];
    let (first, second) = pair.split_at_mut(32);
    first.copy_from_slice(&secret);
    second.copy_from_slice(&public_key(secret));
    pair
}

fn public_key(secret: [u8; 32]) -> [u8; 32] {
    #[cfg(not(feature = "key-table"))]
    let public = x25519(secret, x25519_dalek::X25519_BASEPOINT_BYTES);
    #[cfg(feature = "key-table")]
    let public = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(secret)).to_bytes();
    public
}

/// A handshake before its first message.
pub(super) fn handshake(initiates: bool, prologue: &[u8], psk: &[u8; 32], own: &Ephemeral) -> Handshake {
    let mut handshake =
        HandshakeState::new(noise_nn_psk0(), initiates, prologue, None, Some(*own), None, None);
    handshake.push_psk(psk);
    handshake
}

/// The keys of a session: of what the initiator says, and of what it hears.
pub(super) fn split(handshake: &Handshake) -> (Key, Key) {
    let (first, second) = handshake.get_ciphers();
    (first.extract().0, second.extract().0)
}

fn half(bytes: &[u8]) -> [u8; 32] {
    let mut half = [0; 32];
    half.copy_from_slice(bytes);
    half
}

pub(super) enum X25519 {}

impl DH for X25519 {
    type Key = Ephemeral;
    type Pubkey = [u8; 32];
    type Output = [u8; 32];

    fn name() -> &'static str {
        "25519"
    }

    fn genkey() -> Ephemeral {
        unreachable!("every handshake is given its keys: core has no randomness of its own")
    }

    fn pubkey(own: &Ephemeral) -> [u8; 32] {
        half(&own[32..])
    }

    fn dh(own: &Ephemeral, peer: &[u8; 32]) -> Result<[u8; 32], ()> {
        Ok(x25519(half(&own[..32]), *peer))
    }
}

pub(super) enum ChaChaPoly {}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}

impl Cipher for ChaChaPoly {
    type Key = Key;

    fn name() -> &'static str {
        "ChaChaPoly"
    }

    fn encrypt(key: &Key, number: u64, ad: &[u8], plain: &[u8], out: &mut [u8]) {
        out[..plain.len()].copy_from_slice(plain);
        Self::encrypt_in_place(key, number, ad, out, plain.len());
    }

    fn encrypt_in_place(key: &Key, number: u64, ad: &[u8], in_out: &mut [u8], length: usize) -> usize {
        let (text, tag) = in_out[..length + TAG_BYTES].split_at_mut(length);
        let made = ChaCha20Poly1305::new(&(*key).into()).encrypt_inout_detached(
            &nonce(number).into(),
            ad,
            text.into(),
        );
        match made {
            Ok(made) => tag.copy_from_slice(&made),
            Err(_) => unreachable!("only texts of 256 GiB are too long"),
        }
        length + TAG_BYTES
    }

    fn decrypt(key: &Key, number: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), ()> {
        let (text, tag) = sealed.split_at(out.len());
        out.copy_from_slice(text);
        decrypt(key, number, ad, out, tag)
    }

    fn decrypt_in_place(
        key: &Key,
        number: u64,
        ad: &[u8],
        in_out: &mut [u8],
        length: usize,
    ) -> Result<usize, ()> {
        let (text, tag) = in_out[..length].split_at_mut(length - TAG_BYTES);
        decrypt(key, number, ad, text, tag).map(|()| text.len())
    }
}

fn decrypt(key: &Key, number: u64, ad: &[u8], text: &mut [u8], tag: &[u8]) -> Result<(), ()> {
    let mut expected = [0; TAG_BYTES];
    expected.copy_from_slice(tag);
    ChaCha20Poly1305::new(&(*key).into())
        .decrypt_inout_detached(&nonce(number).into(), ad, text.into(), &expected.into())
        .map_err(|_| ())
}

#[derive(Default)]
pub(super) struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    type Block = [u8; 64];
    type Output = [u8; 32];

    fn name() -> &'static str {
        "BLAKE2s"
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self) -> [u8; 32] {
        core::mem::take(&mut self.0).finalize().into()
    }
}
