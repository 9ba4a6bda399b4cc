//! What goes over the network, to this mount's own server or to another one.

extern crate std;

use super::several::{CLIENTS, Several, addr, connected, disconnected, rid};
use crate::bounds::STRANGER_GRACE;
use crate::event::Event;
use crate::format::wire::{RequestId, Status};
use crate::net::CloseReason;
use crate::session::world::ADD;
use crate::time::Duration;
use std::vec::Vec;

const SECOND: Duration = Duration::from_secs(1);

fn ask(several: &mut Several, at: usize, number: u8) -> RequestId {
    several.members[at]
        .mount
        .submit(ADD, &[number])
        .expect("there is room")
}

#[test]
fn the_service_of_the_leader_answers_its_own_mount_and_others() {
    let mut several = Several::with_voters(1, 1);
    let plain = several.add(|_| {});
    assert_eq!(several.members[plain].mount.connected_to(), None);
    several.until(plain, SECOND, connected);
    let view = several.members[plain].mount.super_view().expect("it read it");
    assert_eq!(view.state, several.super_block());
    let led = several.members[0].mount.leads(several.now).expect("it serves");
    let mut sum = 0;
    for (at, way) in [(plain, Some(addr(0))), (0, None), (plain, Some(addr(0)))] {
        assert_eq!(several.members[at].mount.rid(), rid(at));
        assert_eq!(several.members[at].mount.connected_to(), Some((led, way)));
        let id = ask(&mut several, at, 7);
        sum += 7;
        let began = several.now;
        let answered = Event::Answered {
            id,
            status: Status::Ok,
            length: 1,
        };
        let came = several.until(at, SECOND, |event| *event == answered);
        assert!(
            came.since(began) < Duration::from_millis(5),
            "nothing waits for a deadline"
        );
        assert_eq!(several.members[at].mount.answer(id), [sum]);
    }
    assert_eq!(several.members[0].mount.service().executed, 3);
    assert_eq!(several.members[0].mount.clients_mounted(), 2);
    assert_eq!(several.members[plain].mount.clients_mounted(), 0);
}

#[test]
fn what_was_asked_before_it_leaves_is_answered_and_the_farewell_follows_at_once() {
    let mut several = Several::with_voters(1, 1);
    let plain = several.add(|_| {});
    several.until(plain, SECOND, connected);
    for at in [plain, 0] {
        ask(&mut several, at, 1);
        several.members[at].mount.unmount(several.now);
        assert_eq!(several.members[at].mount.submit(ADD, &[1]), None);
        let began = several.now;
        let told = several.until(at, SECOND, |event| matches!(event, Event::Answered { .. }));
        let next = several.members[at].mount.next_deadline();
        assert!(next.is_some_and(|next| next <= told), "now it may say farewell");
        let ended = several.until(at, SECOND, |event| matches!(event, Event::Unmounted(_)));
        assert!(ended.since(began) < Duration::from_millis(50));
        assert_eq!(
            several.told(at, |event| matches!(event, Event::Answered { .. })),
            1
        );
    }
}

#[test]
fn a_crowd_waits_at_the_door_until_those_before_it_had_their_time_or_went() {
    let mut several = Several::with_voters(1, 1);
    let now = several.now;
    let mount = &mut several.members[0].mount;
    let mut names = Vec::new();
    while mount.may_accept(now) {
        names.push(mount.handle_accept(now).expect("it says that there is room"));
        assert!(names.len() <= CLIENTS);
    }
    assert_eq!(names.len(), 16);
    let later = now + STRANGER_GRACE;
    assert!(mount.may_accept(later), "the oldest had its time");
    assert!(!mount.may_accept(now));
    mount.handle_closed(now, names[3], CloseReason::ByPeer);
    assert!(mount.may_accept(now), "one has gone");
}

#[test]
fn a_mount_that_does_not_serve_takes_no_connections_and_stops_none_at_the_door() {
    let mut several = Several::on_a_new_volume(2);
    several.voter(|_| {});
    several.pass(SECOND);
    let now = several.now;
    let mount = &mut several.members[0].mount;
    assert!(mount.may_accept(now), "it is refused at once");
    assert_eq!(mount.handle_accept(now), None);
}

#[test]
fn a_connection_that_breaks_is_missed_by_both_ends_and_made_again_at_once() {
    let mut several = Several::with_voters(1, 1);
    let plain = several.add(|_| {});
    several.until(plain, SECOND, connected);
    several.pass(SECOND);
    several.part(plain);
    let began = several.now;
    several.until(plain, SECOND, disconnected);
    let again = several.until(plain, SECOND, connected);
    assert!(again.since(began) < Duration::from_millis(50));
    assert_eq!(several.told(0, disconnected), 0, "its own was not touched");
    several.pass(SECOND.times(15));
    assert_eq!(
        several.told(0, |event| matches!(event, Event::ClientEvicted(_))),
        0
    );
}

#[test]
fn nobody_talks_while_nothing_happens_but_to_keep_in_touch() {
    let mut several = Several::with_voters(2, 3);
    several.pass(SECOND.times(5));
    let before: u32 = several.members.iter().map(|member| member.messages).sum();
    several.pass(SECOND.times(10));
    let after: u32 = several.members.iter().map(|member| member.messages).sum();
    // A ping and its pong a second, for each of two.
    assert!(after - before <= 60, "{} messages", after - before);
}
