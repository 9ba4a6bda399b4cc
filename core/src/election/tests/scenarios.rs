use super::*;
use crate::bounds::BARREN_FORGOTTEN;
use crate::election::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_single_voter_elects_itself_and_then_only_looks_at_the_doorbell() {
    let mut world = World::voters(1, 1);
    let leader = world.expect_leader(SECOND);
    world.run(SECOND);
    let writes = world.voters[leader].writes;
    assert!(writes > SEAL_BLOCKS as u64);
    world.run(SECOND.times(20));
    assert_eq!(
        world.voters[leader].writes, writes,
        "a quiet leader writes nothing"
    );
}

#[test]
fn three_voters_elect_one_and_the_others_go_quiet() {
    let mut world = World::voters(2, 3);
    let leader = world.expect_leader(SECOND.times(3));
    world.connect_all(leader);
    world.run(SECOND);
    for n in (0..3).filter(|&n| n != leader) {
        assert!(world.voters[n].election.is_off(), "{:#?}", world.stages());
        assert_eq!(world.voters[n].election.next_deadline(), None, "nothing is due");
    }
    assert!(world.voters[leader].election.next_deadline().is_some());
}

#[test]
fn one_vote_of_two_is_not_enough() {
    let mut world = World::voters(2, 1);
    assert_eq!(world.voters[0].election.votes_while_asking(), None);
    world.run(SECOND.times(5));
    assert!(world.leaders().is_empty());
    assert_eq!(world.voters[0].election.votes_while_asking(), Some((1, 2)));
}

#[test]
fn a_leader_that_was_killed_is_fenced_and_succeeded_at_once() {
    let mut world = World::voters(2, 3);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].alive = false;
    world.lose(first, true);
    let began = world.now;
    let second = world.expect_leader(SECOND);
    std::println!("fail-over after {} ms", world.now.since(began).0 / 1000);
    assert!(world.saw(second, |event| matches!(
        event,
        Event::Silenced {
            how: Silenced::Fenced,
            ..
        }
    )));
}

#[test]
fn voters_that_lose_their_server_at_one_moment_do_not_vote_past_one_another() {
    for io_us in [50, 100, 300, 700, 1_000, 2_000, 3_000, 7_000, 20_000, 40_000] {
        let mut world = World::voters(2, 3);
        world.io = Duration(io_us);
        let first = world.expect_leader(SECOND.times(60));
        world.connect_all(first);
        world.run(SECOND.times(10));
        world.voters[first].alive = false;
        world.lose(first, true);
        let before: Vec<usize> = world.voters.iter().map(|voter| voter.events.len()).collect();
        let began = world.now;
        assert!(world.run_until(SECOND.times(60), |world| {
            world.leaders().iter().any(|&n| n != first)
        }));
        std::println!("{io_us} us an I/O: {} us", world.now.since(began).0);
        for (voter, before) in world.voters.iter().zip(before) {
            let in_vain = |event: &&Event| matches!(event, Event::GaveUp { .. });
            let given_up: Vec<_> = voter.events[before..].iter().filter(in_vain).collect();
            assert!(given_up.is_empty(), "{io_us} us an I/O: {given_up:?}");
        }
    }
}

#[test]
fn hole_03_a_frozen_leader_is_fenced_before_the_next_one_serves() {
    let mut world = World::voters(2, 3);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].paused = true;
    world.lose(first, false);
    assert!(!world.run_until(
        DEAD_AFTER_MIN - Duration::from_millis(200),
        |world| world.leaders().len() != 1
    ));
    assert!(
        world.run_until(SECOND.times(4), |world| world
            .leaders()
            .iter()
            .any(|&n| n != first)),
        "{:#?}",
        world.stages()
    );
    assert!(!world.voters[first].alive, "it was fenced");
}

#[test]
fn two_controllers_with_a_severed_link_keep_their_leader() {
    [false, true].into_iter().for_each(sever_the_link);
}

/// With `refused`, a firewall or a wrong address refuses what the severed link would only lose.
fn sever_the_link(refused: bool) {
    let mut world = World::voters(1, 2);
    let leader = world.expect_leader(SECOND.times(3));
    world.connect_all(leader);
    world.run(SECOND);
    world.lose(leader, refused);
    world.voters[leader].facts = LeaderFacts {
        voters: 1,
        away: 1,
        serving: true,
        remote_seen: true,
    };
    let stays = !world.run_until(SECOND.times(60), |world| world.leaders() != [leader]);
    assert!(
        stays,
        "refused {refused} at {:?}: {:#?} {:#?}",
        world.now,
        world.stages(),
        [&world.voters[0].events, &world.voters[1].events]
    );
    assert!(world.voters.iter().all(|voter| voter.alive));
}

#[test]
fn a_leader_that_has_lost_one_voter_long_ago_answers_the_next_one_as_fast() {
    for sooner in [0, 2, 5, 10, 20, 40, 120, 160, 300, 1_000] {
        lose_one_after_the_other(Duration::from_millis(sooner));
    }
}

/// Voters lose a leader that lives and is refused them, one long after the other; the leader knows so much sooner.
fn lose_one_after_the_other(sooner: Duration) {
    let mut world = World::voters(1, 3);
    let leader = world.expect_leader(SECOND.times(3));
    world.connect_all(leader);
    world.run(SECOND);
    let server = world.voters[leader].served.expect("it serves");
    let lost = Lost {
        server,
        refused: true,
    };
    for (away, other) in (1..).zip((0..3).filter(|&n| n != leader)) {
        world.voters[leader].facts = LeaderFacts {
            voters: 3 - away,
            away,
            serving: true,
            remote_seen: true,
        };
        world.run(sooner);
        let election = &mut world.voters[other].election;
        election.set_wanted(world.now, true, Some(lost));
        world.run(SECOND.times(4));
    }
    assert!(
        world.voters[leader].alive,
        "it was shot though it answers, {sooner:?}: {:#?}",
        world.stages()
    );
}

#[test]
fn a_leader_cut_off_from_the_majority_yields_without_a_fence() {
    let mut world = World::voters(2, 3);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.lose(first, false);
    world.voters[first].facts = LeaderFacts {
        voters: 1,
        away: 1,
        serving: true,
        remote_seen: true,
    };
    assert!(
        world.run_until(SECOND.times(10), |world| world
            .leaders()
            .iter()
            .any(|&n| n != first)),
        "{:#?}",
        world.stages()
    );
    assert!(world.voters[first].alive, "it was asked, not shot");
    assert!(world.saw(first, |event| matches!(
        event,
        Event::StoppedServing { clean: true, .. }
    )));
}

#[test]
fn hole_13_a_bad_server_address_yields_once_to_whom_it_keeps_out() {
    let mut world = World::voters(1, 2);
    let first = world.expect_leader(SECOND.times(3));
    world.voters[first].facts.remote_seen = false;
    let other = 1 - first;
    assert!(
        world.run_until(SECOND.times(10), |world| world.leaders() == [other]),
        "{:#?}",
        world.stages()
    );
    assert!(world.voters[first].alive);
    world.voters[other].facts.remote_seen = false;
    world.run(BARREN_FORGOTTEN - SECOND.times(5));
    assert_eq!(
        world.leaders(),
        [other],
        "the barren one does not get it back: no fence loop"
    );
    assert!(world.voters[first].alive && world.voters[other].alive);
}

#[test]
fn a_voter_that_left_an_answering_leader_alone_goes_on_as_soon_as_that_one_leaves() {
    let mut world = World::voters(1, 2);
    let leader = world.expect_leader(SECOND.times(3));
    world.connect_all(leader);
    world.run(SECOND);
    world.lose(leader, false);
    world.voters[leader].facts.away = 1;
    let other = 1 - leader;
    let rests = |world: &World| matches!(world.voters[other].election.stage, Stage::Rest { .. });
    // Until its pauses are long.
    world.run(SECOND.times(40));
    assert!(world.run_until(SECOND.times(20), rests), "{:#?}", world.stages());
    let now = world.now;
    world.voters[leader].election.resign(now);
    world.voters[leader].election.set_wanted(now, false, None);
    assert!(
        world.run_until(SECOND.times(4), |world| world.leaders() == [other]),
        "{:#?}",
        world.stages()
    );
    assert!(world.voters[leader].alive);
}

#[test]
fn a_barren_voter_that_nobody_took_over_from_asks_again_after_a_minute() {
    let mut world = World::voters(2, 2);
    let first = world.expect_leader(SECOND.times(3));
    let other = 1 - first;
    world.voters[first].facts.remote_seen = false;
    let yielded = |world: &World| world.voters[first].election.said.barren;
    assert!(
        world.run_until(SECOND.times(10), yielded),
        "{:#?}",
        world.stages()
    );
    world.voters[other].alive = false;
    world.run(BARREN_FORGOTTEN + SECOND.times(2));
    assert!(world.leaders().is_empty());
    assert!(!world.voters[first].election.said.barren);
}

#[test]
fn a_clock_that_jumps_before_the_seal_does_not_put_the_fence_off() {
    let mut world = World::voters(2, 3);
    let elected = |world: &World, but: Option<usize>| {
        let seals = |&n: &usize| matches!(world.voters[n].election.stage, Stage::Seal { .. });
        (0..3).filter(|&n| Some(n) != but).find(seals)
    };
    assert!(world.run_until(SECOND.times(3), |world| elected(world, None).is_some()));
    let first = elected(&world, None).unwrap();
    // It dies before it claims: no super block names it, and no bell finds out that it is dead.
    world.run(Duration::from_millis(6));
    world.voters[first].alive = false;
    assert!(world.run_until(SECOND.times(9), |world| elected(world, Some(first)).is_some()));
    let second = elected(&world, Some(first)).unwrap();
    while elected(&world, Some(first)).is_some() {
        world.voters[second].election.pace.cycle_took(SECOND.times(300));
        world.run(Duration(100));
    }
    assert!(
        world.run_until(SECOND.times(20), |world| world.leaders() == [second]),
        "{:#?}",
        world.stages()
    );
    assert!(world.saw(second, |event| matches!(event, Event::Fencing { .. })));
}

#[test]
fn a_resigned_leader_needs_no_fence() {
    let mut world = World::voters(1, 2);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].election.resign(world.now);
    world.voters[first].election.set_wanted(world.now, false, None);
    let server = world.voters[first].served.unwrap();
    world.voters[1 - first].election.set_wanted(
        world.now,
        true,
        Some(Lost {
            server,
            refused: true,
        }),
    );
    let began = world.now;
    assert!(
        world.run_until(SECOND, |world| world.leaders() == [1 - first]),
        "{:#?}",
        world.stages()
    );
    std::println!("hand-over after {} ms", world.now.since(began).0 / 1000);
    assert!(!world.saw(1 - first, |event| matches!(event, Event::Fencing { .. })));
    assert!(world.voters[first].election.is_off());
}

#[test]
fn a_refused_fence_keeps_the_next_leader_from_serving() {
    let mut world = World::new(1);
    let hasty = |voter: &mut VoterConfig| voter.fence_time_max = Duration::from_secs(3);
    world.add(hasty);
    world.add(hasty);
    world.fence = FenceOutcome::Failed;
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].paused = true;
    world.lose(first, false);
    world.run(SECOND.times(12));
    let other = 1 - first;
    assert!(world.voters[other].election.wish().is_none());
    assert!(world.saw(other, |event| matches!(
        event,
        Event::GaveUp {
            why: GaveUp::FenceRefused(_),
            ..
        }
    )));
    world.fence = FenceOutcome::Done;
    assert!(world.run_until(SECOND.times(5), |world| {
        world.voters[other].election.wish().is_some()
    }));
}

#[test]
fn a_lease_is_waited_out_where_nobody_can_fence() {
    let mut world = World::new(1);
    let leased = |voter: &mut VoterConfig| {
        voter.can_fence = false;
        voter.lease = Some(Duration::from_secs(2));
    };
    world.add(leased);
    world.add(leased);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND.times(10));
    assert_eq!(world.leaders(), [first], "looks keep the right");
    world.voters[first].paused = true;
    world.lose(first, false);
    let other = 1 - first;
    let stopped = world.now;
    assert!(
        world.run_until(SECOND.times(20), |world| world.leaders() == [other]),
        "{:#?}",
        world.stages()
    );
    assert!(
        world.now.since(stopped) > SECOND.times(6),
        "lease and W were waited out"
    );
    world.voters[first].paused = false;
    world.run(SECOND.times(5));
    assert_eq!(world.leaders(), [other]);
    assert!(world.voters[first].election.wish().is_none());
}

#[test]
fn a_host_without_a_fence_does_not_succeed_a_leader_that_promises_nothing() {
    let mut world = World::new(1);
    world.add(|_| {});
    world.add(|voter| voter.can_fence = false);
    world.voters[1].election.set_wanted(world.now, false, None);
    let first = world.expect_leader(SECOND.times(3));
    world.run(SECOND);
    world.voters[first].alive = false;
    world.lose(first, true);
    world.run(SECOND.times(10));
    assert!(world.leaders().is_empty());
    assert!(world.saw(1, |event| matches!(
        event,
        Event::GaveUp {
            why: GaveUp::CannotFence(_),
            ..
        }
    )));
}

#[test]
fn hole_06_a_slow_disk_still_elects() {
    let mut world = World::voters(2, 3);
    world.io = Duration::from_millis(40);
    let leader = world.expect_leader(SECOND.times(60));
    std::println!("{leader} leads after {} ms", world.now.0 / 1000);
}

#[test]
fn a_leader_whose_disk_fails_stops_and_stays_to_be_fenced() {
    let mut world = World::voters(1, 2);
    let first = world.expect_leader(SECOND.times(3));
    world.connect_all(first);
    world.run(SECOND);
    world.voters[first].disk_fails = true;
    world.run(SECOND.times(5));
    assert!(world.voters[first].election.wish().is_none());
    assert!(world.voters[first].election.is_disk_failing());
    world.lose_after_failure(first);
    assert!(
        world.run_until(SECOND.times(6), |world| world.leaders() == [1 - first]),
        "{:#?}",
        world.stages()
    );
}

#[test]
fn sixteen_voters_elect_one() {
    let mut world = World::voters(9, 16);
    let leader = world.expect_leader(SECOND.times(20));
    world.connect_all(leader);
    world.run(SECOND.times(3));
    assert_eq!(world.leaders(), [leader]);
}
