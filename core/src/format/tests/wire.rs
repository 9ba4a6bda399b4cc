//! Messages: early and late refusals, truncation, every changed byte.

use std::string::ToString;

use super::*;
use crate::bounds::MESSAGE_BYTES_MAX;
use crate::format::VERSION;
use crate::format::hello::{HANDSHAKE, HELLO_BYTES, Offer, SHAKE_BYTES, hello, hello_head};
use crate::format::wire::{
    BODY_BYTES_MAX, Command, FRAME_BYTES, Greeting, Message, RequestId, Status, TAG_BYTES, Welcome,
    WireError, frame_length,
};

pub(super) fn sample_answer() -> Message<'static> {
    Message {
        command: Command::FAREWELL,
        answer: true,
        status: Status::Evicted,
        id: RequestId(0x0102_0304_0506_0708),
        released: RequestId(0x0102_0304_0506_0707),
        body: &[1, 2, 3, 4, 5],
    }
}

pub(super) fn sample_greeting() -> Greeting {
    Greeting {
        volume: VOLUME,
        format: VERSION,
        rid: rid(0x0505),
        voter: true,
        farewell: false,
        server: Some(ballot(7, LEADER)),
        host: HostId(0x77),
        boot: BOOT,
        addr: Some(([10, 0, 0, 5], 7000).into()),
        fence_param: fence_param(),
    }
}

pub(super) fn sample_welcome() -> Welcome {
    Welcome {
        server: ballot(7, LEADER),
        barrier: 3,
        voter: true,
        known: true,
        ping_ms: 1_000,
    }
}

/// The sample frame at the beginning of a buffer that no frame can fill, and its length.
fn sample_bytes() -> ([u8; MESSAGE_BYTES_MAX], usize) {
    let mut bytes = [0; MESSAGE_BYTES_MAX];
    let length = sample_answer().encode(&mut bytes).expect("room enough");
    (bytes, length)
}

/// What the decoder says of the sample with some bytes replaced.
fn tampered(offset: usize, replacement: &[u8]) -> Result<(), WireError> {
    let (mut bytes, length) = sample_bytes();
    bytes[offset..offset + replacement.len()].copy_from_slice(replacement);
    Message::decode(&bytes[..length]).map(drop)
}

#[test]
fn a_message_is_consumed_when_it_is_whole_and_not_before() {
    let (bytes, length) = sample_bytes();
    for have in 0..length {
        assert_eq!(frame_length(&bytes[..have]), Ok(None), "{have} bytes");
    }
    for have in length..bytes.len() {
        assert_eq!(frame_length(&bytes[..have]), Ok(Some(length)));
    }
    assert_eq!(Message::decode(&bytes[..length]), Ok(sample_answer()));
}

#[test]
fn two_messages_in_a_row_come_out_one_after_the_other() {
    let (mut bytes, first) = sample_bytes();
    let ping = Message {
        command: Command::PING,
        answer: false,
        status: Status::Ok,
        id: RequestId(0),
        released: RequestId(4),
        body: &[],
    };
    let second = ping.encode(&mut bytes[first..]).expect("room enough");
    assert_eq!(second, FRAME_BYTES);
    assert_eq!(frame_length(&bytes), Ok(Some(first)));
    assert_eq!(frame_length(&bytes[first..]), Ok(Some(second)));
    assert_eq!(Message::decode(&bytes[first..first + second]), Ok(ping));
}

#[test]
fn an_impossible_length_is_refused_as_soon_as_it_shows() {
    for length in [0u16, 23, 1025, u16::MAX] {
        let (mut bytes, _) = sample_bytes();
        bytes[..2].copy_from_slice(&length.to_le_bytes());
        assert_eq!(frame_length(&bytes[..1]), Ok(None));
        for have in 2..bytes.len() {
            let expected = WireError::Length(length.into());
            assert_eq!(frame_length(&bytes[..have]), Err(expected), "{have} bytes");
        }
    }
    assert_eq!(Message::decode(&[0; 23]), Err(WireError::Length(23)));
}

#[test]
fn what_cannot_be_a_hello_is_refused_as_soon_as_it_shows() {
    let mut good = [0xa5; 100];
    good[..4].copy_from_slice(&hello_head(HANDSHAKE));
    for have in 0..HELLO_BYTES {
        assert_eq!(hello(&good[..have]), Ok(None), "{have} bytes");
    }
    assert_eq!(hello(&good), Ok(Some(&[0xa5; SHAKE_BYTES])));
    let table: [(usize, &[u8], usize, WireError); 2] = [
        (0, b"GE", 2, WireError::Magic(0x4547)),
        (2, &[9, 0], 4, WireError::Handshake(9)),
    ];
    for (offset, replacement, shown_at, error) in table {
        let mut bytes = good;
        bytes[offset..offset + 2].copy_from_slice(replacement);
        for have in 0..shown_at {
            assert_eq!(hello(&bytes[..have]), Ok(None), "{error} with {have} bytes");
        }
        for have in shown_at..good.len() {
            assert_eq!(hello(&bytes[..have]), Err(error), "{error} with {have} bytes");
        }
    }
}

#[test]
fn impossible_frame_fields() {
    for (offset, replacement, error) in [
        (4, &[8, 0][..], WireError::Field("status")),
        (4, &[0xff, 0xff], WireError::Field("status")),
        (6, &[0, 0], WireError::Field("status")),
        (6, &[2, 0], WireError::Field("flags")),
        (6, &[1, 0x80], WireError::Field("flags")),
    ] {
        assert_eq!(tampered(offset, replacement), Err(error));
    }
    // Commands and numbers of requests are for the session to judge.
    assert_eq!(tampered(2, &[0xff, 0xff]), Ok(()));
    assert_eq!(tampered(8, &[0; 16]), Ok(()));
}

#[test]
fn every_status_comes_back() {
    let all = [
        Status::Ok,
        Status::WrongVolume,
        Status::WrongVersion,
        Status::Full,
        Status::Evicted,
        Status::Malformed,
        Status::UnknownCommand,
        Status::ServiceError,
    ];
    for (number, status) in all.into_iter().enumerate() {
        let mut bytes = [0; 64];
        let message = Message {
            status,
            ..sample_answer()
        };
        let length = message.encode(&mut bytes).expect("room enough");
        assert_eq!(usize::from(bytes[4]), number);
        assert_eq!(Message::decode(&bytes[..length]), Ok(message));
    }
}

#[test]
fn what_does_not_fit_is_not_encoded() {
    let body = [7; MESSAGE_BYTES_MAX];
    let mut out = [0; 2 * MESSAGE_BYTES_MAX];
    let mut encoded = |body_bytes: usize, out_bytes: usize| {
        let message = Message {
            body: &body[..body_bytes],
            ..sample_answer()
        };
        message.encode(&mut out[..out_bytes])
    };
    let longest = MESSAGE_BYTES_MAX - TAG_BYTES;
    assert_eq!(encoded(BODY_BYTES_MAX, longest), Some(longest));
    assert_eq!(encoded(BODY_BYTES_MAX, longest - 1), None);
    assert_eq!(encoded(BODY_BYTES_MAX + 1, 2 * MESSAGE_BYTES_MAX), None);
    assert_eq!(encoded(0, FRAME_BYTES), Some(FRAME_BYTES));
    assert_eq!(encoded(0, FRAME_BYTES - 1), None);
}

#[test]
#[should_panic(expected = "only answers have a status")]
fn a_request_with_a_status_is_never_sent() {
    let message = Message {
        answer: false,
        ..sample_answer()
    };
    let _ = message.encode(&mut [0; 64]);
}

#[test]
fn impossible_greetings() {
    let mut good = [0; Greeting::BYTES];
    sample_greeting().encode(&mut good);
    for (offset, replacement, name) in [
        (18, &[4][..], "flags"),
        (20, &[1], "reserved_20"),
        (24, &[0; 8], "rid"),
        (32, &[0; 8], "server"),
        (40, &[0; 8], "server"),
        (32, &[0xff; 8], "server"),
        (72, &[7], "addr.family"),
        (76, &[1], "addr.scope"),
    ] {
        let mut bytes = good;
        bytes[offset..offset + replacement.len()].copy_from_slice(replacement);
        assert_eq!(Greeting::decode(&bytes), Err(WireError::Field(name)));
    }
    assert_eq!(Greeting::decode(&good[1..]), Err(WireError::Length(135)));
    assert_eq!(Greeting::decode(&[0; 137]), Err(WireError::Length(137)));
    assert_eq!(Greeting::decode(&[]), Err(WireError::Length(0)));
}

#[test]
fn a_greeting_of_another_version_or_volume_is_still_read() {
    let odd = Greeting {
        volume: VolumeId([0; 16]),
        format: 77,
        ..sample_greeting()
    };
    let mut bytes = [0; Greeting::BYTES];
    odd.encode(&mut bytes);
    assert_eq!(Greeting::decode(&bytes), Ok(odd));
}

#[test]
fn impossible_welcomes() {
    let mut good = [0; Welcome::BYTES];
    sample_welcome().encode(&mut good);
    for (offset, replacement, name) in [
        (0, &[0; 16][..], "server"),
        (0, &[0; 8], "server"),
        (8, &[0; 8], "server"),
        (24, &[4], "flags"),
        (26, &[0, 0], "ping_ms"),
        (28, &[1], "reserved_28"),
        (31, &[1], "reserved_28"),
    ] {
        let mut bytes = good;
        bytes[offset..offset + replacement.len()].copy_from_slice(replacement);
        assert_eq!(Welcome::decode(&bytes), Err(WireError::Field(name)));
    }
    assert_eq!(Welcome::decode(&good[..31]), Err(WireError::Length(31)));
}

#[test]
fn wire_errors_say_what_was_found_and_what_was_expected() {
    for (error, text) in [
        (
            WireError::Magic(0x4547),
            "not an ostrakon message (magic 4547, expected 536f)",
        ),
        (
            WireError::Handshake(HANDSHAKE + 1),
            "handshake 2, this build speaks 1",
        ),
        (WireError::Field("status"), "field status has an impossible value"),
    ] {
        assert_eq!(error.to_string(), text);
    }
    assert!(
        WireError::Length(7)
            .to_string()
            .starts_with("impossible length 7 ")
    );
}

#[test]
fn an_offer_reads_as_what_it_offers() {
    let offer = |oldest, newest, features, needed| Offer {
        oldest,
        newest,
        features,
        needed,
    };
    for (offer, text) in [
        (offer(2, 2, 0, 0), "wire version 2"),
        (offer(1, 3, 0, 0), "wire versions 1 to 3"),
        (
            offer(1, 1, 6, 0),
            "wire version 1 with features 0x0006, of which it needs 0x0000",
        ),
        (
            offer(1, 1, 0, 4),
            "wire version 1 with features 0x0000, of which it needs 0x0004",
        ),
    ] {
        assert_eq!(offer.to_string(), text);
    }
}
