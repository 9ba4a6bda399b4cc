//! How mounts end, alone and together, and what they tell of it.

use super::several::{Device, Door, Several, connected, serving};
use super::{Host, formatted, super_block};
use crate::bounds::{DRAIN_TIME, RESIGNING_TIME};
use crate::config::{Config, VoterConfig};
use crate::event::{Event, Unmounted};
use crate::format::FenceParam;
use crate::ids::Rid;
use crate::mount::Life;
use crate::net::CloseReason;
use crate::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn unmounted(how: Unmounted) -> impl Fn(&Event) -> bool {
    move |event| *event == Event::Unmounted(how)
}

fn waiting(event: &Event) -> bool {
    matches!(event, Event::WaitingForQuorum { .. })
}

#[test]
fn a_mount_tells_once_that_it_started_leaves_and_has_ended() {
    let mut several = Several::with_voters(1, 1);
    let at = several.add(|_| {});
    several.until(at, SECOND, connected);
    for _ in 0..3 {
        several.members[at].mount.unmount(several.now);
    }
    several.until(at, SECOND, unmounted(Unmounted::Farewell));
    several.members[at].mount.unmount(several.now);
    several.pass(SECOND);
    for told in [
        Event::Started,
        Event::Unmounting,
        Event::Unmounted(Unmounted::Farewell),
    ] {
        assert_eq!(several.told(at, |event| *event == told), 1, "{told:?}");
    }
    assert_eq!(several.members[at].events[0].1, Event::Started);
}

#[test]
fn nothing_is_told_before_the_super_block_was_read() {
    let mut several = Several::on_a_new_volume(1);
    let at = several.voter(|_| {});
    several.members[at].device = Device::Hung;
    several.pass(SECOND);
    assert_eq!(several.members[at].events, []);
    assert_eq!(several.members[at].mount.super_view(), None);
}

#[test]
fn a_mount_that_waits_for_its_device_alone_is_not_called_for_nothing() {
    let mut several = Several::on_a_new_volume(1);
    let at = several.voter(|_| {});
    several.members[at].device = Device::Hung;
    several.round();
    let now = several.now;
    let next = several.members[at].mount.next_deadline();
    assert!(next.is_none_or(|next| next > now), "{next:?}");
}

#[test]
fn a_voter_leaves_while_another_one_leads_and_the_leader_leaves_while_a_quorum_stays() {
    let mut several = Several::with_voters(2, 4);
    let (leader, others) = (several.leader(), several.followers());
    for at in [others[0], leader] {
        several.members[at].mount.unmount(several.now);
        let began = several.now;
        let ended = several.until(at, SECOND, unmounted(Unmounted::Farewell));
        assert!(
            ended.since(began) < Duration::from_millis(500),
            "the others know that it stops"
        );
        assert!(several.members[at].mount.has_ended());
    }
    assert_eq!(several.super_block().unmount_barrier, 0);
    assert!(
        several
            .super_block()
            .fenced
            .covers(several.super_block().server.unwrap())
    );
}

#[test]
fn a_leader_through_whom_everybody_leaves_stays_until_the_last_one_has_heard_of_it() {
    let mut several = Several::with_voters(2, 2);
    let (leader, other) = (several.leader(), several.followers()[0]);
    several.members[other].mount.unmount(several.now);
    several.pass(SECOND);
    assert!(
        !several.members[other].mount.has_ended(),
        "it is needed while the leader stays"
    );
    several.members[leader].mount.unmount(several.now);
    // Frozen for a moment, as it has not fetched its answer when the barrier stands.
    several.members[other].gone = true;
    let began = several.now;
    several.pass(Duration(DRAIN_TIME.0 / 2));
    assert_eq!(several.super_block().unmount_barrier, 1);
    assert!(!several.members[leader].mount.has_ended());
    several.thaw(other);
    several.until(other, Duration::from_millis(20), unmounted(Unmounted::Farewell));
    let ended = several.until(leader, SECOND, unmounted(Unmounted::Farewell));
    assert!(ended.since(began) < DRAIN_TIME, "it waits for nobody else");
}

#[test]
fn a_leader_through_whom_everybody_leaves_does_not_wait_for_one_that_is_frozen() {
    let mut several = Several::with_voters(2, 2);
    let (leader, other) = (several.leader(), several.followers()[0]);
    several.members[other].mount.unmount(several.now);
    several.pass(SECOND);
    several.members[leader].mount.unmount(several.now);
    several.members[other].gone = true;
    several.until(leader, DRAIN_TIME.times(2), unmounted(Unmounted::Farewell));
    several.thaw(other);
    several.until(other, SECOND.times(9), |event| {
        matches!(event, Event::Unmounted(_))
    });
}

#[test]
fn one_that_waits_for_a_quorum_to_leave_says_so_once_and_only_if_it_leaves() {
    let mut several = Several::with_voters(2, 2);
    let (leader, other) = (several.leader(), several.followers()[0]);
    several.kill(leader);
    several.until(other, SECOND.times(9), |event| {
        matches!(event, Event::Asking { votes: 1, .. })
    });
    several.pass(SECOND.times(9));
    assert_eq!(several.told(other, waiting), 0);
    several.members[other].mount.unmount(several.now);
    several.until(other, SECOND, |event| {
        *event == Event::WaitingForQuorum { votes: 1, needed: 2 }
    });
    let unmounting = |event: &Event| *event == Event::Unmounting;
    assert_eq!(several.told(other, unmounting), 1);
    several.members[other].mount.unmount(several.now);
    several.pass(SECOND.times(9));
    assert_eq!(several.told(other, waiting), 1);
    assert_eq!(several.told(other, unmounting), 1, "it leaves already");
}

#[test]
fn a_quorum_that_waits_for_the_end_of_its_leader_is_not_missed_by_those_who_leave() {
    let mut several = Several::with_voters(2, 3);
    let (leader, others) = (several.leader(), several.followers());
    // Silent, so that they ask for a while though they are enough.
    several.members[leader].door = Door::Silent;
    several.kill(leader);
    for &at in &others {
        several.members[at].mount.unmount(several.now);
        several.members[at].fence = Some(crate::fence::FenceOutcome::Done);
    }
    several.pass(SECOND.times(20));
    let enough =
        |event: &Event| matches!(event, Event::WaitingForQuorum { votes, needed } if votes >= needed);
    for &at in &others {
        assert_eq!(several.told(at, enough), 0, "{:#?}", several.members[at].events);
        assert!(several.members[at].mount.has_ended());
    }
}

#[test]
fn one_that_is_forced_while_it_only_waits_for_its_device_has_ended_as_it_did() {
    let mut several = Several::on_a_new_volume(2);
    let at = several.voter(|_| {});
    several.until(at, SECOND, |event| matches!(event, Event::Asking { .. }));
    several.members[at].device = Device::Hung;
    several.pass(SECOND);
    several.members[at].mount.unmount(several.now);
    several.pass(SECOND);
    assert!(
        !several.members[at].mount.has_ended(),
        "its election is not done with the device"
    );
    several.members[at].mount.force(several.now);
    assert!(several.members[at].mount.has_ended());
    several.round();
    assert_eq!(several.told(at, unmounted(Unmounted::NeverMounted)), 1);
}

#[test]
fn one_whose_device_hangs_winds_up_for_as_long_as_it_may_and_no_longer() {
    let time = SECOND.times(2);
    let mut several = Several::on_a_new_volume(2);
    let at = several.voter(|config| config.unmount_time_max = Some(time));
    several.until(at, SECOND, |event| matches!(event, Event::Asking { .. }));
    several.members[at].device = Device::Hung;
    several.pass(SECOND);
    several.members[at].mount.unmount(several.now);
    let began = several.now;
    let ended = several.until(at, SECOND.times(9), unmounted(Unmounted::NeverMounted));
    let took: Duration = ended.since(began);
    assert!(took >= time && took < time + Duration::from_millis(1), "{took:?}");
}

#[test]
fn one_that_is_alone_and_cannot_serve_leaves_without_an_answer_and_stays_if_it_does_not_leave() {
    let mut several = Several::with_voters(1, 1);
    several.members[0].listens = Some(Err(CloseReason::Failed));
    several.members[0].mount.resign(several.now);
    several.pass(SECOND.times(60));
    assert!(several.members[0].mount.connected_to().is_none());
    assert!(!several.members[0].mount.has_ended());
    several.members[0].mount.unmount(several.now);
    let began: Instant = several.now;
    let ended = several.until(0, SECOND.times(9), unmounted(Unmounted::LeftRecord));
    assert!(ended.since(began) < SECOND);
}

#[test]
fn a_leader_that_resigns_has_stopped_as_soon_as_its_clients_are_gone() {
    let mut several = Several::with_voters(1, 1);
    several.members[0].mount.resign(several.now);
    let began = several.now;
    let stopped = several.until(0, SECOND, |event| {
        matches!(event, Event::StoppedServing { clean: true, .. })
    });
    assert!(
        stopped.since(began) < Duration::from_millis(20),
        "{:?}",
        stopped.since(began)
    );
    assert_eq!(several.told(0, serving), 1);
}

/// A mount that is its own server's client and waits for so long when it leaves.
fn impatient(time: Duration) -> Host {
    let addr = ([127, 0, 0, 1], 7000).into();
    let config = Config {
        voter: Some(VoterConfig::fencing(addr, FenceParam::default())),
        unmount_time_max: Some(time),
        ..Config::client(Rid::new(5).expect("it is not 0"))
    };
    let mut host = Host::new(config, formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Connected { .. }));
    host
}

#[test]
fn a_mount_whose_device_answers_nothing_ends_when_it_was_told_to() {
    let time = SECOND.times(2);
    let mut host = impatient(time);
    host.hung = true;
    let began = host.now;
    host.mount.unmount(host.now);
    let ended = host.run_until(SECOND.times(30), unmounted(Unmounted::LeftRecord));
    // Once for the farewell, and once for what is left to wind up.
    assert!(ended.since(began) >= time && ended.since(began) <= time.times(2) + SECOND);
    assert!(host.mount.has_ended());
}

#[test]
fn a_leader_that_cannot_stop_in_time_does_not_say_that_it_left_cleanly() {
    let time = SECOND.times(2);
    let mut host = impatient(time);
    host.mount.unmount(host.now);
    while host.mount.life == Life::Mounted {
        if !host.round() {
            host.now = host.mount.next_deadline().expect("something is due");
        }
    }
    assert_eq!(host.mount.life, Life::WindingUp(Unmounted::Farewell));
    host.hung = true;
    host.run_until(time + SECOND, |event| matches!(event, Event::Unmounted(_)));
    let last = host.events.last().map(|(_, event)| event);
    assert_eq!(last, Some(&Event::Unmounted(Unmounted::LeftRecord)));
    let led = super_block(&host).server;
    assert!(led.is_some_and(|led| !super_block(&host).fenced.covers(led)));
}

#[test]
fn a_leader_that_is_forced_out_of_its_stop_was_forced() {
    let mut host = impatient(SECOND.times(20));
    host.mount.unmount(host.now);
    while host.mount.life == Life::Mounted || host.mount.reign.is_some() {
        if !host.round() {
            host.now = host.mount.next_deadline().expect("something is due");
        }
    }
    let led = super_block(&host).server;
    assert!(led.is_some_and(|led| !super_block(&host).fenced.covers(led)));
    host.mount.force(host.now);
    host.run_until(SECOND, |event| *event == Event::Unmounted(Unmounted::Forced));
}

#[test]
fn a_leader_that_resigns_closes_on_a_client_that_is_frozen_and_has_stopped_at_once() {
    let mut several = Several::with_voters(1, 1);
    let plain = several.add(|_| {});
    several.until(plain, SECOND, connected);
    several.members[plain].gone = true;
    several.members[0].mount.resign(several.now);
    let began = several.now;
    let stopped = several.until(0, SECOND, |event| {
        matches!(event, Event::StoppedServing { clean: true, .. })
    });
    let took = stopped.since(began);
    assert!(
        took >= RESIGNING_TIME && took < RESIGNING_TIME + Duration::from_millis(10),
        "{took:?}"
    );
}
