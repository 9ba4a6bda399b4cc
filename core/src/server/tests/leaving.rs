//! Farewells, the barrier, and what happens when answers to them are lost.

use crate::event::{Event, Unmounted};
use crate::session::world::{World, rid};
use crate::time::Duration;

const FAREWELL: Option<Unmounted> = Some(Unmounted::Farewell);

#[test]
fn a_voter_leaves_while_a_quorum_stays() {
    let mut world = World::with_voters(2, 3);
    world.unmount(2);
    world.settle();
    assert_eq!(world.ended(2), FAREWELL);
    assert_eq!(world.recorded(), [1, 2]);
    assert_eq!(world.super_block().unmount_barrier, 0);
    assert_eq!(world.server(0).service().gone, [rid(2)]);
}

#[test]
fn hole_11_the_last_quorum_stays_while_anybody_is_mounted() {
    let mut world = World::with_voters(2, 2);
    let plain = world.plain();
    world.settle();
    world.unmount(0);
    world.unmount(1);
    world.pass(Duration::from_secs(60));
    assert_eq!((world.ended(0), world.ended(1)), (None, None));
    assert!(!world.server(0).is_drained() && !world.server(0).has_released_all());
    assert!(!world.server(0).is_too_small());
    world.unmount(plain);
    world.settle();
    assert_eq!(world.ended(plain), FAREWELL);
    assert_eq!((world.ended(0), world.ended(1)), (FAREWELL, FAREWELL));
    assert_eq!(world.super_block().unmount_barrier, 1);
    assert!(world.recorded().is_empty());
    assert!(world.server(0).is_drained() && world.server(0).has_released_all());
    assert_eq!(world.server(0).mounted(), 0);
    let known = world.server(0).super_block().map(|state| state.unmount_barrier);
    assert_eq!(known, Some(1));
}

#[test]
fn hole_11_a_client_that_is_away_counts_as_mounted() {
    let mut world = World::with_voters(2, 2);
    let plain = world.plain();
    world.settle();
    world.kill(plain);
    world.unmount(0);
    world.unmount(1);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.ended(1), None);
    world.pass(Duration::from_secs(7));
    assert!(
        world.told(0, &Event::ClientEvicted(rid(plain))),
        "but not for ever"
    );
    assert_eq!((world.ended(0), world.ended(1)), (FAREWELL, FAREWELL));
}

#[test]
fn hole_11_a_crashed_voter_keeps_nobody_from_unmounting() {
    let mut world = World::with_voters(2, 3);
    world.kill(2);
    world.unmount(0);
    world.unmount(1);
    world.pass(Duration::from_secs(12));
    assert!(world.told(0, &Event::ClientEvicted(rid(2))));
    assert_eq!((world.ended(0), world.ended(1)), (FAREWELL, FAREWELL));
    assert!(
        world.recorded().is_empty(),
        "the ghost's record is gone with the others"
    );
}

#[test]
fn hole_11_a_greeting_that_races_with_the_barrier_is_mounted_or_was_not_counted() {
    // Before the barrier is decided: it counts, and everybody waits for it.
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.unmount(0);
    world.settle();
    world.disk.hung = false;
    world.settle();
    assert!(world.is_connected(plain));
    assert_eq!(world.ended(0), None);

    // While the barrier is being written: it is mounted under the next one.
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    world.unmount(0);
    world.settle();
    let plain = world.informed();
    world.settle();
    world.disk.hung = false;
    world.settle();
    assert_eq!(world.ended(0), FAREWELL);
    assert_eq!(world.super_block().unmount_barrier, 1);
    assert!(world.is_connected(plain));
    assert_eq!(world.recorded(), [rid(plain).value()]);
    assert_eq!(world.server(0).service().gone, [rid(0)]);
}

#[test]
fn hole_11_a_lost_answer_is_found_in_the_super_block() {
    let mut world = World::with_voters(2, 2);
    world.mute(1);
    world.unmount(0);
    world.unmount(1);
    world.settle();
    assert_eq!(world.super_block().unmount_barrier, 1);
    assert_eq!(world.ended(1), None);
    assert!(
        !world.server(0).is_drained(),
        "it gets some time to fetch its answer"
    );
    world.kill_server(0);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.ended(1), Some(Unmounted::Barrier));
}

#[test]
fn whoever_was_released_while_it_was_away_needs_nobody_when_it_leaves() {
    let mut world = World::with_voters(2, 2);
    let plain = world.plain();
    world.settle();
    world.nodes[plain].asleep = true;
    world.pass(Duration::from_secs(17));
    assert!(world.told(0, &Event::ClientEvicted(rid(plain))));
    world.unmount(0);
    world.unmount(1);
    world.settle();
    assert_eq!(world.super_block().unmount_barrier, 1);
    world.kill_server(0);
    world.nodes[plain].asleep = false;
    world.pass(Duration::from_secs(5));
    assert_eq!(world.ended(plain), None, "there is nobody to tell it");
    world.unmount(plain);
    world.settle();
    assert_eq!(world.ended(plain), Some(Unmounted::Barrier));
}

#[test]
fn hole_11_a_barrier_cut_off_in_the_middle_leaves_everybody_mounted_or_released() {
    for writes in 0..3 {
        let mut world = World::with_voters(2, 2);
        world.disk.writes_left = Some(writes);
        world.unmount(0);
        world.unmount(1);
        world.pass(Duration::from_millis(100));
        world.disk.lose_power(crate::session::disk::Loss::All);
        world.kill_server(0);
        let released = world.super_block().unmount_barrier == 1;
        assert_eq!(released, writes > 0);
        assert_eq!(world.recorded().is_empty(), released);
        world.serve(1, 2);
        world.pass(Duration::from_secs(3));
        assert!(world.ended(0).is_some(), "cut after {writes} writes");
        assert!(world.ended(1).is_some(), "cut after {writes} writes");
    }
}

#[test]
fn those_who_do_not_fetch_their_answer_do_not_hold_the_server() {
    let mut world = World::with_voters(2, 2);
    world.mute(1);
    world.unmount(0);
    world.unmount(1);
    world.pass(Duration::from_millis(900));
    assert!(!world.server(0).is_drained());
    world.pass(Duration::from_millis(101));
    assert!(world.server(0).is_drained());
}

#[test]
fn a_lost_answer_to_a_farewell_is_repeated_though_the_record_is_gone() {
    let mut world = World::with_voters(1, 2);
    let plain = world.plain();
    world.settle();
    world.mute(plain);
    world.unmount(plain);
    world.settle();
    assert_eq!(world.recorded(), [1, 2]);
    assert_eq!(world.ended(plain), None);
    world.cut(plain);
    world.settle();
    assert_eq!(world.ended(plain), FAREWELL);
    assert_eq!(world.recorded(), [1, 2]);
}

#[test]
fn a_farewell_goes_to_the_next_server_when_the_first_is_gone() {
    let mut world = World::with_voters(2, 3);
    world.kill(2);
    world.pass(Duration::from_secs(12));
    assert!(world.told(0, &Event::ClientEvicted(rid(2))));
    world.unmount(1);
    let plain = world.plain();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.ended(1), None, "held: the two that are left are the quorum");
    world.kill_server(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(2));
    assert!(world.is_connected(plain));
    assert_eq!(world.ended(1), None, "held again");
    world.unmount(plain);
    world.unmount(0);
    world.pass(Duration::from_secs(12));
    assert_eq!((world.ended(0), world.ended(1)), (FAREWELL, FAREWELL));
}

#[test]
fn what_was_asked_before_the_farewell_is_answered_before_it() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    for _ in 0..4 {
        world.submit(plain, crate::session::world::ADD, &[1]);
    }
    world.unmount(plain);
    world.settle();
    assert_eq!(world.ended(plain), FAREWELL);
    assert_eq!(world.server(0).service().executed, 4);
}

#[test]
fn a_held_farewell_is_let_go_when_another_voter_comes() {
    let mut world = World::with_voters(2, 2);
    world.unmount(1);
    world.settle();
    assert_eq!(world.ended(1), None);
    world.voter();
    world.settle();
    assert_eq!(world.ended(1), FAREWELL);
}

#[test]
fn after_the_barrier_the_volume_is_mounted_again_like_new() {
    let mut world = World::with_voters(1, 1);
    world.unmount(0);
    world.settle();
    let again = world.plain();
    world.settle();
    assert!(world.is_connected(again));
    assert_eq!(world.recorded(), [rid(again).value()]);
    world.kill_server(0);
    let voter = world.voter();
    world.serve(voter, 2);
    world.pass(Duration::from_secs(2));
    assert!(world.is_connected(again));
    assert!(!world.told(again, &Event::Evicted));
}
