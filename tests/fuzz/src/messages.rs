//! What comes in from a peer: a stream of frames of one that knows the key, some damaged, cut anywhere; or what is said before.

use arbitrary::{Arbitrary, Result, Unstructured};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::format::wire::{
    Command, Greeting, Message, RequestId, Status, Welcome, decode_pong, encode_pong, frame_length,
};

use crate::any::{any_greeting, any_ping_ms, any_welcome};
use crate::handshake;
use crate::mutate::damage;

/// Sends a few frames and reads them as a server or a client does; or what is said before, see [`handshake`].
pub fn run(u: &mut Unstructured<'_>) -> Result<()> {
    if u.ratio(1, 4)? {
        return handshake::run(u);
    }
    let mut stream = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let mut frame = any_frame(u)?;
        if u.ratio(3, 4)? {
            damage(u, &mut frame)?;
        }
        if u.ratio(1, 8)? {
            let length = u.int_in_range(0..=frame.len())?;
            frame.truncate(length);
        }
        stream.extend(frame);
    }
    read(&stream);
    Ok(())
}

pub(crate) fn any_frame(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if u.ratio(1, 8)? {
        return Vec::arbitrary(u);
    }
    let answer = u.arbitrary()?;
    let statuses = [
        Status::Ok,
        Status::WrongVolume,
        Status::WrongVersion,
        Status::Full,
        Status::Evicted,
        Status::Malformed,
        Status::UnknownCommand,
        Status::ServiceError,
    ];
    let commands = [
        Command::GREETING,
        Command::FAREWELL,
        Command::PING,
        Command::RESIGNING,
        Command::SERVICE,
    ];
    let body = any_body(u)?;
    let message = Message {
        command: *u.choose(&commands)?,
        answer,
        status: if answer { *u.choose(&statuses)? } else { Status::Ok },
        id: RequestId(u.arbitrary()?),
        released: RequestId(u.arbitrary()?),
        body: &body,
    };
    let mut bytes = vec![0xa5; MESSAGE_BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap_or(0);
    bytes.truncate(length);
    Ok(bytes)
}

fn any_body(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match u.int_in_range(0..=3)? {
        0 => {
            let mut body = [0xa5; Greeting::BYTES];
            any_greeting(u)?.encode(&mut body);
            Ok(body.to_vec())
        }
        1 => {
            let mut body = [0xa5; Welcome::BYTES];
            any_welcome(u)?.encode(&mut body);
            Ok(body.to_vec())
        }
        2 => Ok(encode_pong(any_ping_ms(u)?).to_vec()),
        _ => Vec::arbitrary(u),
    }
}

/// Reads whole frames from the front, until the rest is none yet or the stream makes no sense.
fn read(mut stream: &[u8]) {
    loop {
        let length = match frame_length(stream) {
            Ok(Some(length)) => length,
            Ok(None) => {
                assert!(stream.len() < MESSAGE_BYTES_MAX, "a frame that never ends");
                return;
            }
            Err(error) => return drop(error.to_string()),
        };
        assert!(length <= stream.len().min(MESSAGE_BYTES_MAX));
        match Message::decode(&stream[..length]) {
            Ok(message) => {
                let mut again = [0xa5; MESSAGE_BYTES_MAX];
                assert_eq!(message.encode(&mut again), Some(length));
                assert!(
                    again[..length] == stream[..length],
                    "{message:?} was read as something else"
                );
                read_body(message.body);
                stream = &stream[length..];
            }
            Err(error) => return drop(error.to_string()),
        }
    }
}

/// A body is read as what its command says; here as everything.
fn read_body(body: &[u8]) {
    if let Ok(greeting) = Greeting::decode(body) {
        let mut again = [0xa5; Greeting::BYTES];
        greeting.encode(&mut again);
        assert!(body == again, "{greeting:?} was read as something else");
    }
    if let Ok(welcome) = Welcome::decode(body) {
        let mut again = [0xa5; Welcome::BYTES];
        welcome.encode(&mut again);
        assert!(body == again, "{welcome:?} was read as something else");
    }
    if let Ok(ping_ms) = decode_pong(body) {
        assert!(ping_ms > 0, "a client that never says anything");
        assert!(
            body == encode_pong(ping_ms),
            "{ping_ms} was read as something else"
        );
    }
}
