//! Ways in which a leader, or one that nearly was, comes to its end. Each was a bug that a review found.

use super::*;
use crate::election::cycle::Step;
use crate::election::stage::Stage;
use crate::format::RegionBlock;

const SECOND: Duration = Duration::from_secs(1);

fn fenced(world: &World) -> Mark {
    let at = SUPER_COPIES[0];
    let bytes = &world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
    SuperBlock::decode(bytes, at, Some(VOLUME), portable)
        .unwrap()
        .fenced
}

/// Two hosts that cannot fence, quorum 1.
fn leased() -> World {
    let mut world = World::new(1);
    for _ in 0..2 {
        world.add(|voter| {
            voter.can_fence = false;
            voter.lease = Some(SECOND.times(2));
        });
    }
    world
}

#[test]
fn r9_the_clean_stop_waits_for_the_server_at_whatever_step_it_begins() {
    for step in [
        Step::Collect,
        Step::Super { after: false },
        Step::Super { after: true },
    ] {
        let mut world = World::new(1);
        world.add(|voter| voter.lease = Some(SECOND.times(3)));
        let leader = world.expect_leader(SECOND.times(3));
        world.run(SECOND.times(2));
        assert!(
            world.run_until(SECOND.times(5), |world| world.voters[leader].election.step
                == step),
            "{step:?}"
        );
        let ballot = world.voters[leader].served.unwrap();
        world.hold_server = true;
        let now = world.now;
        world.voters[leader].election.resign(now);
        world.run(SECOND);
        assert!(
            !fenced(&world).covers(ballot),
            "{step:?}: a write of the server may still be on its way"
        );
        world.hold_server = false;
        world.run(SECOND);
        assert!(fenced(&world).covers(ballot), "{step:?}");
    }
}

#[test]
fn a_look_that_shows_a_higher_ballot_gives_no_right_to_claim() {
    let mut world = leased();
    world.voters[1].election.set_wanted(world.now, false, None);
    assert!(world.run_until(SECOND.times(5), |world| world.voters[0].election.claimed));
    world.voters[0].writes_fail = true;
    let now = world.now;
    world.voters[1].election.set_wanted(now, true, None);
    let sealed = |world: &World| matches!(world.voters[1].election.stage, Stage::Silence(_));
    assert!(world.run_until(SECOND.times(3), sealed), "{:#?}", world.stages());
    world.voters[1].writes_fail = true;
    world.run(Duration::from_millis(6_500));
    world.voters[0].writes_fail = false;
    world.voters[1].writes_fail = false;
    // The world asserts after every step that there is one leader at most.
    assert!(
        world.run_until(SECOND.times(30), |world| !world.leaders().is_empty()),
        "{:#?}",
        world.stages()
    );
}

#[test]
fn a_leader_that_resigns_slowly_is_not_shot() {
    for held_ms in [0, 100, 250, 400, 1000] {
        let mut world = World::voters(1, 2);
        let first = world.expect_leader(SECOND.times(3));
        world.connect_all(first);
        world.run(SECOND);
        world.hold_server = true;
        let now = world.now;
        world.voters[first].election.resign(now);
        world.voters[first].election.set_wanted(now, false, None);
        // It said that it resigns, so that a refused connection says nothing.
        world.lose(first, false);
        world.run(Duration::from_millis(held_ms));
        world.hold_server = false;
        assert!(
            world.run_until(SECOND.times(3), |world| world.leaders() == [1 - first]),
            "{:#?}",
            world.stages()
        );
        assert!(world.voters[first].alive, "held for {held_ms} ms");
    }
}

#[test]
fn under_a_lease_a_leader_whose_successor_died_is_given_up_so_that_it_can_be_mounted_anew() {
    let mut world = leased();
    let first = world.expect_leader(SECOND.times(3));
    let other = 1 - first;
    world.connect_all(first);
    world.run(SECOND.times(5));
    world.voters[first].paused = true;
    world.lose(first, false);
    let sealed = |world: &World| matches!(world.voters[other].election.stage, Stage::Silence(_));
    assert!(world.run_until(SECOND.times(20), sealed), "{:#?}", world.stages());
    world.run(SECOND.times(3));
    world.voters[other].alive = false;
    world.voters[first].paused = false;
    let abandoned = |world: &World| world.voters[first].election.is_abandoned();
    assert!(
        world.run_until(SECOND.times(60), abandoned),
        "{:#?}",
        world.stages()
    );
    assert!(world.voters[first].election.is_off());
    let fresh = world.add(|voter| {
        voter.can_fence = false;
        voter.lease = Some(SECOND.times(2));
    });
    assert!(
        world.run_until(SECOND.times(30), |world| world.leaders() == [fresh]),
        "{:#?}",
        world.stages()
    );
}

#[test]
fn a_void_outlives_the_block_that_says_so() {
    let mut world = World::voters(1, 2);
    let first = world.expect_leader(SECOND.times(3));
    let other = 1 - first;
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].paused = true;
    world.lose(first, false);
    let spreads = |world: &World| {
        let election = &world.voters[other].election;
        let seals = matches!(election.stage, Stage::Seal { .. });
        seals && election.witness.target() == election.own && election.witness.carriers().count() > 20
    };
    assert!(world.run_until(SECOND.times(9), spreads), "{:#?}", world.stages());
    world.voters[first].paused = false;
    let now = world.now;
    world.voters[other].election.set_wanted(now, false, None);
    let off = |world: &World| world.voters[other].election.is_off();
    assert!(world.run_until(SECOND.times(2), off), "{:#?}", world.stages());
    let region = Geometry::plan(4096, 64).unwrap().region;
    for index in 0..64 {
        let at = BlockNo(region.0 + index);
        let bytes = &world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
        if let Ok(RegionBlock::Written(_, mut entries)) = RegionBlock::decode(bytes, at, VOLUME, portable) {
            assert!(
                entries.all(|entry| entry.ballot.rid != rid(other)),
                "block {at} carries what is void"
            );
        }
    }
}

#[test]
fn a_voter_leaves_though_the_device_cannot_be_read() {
    let mut world = World::voters(2, 1);
    world.run(SECOND);
    world.voters[0].disk_fails = true;
    world.run(SECOND.times(10));
    let now = world.now;
    world.voters[0].election.set_wanted(now, false, None);
    assert!(
        world.run_until(SECOND, |world| world.voters[0].election.is_off()),
        "{:#?}",
        world.stages()
    );
}

#[test]
fn a_candidate_whose_mount_ends_says_that_it_leaves() {
    let mut world = World::voters(2, 2);
    let standing = |world: &World| (0..2).find(|&n| world.voters[n].election.own.is_some());
    assert!(world.run_until(SECOND.times(5), |world| standing(world).is_some()));
    let (candidate, now) = (standing(&world).unwrap(), world.now);
    world.voters[candidate].election.leave(now);
    world.run(SECOND);
    let leaving = |event: &Event| {
        matches!(
            event,
            Event::GaveUp {
                why: GaveUp::Unmounting,
                ..
            }
        )
    };
    assert!(world.saw(candidate, leaving));
    assert!(world.voters[candidate].election.is_off());
}

#[test]
fn a_voter_with_a_ballot_to_take_back_leaves_when_the_device_took_its_word() {
    let mut world = World::voters(2, 2);
    let standing = |world: &World| (0..2).find(|&n| world.voters[n].election.own.is_some());
    assert!(world.run_until(SECOND.times(5), |world| standing(world).is_some()));
    let (candidate, now) = (standing(&world).unwrap(), world.now);
    world.voters[candidate].writes_fail = true;
    world.voters[candidate].election.set_wanted(now, false, None);
    world.run(SECOND.times(20));
    assert!(world.saw(candidate, |event| matches!(event, Event::GaveUp { .. })));
    assert!(
        !world.voters[candidate].election.is_off(),
        "somebody may still count on its ballot, and fence it for that"
    );
    world.voters[candidate].writes_fail = false;
    assert!(
        world.run_until(SECOND.times(10), |world| world.voters[candidate]
            .election
            .is_off()),
        "{:#?}",
        world.stages()
    );
}

#[test]
fn a_claim_that_landed_though_it_was_reported_as_failed_is_a_claim() {
    for copy in SUPER_COPIES {
        let mut world = World::voters(1, 1);
        world.voters[0].trouble = Box::new(move |request: &DiskRequest| {
            matches!(request, DiskRequest::Write { first, .. } if *first == copy)
                .then_some(Trouble::LandsUnheard)
        });
        let leader = world.expect_leader(SECOND.times(30));
        let ballot = world.voters[leader].election.own().expect("it leads");
        for at in SUPER_COPIES {
            let bytes = &world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
            let state = SuperBlock::decode(bytes, at, Some(VOLUME), portable).unwrap();
            assert_eq!(state.server, Some(ballot), "before it serves both copies name it");
        }
    }
}

#[test]
fn a_leader_whose_server_starts_slowly_is_neither_overtaken_nor_taken_for_one_that_serves() {
    let mut world = World::voters(2, 3);
    world.serve = false;
    let first = world.expect_leader(SECOND.times(3));
    let fence_time = world.voters[first].election.voter.fence_time_max;
    let serves = |world: &World| {
        let rests = |voter: &Voter| matches!(voter.election.stage, Stage::Rest { .. });
        world.leaders() != [first] || world.voters.iter().any(rests)
    };
    // Each of its requests may take as long as a write may, one after the other.
    assert!(
        !world.run_until(fence_time.times(4), serves),
        "{:#?}",
        world.stages()
    );
    assert!(world.voters.iter().all(|voter| voter.alive));
    world.voters[first].facts.serving = true;
    world.connect_all(first);
    world.run(SECOND.times(3));
    assert_eq!(world.leaders(), [first]);
}
