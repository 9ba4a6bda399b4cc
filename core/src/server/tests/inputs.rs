//! Inputs at the wrong moment, from a device that fails, and from clients that know the key and not the manners.

extern crate std;

use super::hostile::{frame, greeting, undisturbed, world};
use crate::bounds::{BLOCK_BYTES, LOAD_RETRY_WAIT, LOAD_TRIES_MAX, MESSAGE_BYTES_MAX};
use crate::config::{Config, VoterConfig};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::{Event, Fault};
use crate::fence::FenceOutcome;
use crate::format::wire::{Command, Message, RequestId, Status};
use crate::format::{FenceMethod, FenceParam, LogEntry};
use crate::ids::{Ballot, BootId, HostId, Term};
use crate::net::{CloseReason, ConnId};
use crate::noise::Entropy;
use crate::server::{FixedMemory, Server, State};
use crate::service::NoService;
use crate::session::world::{ADD, CLIENTS, World, addr, rid};
use crate::time::{Duration, Instant};

type AnyServer = Server<FixedMemory<CLIENTS, { CLIENTS + 8 }>, NoService>;

const NOW: Instant = Instant(5_000_000);

fn server() -> AnyServer {
    let mut config = Config::client(rid(0));
    config.voter = Some(VoterConfig::fencing(addr(0), FenceParam::default()));
    Server::new(&config, FixedMemory::default(), NoService, Entropy::new([0; 32]))
}

/// Every input and every output that is none of a server's that is off.
fn nothing_happens(server: &mut AnyServer) {
    let mut buffer = [0; BLOCK_BYTES];
    server.handle_disk(NOW, IoId(1), DiskOutcome::Done);
    server.handle_listening(NOW, Ok(()));
    server.handle_listening(NOW, Err(CloseReason::Failed));
    assert_eq!(server.handle_accept(NOW), None);
    assert_eq!(server.handle_accept_local(NOW), None);
    assert!(server.may_accept(NOW), "it is closed at once");
    server.handle_closed(NOW, ConnId(0));
    server.handle_closed(NOW, ConnId::LOCAL);
    assert_eq!(
        server.handle_bytes(NOW, ConnId(0), &mut [1, 2, 3]),
        3,
        "they go nowhere"
    );
    server.handle_fence(NOW, rid(4), FenceOutcome::Done);
    server.remove_fenced(rid(4));
    server.release_silent_ghosts(Instant(u64::MAX), |_, _| false);
    server.ping_voters(NOW);
    server.stop(NOW, true);
    server.poll(NOW, true);
    assert_eq!(server.poll_fence(NOW, true), None);
    assert_eq!(server.poll_disk(NOW, true, IoId(2), &mut buffer), None);
    assert_eq!(server.poll_net(NOW), None);
    assert_eq!(server.poll_transmit(NOW, true, &mut buffer), None);
    assert_eq!(server.poll_event(), None);
    assert_eq!((server.mounted(), server.voters_away()), (0, 0));
    assert!(server.is_off() && server.serving().is_none());
}

#[test]
fn a_server_that_was_never_started_takes_no_notice() {
    let mut server = server();
    nothing_happens(&mut server);
    server.abort(NOW);
    nothing_happens(&mut server);
    assert_eq!(server.state(), State::Off);
    assert!(server.super_block().is_none());
    assert_eq!((server.voters_heard(NOW), server.next_deadline()), (0, None));
    assert!(!server.is_drained() && !server.remote_client_seen() && !server.has_released_all());
}

#[test]
fn a_server_that_has_failed_says_nothing_more() {
    let world = World::new(1);
    let mut server = server();
    let ballot = Ballot {
        term: Term(1),
        rid: rid(0),
    };
    server.start(NOW, &world.view(), ballot, addr(0));
    assert!(!server.is_off() || server.state() == State::Starting);
    // Not before it has read who its clients are.
    server.handle_listening(NOW, Ok(()));
    assert_eq!(server.handle_accept(NOW), None);
    assert_eq!(server.handle_accept_local(NOW), None);
    server.abort(NOW);
    nothing_happens(&mut server);
    assert_eq!(server.state(), State::Failed);
    // Whoever has failed cannot stop any more, and fails once.
    server.abort(NOW);
    assert_eq!(server.state(), State::Failed);
}

/// A server on its own, whose table is read: what is read comes from the disk of a world, or fails.
fn start_reading(reads: impl Fn(u32) -> Option<DiskOutcome<'static>>) -> (AnyServer, u32) {
    let mut world = World::new(1);
    let mut server = server();
    let ballot = Ballot {
        term: Term(1),
        rid: rid(0),
    };
    server.start(NOW, &world.view(), ballot, addr(0));
    let mut buffer = std::vec![0; BLOCK_BYTES * 8];
    let (mut now, mut count) = (NOW, 0);
    for _ in 0..200 {
        server.poll(now, true);
        while let Some(request) = server.poll_disk(now, true, IoId(count), &mut buffer) {
            let DiskRequest::Read {
                id,
                first,
                count: blocks,
                ..
            } = request
            else {
                panic!("nothing is written before the table is known: {request:?}");
            };
            count += 1;
            match reads(count) {
                Some(outcome) => server.handle_disk(now, id, outcome),
                None => {
                    let bytes: std::vec::Vec<u8> = (first.0..first.0 + u64::from(blocks))
                        .flat_map(|at| world.disk.block(crate::ids::BlockNo(at)).to_vec())
                        .collect();
                    server.handle_disk(now, id, DiskOutcome::Read(&bytes));
                }
            }
        }
        if server.state() == State::Failed || server.poll_net(now).is_some() {
            break;
        }
        now += Duration::from_millis(25);
    }
    (server, count)
}

#[test]
fn a_table_that_cannot_be_read_for_long_fails_the_server_and_for_a_moment_does_not() {
    let (_, reads) = start_reading(|_| None);
    assert!(reads >= 2, "both copies");
    for outcome in [
        DiskOutcome::Failed(DiskError::Failed),
        DiskOutcome::Failed(DiskError::TimedOut),
        DiskOutcome::Read(&[]),
        DiskOutcome::Done,
    ] {
        let (mut server, count) = start_reading(move |nth| (nth < LOAD_TRIES_MAX).then_some(outcome));
        assert_eq!(server.state(), State::Starting, "{outcome:?}");
        assert_eq!(count, reads + LOAD_TRIES_MAX - 1);
        assert_eq!(server.poll_event(), None);

        let (mut server, count) = start_reading(move |_| Some(outcome));
        assert_eq!(server.state(), State::Failed);
        assert_eq!(count, LOAD_TRIES_MAX);
        let told = server.poll_event();
        assert!(
            matches!(told, Some(Event::Fault(Fault::Disk { write: false, .. }))),
            "{told:?}"
        );
        assert!(server.is_off(), "it wrote nothing that could still land");
    }
    // Each part has all its tries.
    let failing = |nth: u32| (nth % 2 == 1).then_some(DiskOutcome::Failed(DiskError::Failed));
    let (server, _) = start_reading(failing);
    assert_eq!(server.state(), State::Starting);
}

fn victim() -> LogEntry {
    LogEntry {
        ballot: Ballot {
            term: Term(0),
            rid: rid(7),
        },
        host: HostId(1),
        boot: BootId([0; 16]),
        addr: addr(7),
        quiet_ms: 0,
        fence_param: FenceParam::default(),
        fenced: false,
    }
}

/// The server of a world, which serves, is told of a fence.
fn fence(world: &mut World) {
    let by = Ballot {
        term: Term(1),
        rid: rid(0),
    };
    let journal = world.server(0).journal();
    journal.asked(&victim(), 1, by);
    journal.answered(victim().ballot, FenceOutcome::Done, FenceMethod::of("kill"));
}

#[test]
fn a_ring_that_cannot_be_read_costs_the_record_and_not_the_server() {
    let mut world = World::with_voters(1, 1);
    world.disk.bad_reads = Some(DiskError::Failed);
    fence(&mut world);
    let writes = world.disk.writes;
    world.pass(Duration::from_secs(2));
    assert_eq!(world.server(0).state(), State::Serving);
    let fault = |event: &&Event| matches!(event, Event::Fault(Fault::Disk { write: false, .. }));
    assert_eq!(world.nodes[0].events.iter().filter(fault).count(), 1);
    assert_eq!(world.disk.writes, writes);
    world.disk.bad_reads = None;
    fence(&mut world);
    world.settle();
    assert_eq!(world.disk.fences().len(), 1, "the next one is written");
}

#[test]
fn a_ring_of_which_less_came_in_than_was_asked_for_is_read_again() {
    for outcome in [DiskOutcome::Read(&[0; BLOCK_BYTES]), DiskOutcome::Done] {
        let mut world = World::with_voters(1, 1);
        fence(&mut world);
        let (now, mut buffer) = (world.now, std::vec![0; BLOCK_BYTES * 8]);
        let server = world.server(0);
        let request = server.poll_disk(now, true, IoId(u32::MAX), &mut buffer);
        assert!(matches!(request, Some(DiskRequest::Read { count: 2..=8, .. })));
        server.handle_disk(now, IoId(u32::MAX), outcome);
        let again = server.poll_disk(now, true, IoId(u32::MAX), &mut buffer);
        assert_eq!(again, None, "after a moment");
        world.pass(LOAD_RETRY_WAIT);
        assert_eq!(world.disk.fences().len(), 1);
        let fault = |event: &Event| matches!(event, Event::Fault(_));
        assert!(!world.nodes[0].events.iter().any(fault));
    }
}

#[test]
fn a_ring_that_cannot_be_read_for_a_moment_is_read_again() {
    let mut world = World::with_voters(1, 1);
    world.disk.bad_reads = Some(DiskError::TimedOut);
    fence(&mut world);
    world.settle();
    let again = world.now + LOAD_RETRY_WAIT;
    assert_eq!(world.server(0).next_deadline(), Some(again));
    world.disk.bad_reads = None;
    world.settle();
    assert!(world.disk.fences().is_empty(), "after a moment");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.disk.fences().len(), 1);
}

#[test]
fn a_table_that_cannot_be_read_for_a_moment_is_read_again_after_it() {
    let mut world = World::with_voters(1, 1);
    world.kill_server(0);
    world.disk.bad_reads = Some(DiskError::TimedOut);
    world.serve(0, 2);
    world.settle();
    let again = world.now + LOAD_RETRY_WAIT;
    assert_eq!(world.server(0).next_deadline(), Some(again));
    world.disk.bad_reads = None;
    world.settle();
    assert_eq!(world.server(0).state(), State::Starting);
    world.pass(LOAD_RETRY_WAIT);
    world.settle();
    assert_eq!(world.server(0).state(), State::Serving);
}

#[test]
fn a_record_of_a_fence_waits_for_the_right_to_act() {
    let mut world = World::with_voters(1, 1);
    world.nodes[0].may_act = false;
    fence(&mut world);
    world.pass(Duration::from_secs(2));
    assert!(world.disk.fences().is_empty());
    world.nodes[0].may_act = true;
    world.settle();
    assert_eq!(world.disk.fences().len(), 1);
}

/// A frame that answers.
fn answer(command: Command, id: u64) -> std::vec::Vec<u8> {
    let message = Message {
        command,
        answer: true,
        status: Status::Ok,
        id: RequestId(id),
        released: RequestId(1),
        body: &[],
    };
    let mut bytes = std::vec![0; crate::bounds::MESSAGE_BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[test]
fn a_client_that_answers_what_nobody_asked_is_closed() {
    let nonsense = [
        answer(Command::GREETING, 0),
        disguised(Command::GREETING, true),
        answer(ADD, 1),
        answer(Command::FAREWELL, 1),
        frame(ADD, 0, &[1]),
        frame(Command::FAREWELL, 0, &[]),
    ];
    for said in nonsense {
        let mut world = world();
        let insider = world.insider(0);
        world.say(insider, &greeting(77, |_| {}));
        world.settle();
        let executed = world.server(0).service().executed;
        world.say(insider, &said);
        world.settle();
        assert!(world.wires[insider].closed);
        assert_eq!(world.server(0).service().executed, executed);
        assert!(world.recorded().contains(&77), "it is away, and may return");
        undisturbed(&mut world);
    }
}

/// The body of a greeting, in another frame.
fn disguised(command: Command, answer: bool) -> std::vec::Vec<u8> {
    let greeting = greeting(77, |_| {});
    let message = Message::decode(&greeting).unwrap();
    let mut bytes = std::vec![0; MESSAGE_BYTES_MAX];
    let message = Message {
        command,
        answer,
        ..message
    };
    let length = message.encode(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[test]
fn nothing_but_a_greeting_greets() {
    for said in [
        answer(Command::GREETING, 0),
        disguised(Command::GREETING, true),
        disguised(ADD, false),
        disguised(Command::PING, false),
    ] {
        let mut world = world();
        let insider = world.insider(0);
        world.say(insider, &said);
        world.settle();
        assert!(world.wires[insider].closed);
        assert!(!world.recorded().contains(&77));
        undisturbed(&mut world);
    }
}

#[test]
fn the_answer_to_a_ping_is_answered_with_nothing() {
    let mut world = world();
    let insider = world.insider(0);
    world.say(insider, &greeting(77, |_| {}));
    world.settle();
    world.heard(insider);
    world.say(insider, &answer(Command::PING, 0));
    world.settle();
    assert!(world.heard(insider).is_empty());
    world.say(insider, &frame(Command::PING, 0, &[]));
    world.settle();
    assert!(!world.heard(insider).is_empty());
    assert!(!world.wires[insider].closed);
}

#[test]
fn what_a_client_has_released_is_neither_done_again_nor_answered() {
    let mut world = world();
    let insider = world.insider(0);
    world.say(insider, &greeting(77, |_| {}));
    world.settle();
    world.say(insider, &frame(ADD, 1, &[1]));
    world.settle();
    world.heard(insider);
    let executed = world.server(0).service().executed;
    assert_eq!(executed, 1);
    for command in [ADD, Command::FAREWELL] {
        let message = Message {
            command,
            answer: false,
            status: Status::Ok,
            id: RequestId(1),
            released: RequestId(2),
            body: &[1],
        };
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = message.encode(&mut bytes).unwrap();
        world.say(insider, &bytes[..length]);
        world.settle();
        assert!(world.heard(insider).is_empty(), "{command:?}");
        assert!(!world.wires[insider].closed, "it may have been on its way");
    }
    assert_eq!(world.server(0).service().executed, executed);
    assert!(world.recorded().contains(&77));
}

#[test]
fn commands_that_are_none_of_a_services_are_answered_without_it() {
    for command in [Command::RESIGNING, Command(Command::SERVICE.0 - 1)] {
        let mut world = world();
        let insider = world.insider(0);
        world.say(insider, &greeting(77, |_| {}));
        world.settle();
        world.heard(insider);
        world.say(insider, &frame(command, 1, &[1]));
        world.settle();
        let heard = world.heard(insider);
        let answer = Message::decode(&heard).unwrap();
        assert_eq!(
            (answer.command, answer.id, answer.status),
            (command, RequestId(1), Status::UnknownCommand)
        );
        assert_eq!(world.server(0).service().executed, 0);
        undisturbed(&mut world);
    }
    let mut world = world();
    let insider = world.insider(0);
    world.say(insider, &greeting(77, |_| {}));
    world.settle();
    world.say(insider, &frame(Command::SERVICE, 1, &[]));
    world.settle();
    let executed = world.server(0).service().executed;
    assert_eq!(executed, 1, "the first of the others is the service's");
}

#[test]
fn what_is_said_twice_is_done_once() {
    let mut world = world();
    let insider = world.insider(0);
    world.disk.hung = true;
    world.say(insider, &greeting(77, |_| {}));
    world.settle();
    // Again, while its record is written.
    world.say(insider, &greeting(77, |_| {}));
    world.settle();
    assert!(world.heard(insider).is_empty());
    world.disk.hung = false;
    world.settle();
    world.heard(insider);
    let before = world.server(0).service().executed;
    for _ in 0..2 {
        world.say(insider, &frame(ADD, 1, &[2]));
        world.settle();
    }
    assert_eq!(world.server(0).service().executed, before + 1);
    assert!(!world.wires[insider].closed);
    // A farewell that is held: there is a quorum of one to keep.
    for _ in 0..2 {
        world.say(insider, &frame(Command::FAREWELL, 2, &[]));
    }
    world.settle();
    assert!(!world.recorded().contains(&77));
    undisturbed(&mut world);
}

/// One who asks to leave a volume on which nobody knows it.
fn leaver(world: &mut World) -> usize {
    let insider = world.insider(0);
    let server = Ballot {
        term: Term(1),
        rid: rid(0),
    };
    world.say(
        insider,
        &greeting(78, |greeting| {
            greeting.farewell = true;
            greeting.server = Some(server);
        }),
    );
    world.settle();
    assert!(!world.heard(insider).is_empty());
    insider
}

#[test]
fn one_who_is_gone_may_say_farewell_and_nothing_else() {
    for (said, closed) in [
        (frame(Command::PING, 0, &[]), false),
        (answer(Command::PING, 0), false),
        (frame(Command::FAREWELL, 1, &[]), false),
        (frame(Command::FAREWELL, 0, &[]), true),
        (answer(Command::FAREWELL, 1), true),
        (frame(ADD, 1, &[1]), true),
        (greeting(78, |_| {}), true),
    ] {
        let mut world = world();
        let insider = leaver(&mut world);
        let answered = said == frame(Command::PING, 0, &[]) || said == frame(Command::FAREWELL, 1, &[]);
        world.say(insider, &said);
        world.settle();
        assert_eq!(world.wires[insider].closed, closed);
        assert_eq!(!world.heard(insider).is_empty(), answered);
        assert!(!world.recorded().contains(&78));
        undisturbed(&mut world);
    }
}
