//! The published vectors, and every way in which a handshake or a sealed frame can be tampered with.

use super::channel::{Channel, first_frame};
use super::suite::{ephemeral, split};
use super::*;
use crate::bounds::{MESSAGE_BYTES_MAX, SEALED_MAX};
use crate::format::hello::{HELLO_BYTES, REPLY_BYTES};
use crate::format::wire::{
    Command, FRAME_BYTES, LENGTH_BYTES, Message, RequestId, Status, TAG_BYTES, put_length,
};

const KEY: VolumeKey = VolumeKey([0x42; 32]);
const SECRET: Secret<'static> = Secret {
    volume: VolumeId([7; 16]),
    key: &KEY,
};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    core::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

/// `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s` of the vectors that cacophony published and that other implementations
/// (snow, noise-c) test themselves with.
#[test]
fn agrees_with_the_published_vectors() {
    let prologue: [u8; 9] = hex("4a6f686e2047616c74");
    let psk = hex("54686973206973206d7920417573747269616e20706572737065637469766521");
    let first = ephemeral(hex(
        "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    ));
    let second = ephemeral(hex(
        "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    ));
    let mut initiator = suite::handshake(true, &prologue, &psk, &first);
    let mut responder = suite::handshake(false, &prologue, &psk, &second);

    let payload: [u8; 16] = hex("4c756477696720766f6e204d69736573");
    let (mut sent, mut got) = ([0; 64], [0; 16]);
    initiator.write_message(&payload, &mut sent).unwrap();
    assert_eq!(
        sent,
        hex(concat!(
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944",
            "fda936bec35a8adfdff198386f7d5475880897edaaf7495314c99095a2e4d66a"
        ))
    );
    responder.read_message(&sent, &mut got).unwrap();
    assert_eq!(got, payload);

    let payload: [u8; 15] = hex("4d757272617920526f746862617264");
    let (mut sent, mut got) = ([0; 63], [0; 15]);
    responder.write_message(&payload, &mut sent).unwrap();
    assert_eq!(
        sent,
        hex(concat!(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843",
            "4cd2a371993ba41ea11448024fca32766b169183c9e691a7a433279da7e729"
        ))
    );
    initiator.read_message(&sent, &mut got).unwrap();
    assert_eq!(got, payload);
    assert_eq!(
        initiator.get_hash(),
        hex::<32>("b3e9c846d264120a4211e18307da91157a21e92e69b639c50f027f101db3e1a6")
    );
    sealed_like_the_vectors(&initiator, &responder);
}

fn sealed_like_the_vectors(initiator: &Handshake, responder: &Handshake) {
    use noise_protocol::Cipher;
    let (up, down) = split(initiator);
    assert_eq!((up, down), split(responder));
    // Said in turns, beginning with the initiator.
    let said: [(&Key, u64, &str, &str); 4] = [
        (
            &up,
            0,
            "462e20412e20486179656b",
            "bc44da303ae0beb08075fc4eb4e58235c67c2d1f53a4f2fff0bca7",
        ),
        (
            &down,
            0,
            "4361726c204d656e676572",
            "416d1af83e9fa6966ce4e871156b131aa9bd7e9a1d6f8794f4872a",
        ),
        (
            &up,
            1,
            "4a65616e2d426170746973746520536179",
            "8a7d81b77bcc6c072f2b807da066efba6b5fab9edf71a7faceb2c8454b0cfef608",
        ),
        (
            &down,
            1,
            "457567656e2042f6686d20766f6e2042617765726b",
            "1e2ee010f72894824a25a867664ff298f2548a145dc4e9d27b1cad83f32fa7c54d69dc3279",
        ),
    ];
    for (key, number, plain, sealed) in said {
        let length = plain.len() / 2;
        let mut text = [0; 64];
        for at in 0..length {
            text[at] = u8::from_str_radix(&plain[2 * at..2 * at + 2], 16).unwrap();
        }
        let bytes = suite::ChaChaPoly::encrypt_in_place(key, number, &[], &mut text, length);
        assert_eq!(bytes * 2, sealed.len());
        for at in 0..bytes {
            assert_eq!(
                text[at],
                u8::from_str_radix(&sealed[2 * at..2 * at + 2], 16).unwrap()
            );
        }
    }
}

use suite::Key;

/// Both sides of a connection, and the bytes of its handshake.
struct Pair {
    initiator: Initiator,
    responder: Responder,
    challenge: Challenge,
    hello: [u8; HELLO_BYTES],
    reply: [u8; REPLY_BYTES],
}

impl Pair {
    fn meet(seed: u8) -> Self {
        let mut entropy = (Entropy::new([seed; 32]), Entropy::new([seed ^ 0xff; 32]));
        let mut pair = Self {
            initiator: Initiator::new(Offer::OURS),
            responder: Responder::default(),
            challenge: [0; CHALLENGE_BYTES],
            hello: [0; HELLO_BYTES],
            reply: [0; REPLY_BYTES],
        };
        assert_eq!(
            pair.responder.challenge(&mut entropy.1, &mut pair.challenge),
            Some(CHALLENGE_BYTES)
        );
        let mut bytes = pair.challenge;
        assert!(matches!(
            pair.initiator.take(&SECRET, &mut bytes),
            Ok((Heard::Challenge, CHALLENGE_BYTES))
        ));
        assert_eq!(
            pair.initiator.hello(&SECRET, &mut entropy.0, &mut pair.hello),
            Some(HELLO_BYTES)
        );
        let mut bytes = pair.hello;
        assert!(matches!(
            pair.responder.take(&SECRET, &mut bytes),
            Ok((Arrived::Hello, HELLO_BYTES))
        ));
        let replied = pair
            .responder
            .reply(&SECRET, Offer::OURS, &mut entropy.1, &mut pair.reply);
        assert_eq!(replied, Some((REPLY_BYTES, None)));
        let mut bytes = pair.reply;
        assert!(!pair.initiator.is_open());
        assert!(matches!(
            pair.initiator.take(&SECRET, &mut bytes),
            Ok((Heard::Reply(Offer::OURS), REPLY_BYTES))
        ));
        assert!(pair.initiator.is_open());
        pair
    }

    /// A server's side that has sent the challenge of this pair, or another one.
    fn challenged(&self, challenge: Challenge) -> Responder {
        Responder::Challenged(challenge)
    }

    /// The frame that the client says next.
    fn say(&mut self, id: u64) -> ([u8; MESSAGE_BYTES_MAX], usize) {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = message(id).encode(&mut bytes).unwrap();
        let length = self.initiator.seal(&mut bytes, length).unwrap();
        (bytes, length)
    }
}

fn message(id: u64) -> Message<'static> {
    Message {
        command: Command::SERVICE,
        answer: false,
        status: Status::Ok,
        id: RequestId(id),
        released: RequestId(1),
        body: b"the body",
    }
}

fn opened(responder: &mut Responder, bytes: &mut [u8]) -> Result<u64, Broken> {
    match responder.take(&SECRET, bytes)? {
        (Arrived::Frame(frame), _) => Ok(Message::decode(frame).unwrap().id.0),
        (arrived, _) => panic!("{arrived:?} is no frame"),
    }
}

#[test]
fn what_is_said_is_heard_in_both_directions_and_not_seen_on_the_way() {
    let mut pair = Pair::meet(1);
    for id in 1..4 {
        let (mut bytes, length) = pair.say(id);
        assert!(!bytes.windows(8).any(|window| window == b"the body"));
        assert_eq!(opened(&mut pair.responder, &mut bytes[..length]), Ok(id));
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = message(id).encode(&mut bytes).unwrap();
        let length = pair.responder.seal(&mut bytes, length).unwrap();
        let (heard, used) = pair.initiator.take(&SECRET, &mut bytes[..length]).unwrap();
        assert_eq!(used, length);
        let Heard::Frame(frame) = heard else {
            panic!("{heard:?} is no frame");
        };
        assert_eq!(Message::decode(frame), Ok(message(id)));
    }
}

#[test]
fn every_changed_byte_of_the_handshake_ends_it() {
    let pair = Pair::meet(1);
    for at in 0..HELLO_BYTES {
        let mut bytes = pair.hello;
        bytes[at] ^= 1 << (at % 8);
        let verdict = pair.challenged(pair.challenge).take(&SECRET, &mut bytes).err();
        assert_eq!(verdict, Some(Broken), "byte {at} of the hello");
    }
    for at in 0..REPLY_BYTES {
        let mut entropy = Entropy::new([1; 32]);
        let mut initiator = Initiator::new(Offer::OURS);
        let (mut challenge, mut hello) = (pair.challenge, [0; HELLO_BYTES]);
        assert!(initiator.take(&SECRET, &mut challenge).is_ok());
        assert!(initiator.hello(&SECRET, &mut entropy, &mut hello).is_some());
        assert_eq!(hello, pair.hello, "the same dice");
        let mut bytes = pair.reply;
        // The top bit of a public key is not looked at (RFC 7748), but it is authenticated.
        bytes[at] ^= if at == 31 { 0x80 } else { 1 << (at % 8) };
        let verdict = initiator.take(&SECRET, &mut bytes).err();
        assert_eq!(verdict, Some(Broken), "byte {at} of the reply");
        assert!(!initiator.is_open());
    }
}

#[test]
fn a_hello_is_good_for_one_challenge_one_volume_and_one_key() {
    let pair = Pair::meet(1);
    let good = |secret: &Secret<'_>, challenge| {
        let mut hello = pair.hello;
        pair.challenged(challenge).take(secret, &mut hello).is_ok()
    };
    assert!(good(&SECRET, pair.challenge));
    let mut later = pair.challenge;
    later[0] ^= 1;
    assert!(!good(&SECRET, later), "replayed on another connection");
    let elsewhere = Secret {
        volume: VolumeId([8; 16]),
        ..SECRET
    };
    assert!(!good(&elsewhere, pair.challenge));
    let key = VolumeKey([0x43; 32]);
    assert!(!good(&Secret { key: &key, ..SECRET }, pair.challenge));
}

#[test]
fn what_comes_before_its_time_ends_the_connection() {
    let secret = &SECRET;
    let mut silent = Responder::default();
    assert!(silent.take(secret, &mut [0]).is_err(), "before the challenge");
    assert!(silent.take(secret, &mut []).is_ok());
    let pair = Pair::meet(1);
    let mut proven = pair.challenged(pair.challenge);
    let mut hello = pair.hello;
    assert!(proven.take(secret, &mut hello).is_ok());
    assert!(proven.take(secret, &mut [0]).is_err(), "before the reply");
    let mut initiator = Initiator::new(Offer::OURS);
    let mut challenge = pair.challenge;
    assert!(initiator.take(secret, &mut challenge).is_ok());
    assert!(matches!(initiator.take(secret, &mut []), Ok((Heard::Nothing, 0))));
    assert!(initiator.take(secret, &mut [0]).is_err(), "before the hello");
    assert_eq!(
        initiator.seal(&mut [0; 100], 24),
        None,
        "nothing is said in clear text"
    );
    assert_eq!(proven.seal(&mut [0; 100], 24), None);
}

#[test]
fn every_message_of_the_handshake_waits_until_it_is_whole() {
    let pair = Pair::meet(1);
    for have in 0..HELLO_BYTES {
        let mut hello = pair.hello;
        let mut responder = pair.challenged(pair.challenge);
        let taken = responder.take(&SECRET, &mut hello[..have]);
        assert!(matches!(taken, Ok((Arrived::Nothing, 0))), "{have} bytes");
    }
    for have in 0..CHALLENGE_BYTES {
        let mut challenge = pair.challenge;
        let mut initiator = Initiator::new(Offer::OURS);
        let taken = initiator.take(&SECRET, &mut challenge[..have]);
        assert!(matches!(taken, Ok((Heard::Nothing, 0))), "{have} bytes");
    }
}

#[test]
fn every_changed_byte_of_a_frame_is_refused() {
    let mut pair = Pair::meet(1);
    let (bytes, length) = pair.say(1);
    for at in 0..length {
        for change in [1 << (at % 8), 0xff] {
            let mut bytes = bytes;
            bytes[at] ^= change;
            // A longer length waits for the rest.
            let taken = pair.responder.clone().take(&SECRET, &mut bytes[..length]);
            let refused = matches!(taken, Err(Broken) | Ok((Arrived::Nothing, 0)));
            assert!(refused, "byte {at} changed: {taken:?}");
        }
    }
}

#[test]
fn frames_of_another_place_direction_or_session_are_refused() {
    let mut pair = Pair::meet(1);
    let (first, length) = pair.say(1);
    let (second, _) = pair.say(2);
    let take = |responder: &Responder, frame: [u8; MESSAGE_BYTES_MAX]| {
        let mut frame = frame;
        opened(&mut responder.clone(), &mut frame[..length])
    };
    assert_eq!(take(&pair.responder, second), Err(Broken), "one was left out");
    let mut bytes = first;
    assert_eq!(opened(&mut pair.responder, &mut bytes[..length]), Ok(1));
    assert_eq!(take(&pair.responder, first), Err(Broken), "a second time");
    assert_eq!(take(&pair.responder, second), Ok(2));
    let mut back = second;
    let heard = pair.initiator.take(&SECRET, &mut back[..length]);
    assert!(heard.is_err(), "thrown back at who said it");
    assert_eq!(
        take(&Pair::meet(2).responder, first),
        Err(Broken),
        "of a past session"
    );
}

#[test]
fn a_frame_too_short_for_its_tag_is_refused() {
    let pair = Pair::meet(1);
    for length in 24..24 + TAG_BYTES {
        let mut bytes = [0; 64];
        bytes[0] = length as u8;
        let taken = pair.responder.clone().take(&SECRET, &mut bytes[..length]);
        assert!(taken.is_err(), "{length} bytes");
    }
}

#[test]
fn what_was_sealed_rightly_is_refused_if_it_is_too_short_or_the_key_is_worn_out() {
    use noise_protocol::Cipher;
    let key = [2; 32];
    let opens = |number: u32, length: usize| {
        let mut bytes = [0; 64];
        put_length(&mut bytes, length);
        let text = &mut bytes[LENGTH_BYTES..];
        let plain = length - LENGTH_BYTES - TAG_BYTES;
        suite::ChaChaPoly::encrypt_in_place(&key, number.into(), &[], text, plain);
        let mut channel = Channel::new([1; 32], key);
        if number == SEALED_MAX {
            channel.wear_out();
        }
        first_frame(Some(&mut channel), &mut bytes[..length]).is_ok()
    };
    let shortest = FRAME_BYTES + TAG_BYTES;
    assert!(opens(0, shortest));
    assert!(!opens(0, shortest - 1));
    assert!(!opens(0, FRAME_BYTES));
    assert!(!opens(SEALED_MAX, shortest));
}

#[test]
fn keys_that_are_worn_out_open_nothing_more() {
    let (one, other) = ([1; 32], [2; 32]);
    let mut sender = Channel::new(one, other);
    let mut receiver = Channel::new(other, one);
    for worn in [false, true] {
        let mut buffer = [0; 64];
        let length = sender.seal(&mut buffer, 24).unwrap();
        if worn {
            receiver.wear_out();
        }
        let opened = first_frame(Some(&mut receiver), &mut buffer[..length]);
        assert_eq!(opened.is_err(), worn);
    }
}

#[test]
fn keys_that_are_worn_out_seal_nothing_more() {
    let mut channel = Channel::new([1; 32], [2; 32]);
    let mut buffer = [0; 64];
    assert_eq!(channel.seal(&mut buffer, 24), Some(40));
    channel.wear_out();
    assert_eq!(channel.seal(&mut buffer, 24), None);
}

#[test]
fn there_is_room_for_the_tag_or_nothing_is_sealed() {
    let mut channel = Channel::new([1; 32], [2; 32]);
    let mut buffer = [0; MESSAGE_BYTES_MAX + TAG_BYTES];
    let longest = MESSAGE_BYTES_MAX - TAG_BYTES;
    assert_eq!(channel.seal(&mut buffer, longest), Some(MESSAGE_BYTES_MAX));
    assert_eq!(channel.seal(&mut buffer, longest + 1), None);
    assert_eq!(channel.seal(&mut buffer[..39], 24), None);
    assert_eq!(channel.seal(&mut buffer[..40], 24), Some(40));
}

#[test]
fn those_who_speak_nothing_in_common_both_know_what_the_other_speaks() {
    let newer = Offer {
        oldest: 8,
        newest: 9,
        ..Offer::OURS
    };
    let mut entropy = Entropy::new([3; 32]);
    let (mut initiator, mut responder) = (Initiator::new(newer), Responder::default());
    let mut bytes = [0; MESSAGE_BYTES_MAX];
    let length = responder.challenge(&mut entropy, &mut bytes).unwrap();
    initiator.take(&SECRET, &mut bytes[..length]).unwrap();
    let length = initiator.hello(&SECRET, &mut entropy, &mut bytes).unwrap();
    responder.take(&SECRET, &mut bytes[..length]).unwrap();
    let replied = responder.reply(&SECRET, Offer::OURS, &mut entropy, &mut bytes);
    assert_eq!(replied, Some((REPLY_BYTES, Some(newer))));
    let heard = initiator.take(&SECRET, &mut bytes[..REPLY_BYTES]).unwrap().0;
    assert!(matches!(heard, Heard::Reply(Offer::OURS)));
    assert!(
        responder.take(&SECRET, &mut [0]).is_err(),
        "nothing more is heard"
    );
    assert_eq!(responder.seal(&mut bytes, 24), None, "and nothing said");
}

#[test]
fn versions_and_features_that_agree() {
    let offer = |oldest, newest, features, needed| Offer {
        oldest,
        newest,
        features,
        needed,
    };
    type Case = (Offer, Offer, Option<(u16, u16)>);
    let table: [Case; 9] = [
        (offer(1, 1, 0, 0), offer(1, 1, 0, 0), Some((1, 0))),
        (offer(1, 3, 0, 0), offer(2, 5, 0, 0), Some((3, 0))),
        (offer(1, 3, 0, 0), offer(3, 5, 0, 0), Some((3, 0))),
        (offer(1, 2, 0, 0), offer(3, 5, 0, 0), None),
        (offer(2, 1, 0, 0), offer(1, 5, 0, 0), None),
        (offer(1, 1, 0b0111, 0), offer(1, 1, 0b1101, 0), Some((1, 0b0101))),
        (offer(1, 1, 0b11, 0b10), offer(1, 1, 0b10, 0), Some((1, 0b10))),
        (offer(1, 1, 0b11, 0b01), offer(1, 1, 0b10, 0), None),
        (offer(1, 1, 0b00, 0b01), offer(1, 1, 0b01, 0), None),
    ];
    for (one, other, expected) in table {
        let agreed = |a: Offer, b: Offer| a.agree(b).map(|agreed| (agreed.version, agreed.features));
        assert_eq!(agreed(one, other), expected, "{one:?} and {other:?}");
        assert_eq!(
            agreed(other, one),
            expected,
            "both sides come to the same conclusion"
        );
        assert_eq!(Offer::decode(&one.encode()), one);
    }
}
