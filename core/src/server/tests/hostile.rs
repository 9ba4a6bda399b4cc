//! Whatever comes in on the port harms nobody but the connection it came on.

extern crate std;

use std::vec::Vec;

use crate::bounds::{GREETING_TIMEOUT, GUEST_TIMEOUT, MESSAGE_BYTES_MAX, STRANGER_GRACE, STRANGERS_MAX};
use crate::event::Event;
use crate::format::hello::{CHALLENGE_BYTES, HELLO_BYTES, Offer, REPLY_BYTES, hello_head};
use crate::format::wire::{Command, Greeting, Message, PONG_BYTES, RequestId, Status, Welcome, frame_length};
use crate::format::{FenceParam, VERSION};
use crate::ids::{BootId, HostId, Rid, VolumeId};
use crate::noise::{Entropy, Initiator, Secret};
use crate::session::disk::VOLUME;
use crate::session::world::{ADD, STRANGERS, World, addr};
use crate::time::{Duration, Instant};

pub(super) fn frame(command: Command, id: u64, body: &[u8]) -> Vec<u8> {
    let message = Message {
        command,
        answer: false,
        status: Status::Ok,
        id: RequestId(id),
        released: RequestId(1),
        body,
    };
    let mut bytes = std::vec![0; MESSAGE_BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

pub(super) fn greeting(rid: u64, change: impl FnOnce(&mut Greeting)) -> Vec<u8> {
    let mut greeting = Greeting {
        volume: VOLUME,
        format: VERSION,
        rid: Rid::new(rid).unwrap(),
        voter: false,
        farewell: false,
        server: None,
        host: HostId(0),
        boot: BootId([0; 16]),
        addr: None,
        fence_param: FenceParam::default(),
    };
    change(&mut greeting);
    let mut body = [0; Greeting::BYTES];
    greeting.encode(&mut body);
    frame(Command::GREETING, 0, &body)
}

fn status(bytes: &[u8]) -> Option<Status> {
    let length = frame_length(bytes).unwrap()?;
    Some(Message::decode(&bytes[..length]).unwrap().status)
}

/// A world with a server at 0 and a plain client at 1 that must not notice anything.
pub(super) fn world() -> World {
    let mut world = World::with_voters(1, 1);
    world.plain();
    world.settle();
    world
}

pub(super) fn undisturbed(world: &mut World) {
    let before = world.server(0).service().executed;
    world.submit(1, ADD, &[0]);
    world.settle();
    assert_eq!(world.server(0).service().executed, before + 1);
    let disconnected = |event: &Event| matches!(event, Event::Disconnected { .. } | Event::ClientEvicted(_));
    assert!(!world.nodes[1].events.iter().any(disconnected));
    assert!(!world.nodes[0].events.iter().any(disconnected));
}

#[test]
fn hole_12_a_port_scan_is_nobodys_problem() {
    let mut world = world();
    let scanned: Vec<_> = (0..3 * STRANGERS).map(|_| world.raw(0).unwrap()).collect();
    world.settle();
    let open = |world: &World| scanned.iter().filter(|&&raw| !world.wires[raw].closed).count();
    assert_eq!(open(&world), STRANGERS, "the oldest made room");
    undisturbed(&mut world);
    let late = world.plain();
    world.settle();
    assert!(world.is_connected(late), "a client gets through");
    world.pass(Duration::from_millis(1_999));
    assert!(open(&world) > 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(open(&world), 0);
    undisturbed(&mut world);
}

#[test]
fn a_stranger_goes_at_its_time_whatever_else_is_due() {
    let mut world = world();
    world.pass(Duration::from_millis(100));
    let came = world.now;
    let raw = world.raw(0).unwrap();
    while !world.wires[raw].closed {
        let next = world.server(0).next_deadline().unwrap();
        let time = next.since(world.now);
        assert!(time > Duration::ZERO);
        world.pass(time);
    }
    assert_eq!(world.now, came + GREETING_TIMEOUT);
}

#[test]
fn whoever_has_a_queue_outside_hears_when_the_door_is_full_and_when_it_is_not() {
    let mut world = world();
    for _ in 0..STRANGERS {
        let now = world.now;
        assert!(world.server(0).may_accept(now));
        world.raw(0).unwrap();
    }
    let full = world.now;
    assert!(!world.server(0).may_accept(full));
    // STRANGERS are more than those for whom the time is meant.
    let grace = STRANGER_GRACE
        .times(STRANGERS as u64)
        .divided(STRANGERS_MAX as u16);
    let (before, then) = (Instant(full.0 + grace.0 - 1), full + grace);
    assert!(!world.server(0).may_accept(before));
    assert!(world.server(0).may_accept(then), "the oldest had its time");
    world.server(0).stop(full, false);
    assert!(world.server(0).may_accept(full), "whoever comes now is sent away");
}

/// The hello of one who knows the key, to the challenge that came in.
pub(super) fn hello(world: &mut World, raw: usize) -> Vec<u8> {
    let state = world.super_block();
    let secret = Secret {
        volume: state.volume,
        key: &state.key,
    };
    let mut challenge = world.heard(raw);
    let mut line = Initiator::new(Offer::OURS);
    assert!(line.take(&secret, &mut challenge).is_ok());
    let mut bytes = std::vec![0; HELLO_BYTES];
    let length = line.hello(&secret, &mut Entropy::new([9; 32]), &mut bytes);
    assert_eq!(length, Some(HELLO_BYTES));
    bytes
}

#[test]
fn a_stranger_hears_nothing_but_a_few_bytes_that_nobody_can_tell_from_noise() {
    let mut world = world();
    let raws = [world.raw(0).unwrap(), world.raw(0).unwrap()];
    world.settle();
    let heard = raws.map(|raw| world.heard(raw));
    assert_eq!(heard.each_ref().map(Vec::len), [CHALLENGE_BYTES; 2]);
    assert_ne!(heard[0], heard[1]);
    world.pass(Duration::from_secs(2));
    for raw in raws {
        assert!(world.heard(raw).is_empty());
        assert!(world.wires[raw].closed);
    }
}

#[test]
fn slow_bytes_do_not_buy_time() {
    let mut world = world();
    let raw = world.raw(0).unwrap();
    world.settle();
    let bytes = hello(&mut world, raw);
    for byte in &bytes[..20] {
        assert!(!world.wires[raw].closed);
        world.say_raw(raw, &[*byte]);
        world.pass(Duration::from_millis(101));
    }
    assert!(world.wires[raw].closed);
}

#[test]
fn one_who_knows_the_key_and_does_not_greet_does_not_stay() {
    let mut world = world();
    let guests: Vec<_> = (0..3).map(|_| world.insider(0)).collect();
    world.pass(GUEST_TIMEOUT - Duration::from_millis(1));
    assert!(guests.iter().all(|&raw| !world.wires[raw].closed));
    world.pass(Duration::from_secs(1));
    assert!(guests.iter().all(|&raw| world.wires[raw].closed));
    undisturbed(&mut world);
}

#[test]
fn what_a_stranger_says_closes_its_own_connection_only() {
    let table: [(&str, Vec<u8>); 6] = [
        ("noise", std::vec![0xa5; 2_000]),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("another handshake", [b"oS".as_slice(), &[2, 0]].concat()),
        (
            "a hello without the key",
            [&hello_head(1), [0x77; HELLO_BYTES - 4].as_slice()].concat(),
        ),
        ("a greeting in clear text", greeting(99, |_| {})),
        ("a ping in clear text", frame(Command::PING, 0, &[])),
    ];
    for (what, bytes) in table {
        let mut world = world();
        let raw = world.raw(0).unwrap();
        world.settle();
        assert_eq!(world.heard(raw).len(), CHALLENGE_BYTES);
        world.say(raw, &bytes);
        world.settle();
        assert!(world.wires[raw].closed, "{what}");
        assert!(world.heard(raw).is_empty(), "{what}: no word about why");
        assert_eq!(world.recorded(), [1, 2], "{what}");
        undisturbed(&mut world);
    }
}

#[test]
fn garbage_of_an_insider_closes_its_own_connection_only() {
    let zero_rid = {
        let mut body = [0; Greeting::BYTES];
        body[..16].fill(7);
        frame(Command::GREETING, 0, &body)
    };
    let table: [(&str, Vec<u8>); 5] = [
        ("a short greeting", frame(Command::GREETING, 0, &[0; 8])),
        ("a greeting from nobody", zero_rid),
        ("a ping before the greeting", frame(Command::PING, 0, &[])),
        ("a farewell before the greeting", frame(Command::FAREWELL, 1, &[])),
        ("a request before the greeting", frame(ADD, 1, &[1])),
    ];
    for (what, bytes) in table {
        let mut world = world();
        let raw = world.insider(0);
        world.say(raw, &bytes);
        world.settle();
        assert!(world.wires[raw].closed, "{what}");
        assert_eq!(world.recorded(), [1, 2], "{what}");
        undisturbed(&mut world);
    }
    let lengths: [&[u8]; 4] = [&[0xff, 0xff], &[0, 0], &[23, 0], &[1, 4]];
    for length in lengths {
        let mut world = world();
        let raw = world.insider(0);
        world.say_raw(raw, length);
        world.settle();
        assert!(world.wires[raw].closed, "length {length:?}");
        undisturbed(&mut world);
    }
}

#[test]
fn misbehaviour_after_the_greeting_closes_the_connection_only() {
    let answer = {
        let message = Message {
            command: ADD,
            answer: true,
            status: Status::Ok,
            id: RequestId(1),
            released: RequestId(1),
            body: &[],
        };
        let mut bytes = std::vec![0; 100];
        let length = message.encode(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    };
    let table: [(&str, Vec<u8>); 6] = [
        ("a request without a number", frame(ADD, 0, &[1])),
        ("a request beyond the window", frame(ADD, 5, &[1])),
        (
            "a farewell beyond the window",
            frame(Command::FAREWELL, u64::MAX, &[]),
        ),
        ("an answer to nothing", answer),
        ("a greeting from another client", greeting(98, |_| {})),
        ("a greeting that is none", frame(Command::GREETING, 0, &[1])),
    ];
    for (what, bytes) in table {
        let mut world = world();
        let raw = world.insider(0);
        world.say(raw, &greeting(99, |_| {}));
        world.settle();
        assert_eq!(status(&world.heard(raw)), Some(Status::Ok), "{what}");
        world.say(raw, &bytes);
        world.settle();
        assert!(world.wires[raw].closed, "{what}");
        assert!(world.recorded().contains(&99), "{what}: it is still mounted");
        assert_eq!(world.server(0).service().executed, 0, "{what}");
        undisturbed(&mut world);
    }
}

#[test]
fn requests_before_the_welcome_close_the_connection() {
    let mut world = world();
    world.disk.hung = true;
    let raw = world.insider(0);
    world.say(raw, &greeting(99, |_| {}));
    world.say(raw, &frame(ADD, 1, &[1]));
    world.settle();
    assert!(world.wires[raw].closed);
}

#[test]
fn greetings_that_cannot_be_accepted_are_answered_with_the_reason() {
    type Change = fn(&mut Greeting);
    let table: [(Change, Status); 4] = [
        (
            |greeting| greeting.volume = VolumeId([8; 16]),
            Status::WrongVolume,
        ),
        (|greeting| greeting.format = VERSION + 1, Status::WrongVersion),
        (|greeting| greeting.voter = true, Status::Malformed),
        (
            |greeting| {
                greeting.server = Some(crate::ids::Ballot {
                    term: crate::ids::Term(1),
                    rid: greeting.rid,
                });
            },
            Status::Evicted,
        ),
    ];
    for (change, expected) in table {
        let mut world = world();
        let raw = world.insider(0);
        world.say(raw, &greeting(99, change));
        world.settle();
        assert_eq!(status(&world.heard(raw)), Some(expected));
        assert_eq!(world.recorded(), [1, 2]);
        world.pass(Duration::from_secs(3));
        assert!(world.wires[raw].closed, "and it does not stay");
    }
}

#[test]
fn a_repeated_greeting_on_one_connection_is_answered_again() {
    let mut world = world();
    let raw = world.insider(0);
    for _ in 0..2 {
        world.say(raw, &greeting(99, |_| {}));
        world.settle();
        assert_eq!(status(&world.heard(raw)), Some(Status::Ok));
    }
    assert_eq!(world.recorded(), [1, 2, 99]);
}

#[test]
fn a_flood_of_pings_is_answered_with_few() {
    let mut world = world();
    let raw = world.insider(0);
    world.say(raw, &greeting(99, |greeting| greeting.addr = Some(addr(9))));
    world.settle();
    let _ = world.heard(raw);
    let ping = frame(Command::PING, 0, &[]);
    for _ in 0..1_000 {
        world.say(raw, &ping);
    }
    world.settle();
    assert_eq!(world.heard(raw).len(), ping.len() + PONG_BYTES);
    undisturbed(&mut world);
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let mut world = world();
    let raw = world.insider(0);
    let mut frames = greeting(99, |_| {});
    frames.extend(frame(Command::PING, 0, &[]));
    frames.extend(frame(Command::PING, 0, &[]));
    for byte in world.sealed(raw, &frames) {
        world.say_raw(raw, &[byte]);
        world.settle();
    }
    assert!(!world.wires[raw].closed);
    let heard = world.heard(raw);
    assert_eq!(status(&heard), Some(Status::Ok));
    let welcome = frame_length(&heard).unwrap().unwrap();
    let pong = frame(Command::PING, 0, &[]).len() + PONG_BYTES;
    assert_eq!(heard.len() - welcome, 2 * pong);
}

#[test]
fn a_hello_may_be_cut_anywhere() {
    let mut world = world();
    let raw = world.raw(0).unwrap();
    world.settle();
    for byte in hello(&mut world, raw) {
        assert!(world.heard(raw).is_empty());
        world.say_raw(raw, &[byte]);
        world.settle();
    }
    assert_eq!(world.heard(raw).len(), REPLY_BYTES);
}

#[test]
fn a_client_that_falls_silent_loses_its_connection_and_later_its_record() {
    let mut world = world();
    let raw = world.insider(0);
    world.say(raw, &greeting(99, |_| {}));
    world.settle();
    world.pass(Duration::from_secs(6));
    assert!(world.wires[raw].closed);
    assert!(world.recorded().contains(&99));
    world.pass(Duration::from_secs(12));
    assert_eq!(world.recorded(), [1, 2]);
}

#[test]
fn leavers_nobody_knows_do_not_stay() {
    let mut world = world();
    let raws: Vec<_> = (0..2 * STRANGERS as u64)
        .map(|index| {
            let raw = world.insider(0);
            world.say(raw, &greeting(100 + index, |greeting| greeting.farewell = true));
            world.settle();
            let heard = world.heard(raw);
            let welcome = Message::decode(&heard).unwrap();
            assert_eq!(welcome.status, Status::Ok);
            let welcome = Welcome::decode(welcome.body).unwrap();
            assert!(!welcome.known && !welcome.voter, "it is nobody here");
            raw
        })
        .collect();
    assert_eq!(world.recorded(), [1, 2], "and they leave no record");
    let last = raws[raws.len() - 1];
    world.say(last, &frame(Command::FAREWELL, 7, &[]));
    world.settle();
    assert_eq!(status(&world.heard(last)), Some(Status::Ok));
    world.pass(Duration::from_secs(3));
    assert!(raws.iter().all(|&raw| world.wires[raw].closed));
}

#[test]
fn a_client_that_comes_from_another_server_has_a_session_of_its_own() {
    let mut world = world();
    let elsewhere = |greeting: &mut Greeting| {
        greeting.server = Some(crate::ids::Ballot {
            term: crate::ids::Term(77),
            rid: greeting.rid,
        });
    };
    let returns: [fn(&mut Greeting); 2] = [|_| {}, elsewhere];
    for (change, executed) in returns.into_iter().zip([1, 2]) {
        let raw = world.insider(0);
        world.say(raw, &greeting(99, change));
        world.settle();
        world.say(raw, &frame(ADD, 1, &[1]));
        world.settle();
        assert_eq!(world.server(0).service().executed, executed);
    }
}
