//! Log entries that say that a fence was confirmed (R7).

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A leader is killed and refused; whoever is elected next is the first to know its entry.
fn dead_leader_and_candidate() -> (World, Ballot, usize) {
    let mut world = World::voters(2, 3);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    let ballot = world.voters[first].served.expect("it serves");
    world.voters[first].alive = false;
    world.lose(first, true);
    world.fence = FenceOutcome::Failed;
    let sealed = |voter: &Voter| matches!(voter.election.stage, crate::election::stage::Stage::Seal { .. });
    assert!(world.run_until(SECOND, |world| world.voters.iter().any(sealed)));
    let candidate = world.voters.iter().position(sealed).unwrap();
    (world, ballot, candidate)
}

#[test]
fn what_was_fenced_before_is_not_fenced_again_and_its_place_comes_back() {
    let (mut world, victim, candidate) = dead_leader_and_candidate();
    world.voters[candidate].election.log.mark_fenced(victim);
    let leader = world.expect_leader(SECOND);
    assert_eq!(leader, candidate);
    assert!(!world.saw(leader, |event| matches!(event, Event::Fencing { .. })));
    let silenced = Event::Silenced {
        victim,
        how: Silenced::FencedBefore,
    };
    assert!(world.saw(leader, |event| *event == silenced));
    let fenced: Vec<_> = world.voters[leader].election.fenced_predecessors().collect();
    assert_eq!(fenced, [victim.rid]);
}

#[test]
fn a_fence_that_was_refused_is_marked_by_nobody_and_one_that_was_confirmed_by_who_asked() {
    let (mut world, victim, candidate) = dead_leader_and_candidate();
    let fencing = |event: &Event| matches!(event, Event::FenceFailed { .. });
    assert!(world.run_until(SECOND.times(5), |world| world.saw(candidate, fencing)));
    assert!(!world.voters[candidate].election.log.is_fenced(victim));
    world.fence = FenceOutcome::Done;
    let silenced = Event::Silenced {
        victim,
        how: Silenced::Fenced,
    };
    assert!(world.run_until(SECOND.times(5), |world| {
        world.saw(candidate, |event| *event == silenced)
    }));
    let election = &world.voters[candidate].election;
    assert!(election.log.is_fenced(victim) || election.trimmed().covers(victim));
}

#[test]
fn a_leader_that_reads_that_it_was_fenced_acts_no_more_and_writes_no_stop() {
    let mut world = World::voters(2, 3);
    let leader = world.expect_leader(SECOND.times(3));
    world.connect_all(leader);
    world.run(SECOND);
    let ballot = world.voters[leader].served.expect("it serves");
    let supers = |world: &World| {
        SUPER_COPIES.map(|at| world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES].to_vec())
    };
    let before = supers(&world);
    world.voters[leader].election.log.mark_fenced(ballot);
    // It looks at the region when somebody rings.
    world.lose(leader, false);
    let abandoned = |world: &World| world.voters[leader].election.is_abandoned();
    assert!(
        world.run_until(SECOND.times(5), abandoned),
        "{:#?}",
        world.stages()
    );
    assert_eq!(world.voters[leader].election.right(world.now), None);
    assert!(
        supers(&world) == before,
        "what it does not know to be its own it does not write"
    );
    let (writes, now) = (world.voters[leader].writes, world.now);
    for wanted in [false, true] {
        world.voters[leader].election.set_wanted(now, wanted, None);
        world.run(SECOND.times(3));
    }
    assert!(world.voters[leader].election.is_off());
    assert_eq!(world.voters[leader].writes, writes, "nor does it vote again");
}

#[test]
fn a_candidate_that_reads_that_it_was_fenced_gives_up() {
    let (mut world, _, candidate) = dead_leader_and_candidate();
    let own = world.voters[candidate].election.own().expect("it has won");
    world.voters[candidate].election.log.mark_fenced(own);
    let why = Event::GaveUp {
        ballot: own,
        why: GaveUp::Overtaken,
    };
    assert!(world.run_until(SECOND, |world| world.saw(candidate, |event| *event == why)));
}

#[test]
fn a_claim_that_failed_and_was_fenced_is_taken_back() {
    let (mut world, _, candidate) = dead_leader_and_candidate();
    world.fence = FenceOutcome::Done;
    let claims = |world: &World| world.voters[candidate].election.claimed;
    assert!(world.run_until(SECOND.times(9), claims), "{:#?}", world.stages());
    let own = world.voters[candidate].election.own().expect("it claims");
    world.voters[candidate].writes_fail = true;
    world.run(SECOND);
    world.voters[candidate].election.log.mark_fenced(own);
    let gave_up = |event: &Event| matches!(event, Event::GaveUp { ballot, .. } if *ballot == own);
    assert!(
        world.run_until(SECOND.times(60), |world| world.saw(candidate, gave_up)),
        "{:#?}",
        world.stages()
    );
    assert!(!world.saw(
        candidate,
        |event| matches!(event, Event::StoppedServing { ballot, .. } if *ballot == own)
    ));
}
