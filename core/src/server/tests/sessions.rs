//! Greetings and requests across connections and servers.

use crate::event::Event;
use crate::format::wire::{Command, RequestId, Status};
use crate::session::world::{ADD, LONG, World, rid};
use crate::time::Duration;

fn answered(id: RequestId, length: usize) -> Event {
    Event::Answered {
        id,
        status: Status::Ok,
        length,
    }
}

#[test]
fn a_mount_is_answered_when_its_record_is_durable() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.plain();
    world.pass(Duration::from_millis(500));
    assert!(!world.is_connected(plain));
    world.disk.hung = false;
    world.settle();
    assert!(world.is_connected(plain));
    assert_eq!(world.recorded(), [1, 2]);
}

#[test]
fn a_repeated_greeting_is_success() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.mute(plain);
    world.disk.hung = false;
    world.settle();
    assert_eq!(world.recorded(), [1, 2], "admitted, but the answer is lost");
    assert!(!world.is_connected(plain));
    world.cut(plain);
    world.pass(Duration::from_secs(1));
    assert!(world.is_connected(plain));
    assert_eq!(world.recorded(), [1, 2], "with one record");
    assert!(
        world.nodes[plain]
            .client
            .welcome()
            .is_some_and(|welcome| welcome.known)
    );
}

#[test]
fn a_request_is_executed_once_by_one_server() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.mute(plain);
    let id = world.submit(plain, ADD, &[5]);
    world.settle();
    assert_eq!(world.server(0).service().executed, 1);
    assert!(!world.told(plain, &answered(id, 1)));
    world.cut(plain);
    world.settle();
    assert!(world.told(plain, &answered(id, 1)));
    assert_eq!(world.nodes[plain].client.answer(id), [5]);
    assert_eq!(world.server(0).service().executed, 1);
}

#[test]
fn a_long_answer_is_computed_again() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.mute(plain);
    let id = world.submit(plain, LONG, &[]);
    world.settle();
    world.cut(plain);
    world.settle();
    assert_eq!(world.server(0).service().executed, 2);
    assert!(world.told(plain, &answered(id, crate::bounds::REQUEST_KEPT_BYTES)));
}

#[test]
fn requests_that_were_not_answered_go_to_the_next_server_and_the_others_do_not() {
    let mut world = World::with_voters(1, 2);
    let plain = world.plain();
    world.settle();
    let done = world.submit(plain, ADD, &[1]);
    world.settle();
    assert!(world.told(plain, &answered(done, 1)));
    world.kill_server(0);
    let open = [2, 3, 4].map(|value| world.submit(plain, ADD, &[value]));
    world.serve(1, 2);
    world.pass(Duration::from_secs(2));
    for id in open {
        assert!(world.told(plain, &answered(id, 1)));
    }
    assert_eq!(world.server(1).service().executed, 3);
    assert_eq!(world.nodes[plain].client.answer(open[2]), [9], "in their order");
}

#[test]
fn a_request_that_waits_is_answered_on_the_next_connection() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.nodes[0].may_act = false;
    let id = world.submit(plain, ADD, &[7]);
    world.settle();
    world.cut(plain);
    world.settle();
    world.nodes[0].may_act = true;
    world.pass(Duration::from_secs(5));
    assert!(world.told(plain, &answered(id, 1)));
    assert_eq!(world.server(0).service().executed, 1);
}

#[test]
fn unknown_commands_are_answered_as_such() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    let id = world.submit(plain, Command(0x7fff), &[]);
    world.settle();
    let event = Event::Answered {
        id,
        status: Status::UnknownCommand,
        length: 0,
    };
    assert!(world.told(plain, &event));
}

#[test]
fn the_older_connection_of_a_client_is_closed() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    // The client's end is gone, and the server has not noticed.
    let half_open = world.wires.pop().unwrap();
    let now = world.now;
    world.nodes[plain]
        .client
        .handle_closed(now, crate::net::ConnId::CLIENT, crate::net::CloseReason::Failed);
    world.wires.push(half_open.orphaned());
    world.settle();
    assert!(world.is_connected(plain));
    let orphan = world.wires.iter().find(|wire| wire.is_raw()).unwrap();
    assert!(orphan.closed);
    world.pass(Duration::from_secs(30));
    assert!(
        world.is_connected(plain),
        "and that did not take the client with it"
    );
    assert!(!world.told(0, &Event::ClientEvicted(rid(plain))));
}

#[test]
fn a_volume_that_is_full_says_so_and_takes_the_next_when_there_is_room() {
    let mut world = World::with_voters(1, 1);
    world.crowd(crate::session::world::CLIENTS - 1);
    assert_eq!(world.recorded().len(), crate::session::world::CLIENTS);
    let late = world.plain();
    world.pass(Duration::from_secs(3));
    assert!(!world.is_connected(late));
    let try_again = world.nodes[late].client.next_deadline().unwrap();
    world.pass(try_again.since(world.now));
    assert!(!world.is_connected(late));
    let next = world.nodes[late].client.next_deadline().unwrap();
    assert!(
        next.since(world.now).times(4) >= crate::bounds::RECONNECT_WAIT_MAX.times(3),
        "it does not press"
    );
    let refused = Event::Fault(crate::event::Fault::Refused(Status::Full));
    let told = world.nodes[late].events.iter().filter(|&event| event == &refused);
    assert_eq!(told.count(), 1, "once, however often it tries");
    world.unmount(5);
    world.pass(Duration::from_secs(3));
    assert!(world.is_connected(late));
}

#[test]
fn a_storm_of_greetings_is_written_in_groups() {
    let mut world = World::with_voters(1, 1);
    let (writes, flushes) = (world.disk.writes, world.disk.flushes);
    let durable = world.disk.durable_writes;
    world.disk.hung = true;
    for _ in 0..15 {
        world.informed();
    }
    world.settle();
    world.disk.hung = false;
    world.settle();
    assert!((1..16).all(|node| world.is_connected(node)));
    assert!(
        world.disk.flushes - flushes <= 4,
        "the first alone, the others together"
    );
    assert!(world.disk.writes - writes <= 4);
    assert_eq!(world.disk.durable_writes, durable, "the flush makes them so");
}
