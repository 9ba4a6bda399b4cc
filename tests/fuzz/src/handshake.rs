//! What is said before a session: hellos and replies of peers that do not know the key, and what they offer if they do.
//!
//! A tag hides the offer behind the key as a checksum hides a block, so that offers are read here without one.

use arbitrary::{Arbitrary, Result, Unstructured};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::format::hello::{
    CHALLENGE_BYTES, HANDSHAKE, HELLO_BYTES, HELLO_HEAD_BYTES, Offer, REPLY_BYTES, hello, hello_head,
};
use ostrakon_core::ids::{VolumeId, VolumeKey};
use ostrakon_core::noise::{Broken, Entropy, Heard, Initiator, Secret};

use crate::any::any_offer;
use crate::mutate::damage;

/// One of the three.
pub fn run(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=2)? {
        0 => read_hello(u),
        1 => read_offers(u),
        _ => hear_a_stranger(u),
    }
}

/// A hello, whole or in part, and perhaps damaged: it is refused as soon as it can be, or taken as it is.
fn read_hello(u: &mut Unstructured<'_>) -> Result<()> {
    let mut bytes = hello_head(HANDSHAKE).to_vec();
    bytes.extend(Vec::<u8>::arbitrary(u)?);
    if u.ratio(1, 2)? {
        damage(u, &mut bytes)?;
    }
    let mut refused = None;
    for have in 0..=bytes.len().min(HELLO_BYTES + 1) {
        let said = hello(&bytes[..have]);
        assert!(
            refused.is_none() || said.err() == refused,
            "a refusal was taken back"
        );
        match said {
            Ok(None) => assert!(have < HELLO_BYTES, "a hello that never ends"),
            Ok(Some(shake)) => assert!(shake[..] == bytes[HELLO_HEAD_BYTES..HELLO_BYTES]),
            Err(error) => {
                assert!(have <= HELLO_HEAD_BYTES || refused.is_some(), "a late refusal");
                refused = Some(error);
                drop(error.to_string());
            }
        }
    }
    Ok(())
}

/// Any bytes are an offer, and both sides come to the same conclusion.
fn read_offers(u: &mut Unstructured<'_>) -> Result<()> {
    let (ours, bytes) = (any_offer(u)?, <[u8; Offer::BYTES]>::arbitrary(u)?);
    let theirs = Offer::decode(&bytes);
    assert_eq!(theirs.encode(), bytes, "{theirs:?} was read as something else");
    drop(theirs.to_string());
    let agreed = ours.agree(theirs);
    assert_eq!(agreed, theirs.agree(ours), "{ours} and {theirs}");
    if let Some(agreement) = agreed {
        for offer in [ours, theirs] {
            assert!((offer.oldest..=offer.newest).contains(&agreement.version));
            assert_eq!(
                agreement.features & !offer.features,
                0,
                "a feature that one has not"
            );
            assert_eq!(offer.needed & !agreement.features, 0, "a feature that one misses");
        }
    }
    Ok(())
}

/// A client dials somebody who challenges it and then says anything: it never takes that for a server.
fn hear_a_stranger(u: &mut Unstructured<'_>) -> Result<()> {
    let (volume, key) = (VolumeId(u.arbitrary()?), VolumeKey(u.arbitrary()?));
    let secret = Secret { volume, key: &key };
    let mut entropy = Entropy::new(u.arbitrary()?);
    let mut client = Initiator::new(any_offer(u)?);
    let mut challenge = <[u8; CHALLENGE_BYTES]>::arbitrary(u)?;
    let taken = client.take(&secret, &mut challenge);
    assert!(
        matches!(taken, Ok((Heard::Challenge, CHALLENGE_BYTES))),
        "{taken:?}"
    );
    let mut own = [0xa5; MESSAGE_BYTES_MAX];
    assert_eq!(client.hello(&secret, &mut entropy, &mut own), Some(HELLO_BYTES));
    // It says what it heard, or whatever comes to its mind.
    let mut reply = if u.arbitrary()? {
        own[HELLO_HEAD_BYTES..HELLO_BYTES].to_vec()
    } else {
        Vec::arbitrary(u)?
    };
    if u.ratio(1, 2)? {
        damage(u, &mut reply)?;
    }
    let length = reply.len();
    match client.take(&secret, &mut reply) {
        Ok((Heard::Nothing, 0)) => assert!(length < REPLY_BYTES, "a reply that never ends"),
        Ok(heard) => panic!("a stranger was taken for a server: {heard:?}"),
        Err(Broken) => {}
    }
    assert!(!client.is_open(), "a connection to a stranger is open");
    Ok(())
}
