//! One scenario, or more, for each rule for progress: no fence loops, no livelocks, no state from which a live
//! quorum never gets a server; and no harm done to the healthy on the way.

#![forbid(unsafe_code)]

use ostrakon_core::event::{Event, GaveUp, Silenced, Unmounted};
use ostrakon_core::format::SUPER_COPIES;
use ostrakon_tests::sim::options::{FenceKind, Span};
use ostrakon_tests::sim::{World, voters};

fn elections(world: &World) -> usize {
    world.told_by_anybody(|event| matches!(event, Event::Elected(_)))
}

#[test]
fn a_single_voter_elects_itself() {
    voters(1).quorum(1).clients(3).play(|world| {
        world.expect_server();
        world.expect_connected_all();
    });
}

#[test]
fn sixteen_voters_elect() {
    voters(16).clients(4).seeds(3).play(|world| {
        world.expect_server();
        world.expect_connected_all();
    });
}

#[test]
fn a_hundred_clients_mount_and_come_back_after_a_fail_over() {
    let roomy = |options: &mut ostrakon_tests::sim::Options| options.clients_max = 160;
    voters(3).clients(100).with(roomy).seeds(2).play(|world| {
        let first = world.expect_server();
        world.expect_connected_all();
        world.crash(first);
        world.expect_another_server_than(first);
        world.expect_connected_all();
        world.run_for(world.options.recovery_ms + 2_000);
        assert!(
            world.check.counts.evicted <= 1,
            "nobody is evicted but the mount of the server that died"
        );
    });
}

#[test]
fn a_crowd_that_waits_to_be_accepted_comes_back_in_time() {
    a_crowd_comes_back(Span(1_000, 12_000), 1);
}

#[test]
fn a_crowd_that_is_far_away_comes_back_in_time() {
    // As far as the design promises, to and fro: the grace of a stranger has to cover it.
    let one_way = ostrakon_core::bounds::ROUND_TRIP_MAX.0 / 2;
    a_crowd_comes_back(Span(one_way / 2, one_way), 2);
}

/// Three hundred clients lose their server, so far from one another, and nobody is evicted but the mount of that server.
fn a_crowd_comes_back(delay: Span, seeds: u64) {
    let crowded = |options: &mut ostrakon_tests::sim::Options| {
        options.clients_max = 340;
        options.net.delay = delay;
        (options.silence_max_ms, options.recovery_ms) = (1_000, 4_000);
    };
    voters(3).clients(300).with(crowded).seeds(seeds).play(|world| {
        let first = world.expect_server();
        world.expect_connected_all();
        world.crash(first);
        world.expect_another_server_than(first);
        world.expect_connected_all();
        world.run_for(world.options.recovery_ms + 2_000);
        assert!(
            world.check.counts.evicted <= 1,
            "{} were evicted, expected at most the mount of the server that died",
            world.check.counts.evicted
        );
    });
}

#[test]
fn a_first_election_on_an_idle_disk_takes_less_than_two_seconds() {
    voters(3).quorum(2).play(|world| {
        world.expect_within(2_000, "the first server", |world| world.server().is_some());
    });
}

#[test]
fn a_fail_over_takes_well_under_a_second() {
    let instant = |options: &mut ostrakon_tests::sim::Options| {
        options.fence.delay = ostrakon_tests::sim::options::Span(0, 100);
    };
    voters(3).quorum(2).clients(1).with(instant).play(|world| {
        let first = world.expect_server();
        world.expect_connected_all();
        world.crash(first);
        world.expect_within(1_000, "the client of a survivor is served", |world| {
            world.is_connected(3)
        });
    });
}

#[test]
fn while_a_server_runs_nobody_else_touches_the_disk() {
    voters(3).quorum(2).clients(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.run_for(10_000);
        let others: Vec<usize> = world
            .living()
            .into_iter()
            .filter(|&host| host != server)
            .collect();
        let before: Vec<u64> = others.iter().map(|&host| world.requests_of(host)).collect();
        let own = world.requests_of(server);
        world.run_for(60_000);
        let after: Vec<u64> = others.iter().map(|&host| world.requests_of(host)).collect();
        assert_eq!(before, after, "voters and clients are idle");
        let own = world.requests_of(server) - own;
        assert!(own <= 60 * 3, "the server itself made {own} requests in a minute");
    });
}

#[test]
fn a_severed_voter_neither_deposes_the_leader_nor_runs_its_term_up() {
    voters(3).quorum(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        let term = world.check.server.expect("somebody serves").term;
        let severed = world.other_voters(server)[0];
        world.isolate(severed);
        world.run_for(60_000);
        assert_eq!(world.server(), Some(server));
        world.heal();
        world.expect_connected_all();
        assert_eq!(
            world.server(),
            Some(server),
            "it came back without a change of leader"
        );
        assert_eq!(
            world.check.server.expect("somebody serves").term,
            term,
            "and without a new term"
        );
    });
}

#[test]
fn two_hosts_with_a_severed_link_keep_their_leader() {
    // The commonest appliance: two controllers, quorum 1. They must not shoot each other in turn.
    voters(2).quorum(1).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        let fences = world.check.counts.fences;
        world.cut_link(0, 1);
        world.run_for(120_000);
        assert_eq!(
            world.server(),
            Some(server),
            "the leader answers the doorbell and stays"
        );
        assert_eq!(world.check.counts.fences, fences, "nobody was shot");
        world.heal();
        world.expect_connected_all();
        assert_eq!(world.server(), Some(server));
    });
}

#[test]
fn a_leader_cut_off_from_the_majority_goes() {
    voters(3).quorum(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.isolate(server);
        world.expect_another_server_than(server);
    });
}

#[test]
fn of_two_hosts_with_quorum_one_the_survivor_takes_over() {
    voters(2).quorum(1).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.power_off(server);
        world.expect_another_server_than(server);
        world.restart(server);
        world.expect_connected_all();
    });
}

#[test]
fn a_leader_that_stops_on_purpose_is_succeeded_at_once_and_not_fenced() {
    voters(3).quorum(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        let fences = world.check.counts.fences;
        world.unmount(server);
        world.expect_left(server);
        world.expect_within(1_000, "the next server", |world| {
            world.server().is_some_and(|next| next != server)
        });
        assert_eq!(world.check.counts.fences, fences, "nobody was fenced");
    });
}

#[test]
fn a_candidate_that_gave_up_is_not_fenced() {
    // All start at once, again and again: duels, and nobody is shot for having lost one.
    voters(5)
        .quorum(1)
        .with(|options| options.start_within_ms = 1)
        .seeds(40)
        .play(|world| {
            world.expect_server();
            world.expect_connected_all();
            assert_eq!(
                world.check.counts.healthy_fenced, 0,
                "nobody who was well was fenced"
            );
        });
}

/// Every candidate is killed while it asks for the fences of those before it, until a dozen ballots have nobody who could
/// void them. Then each fence comes in time only every second time: all of a dozen, once in some 4,000 candidacies.
#[test]
fn a_fence_that_was_confirmed_is_not_repeated() {
    let fencing = |world: &World| {
        let fences = |host: usize| {
            let own = world
                .history
                .iter()
                .filter(|(_, proc, _)| world.process_on(host) == Some(*proc));
            own.into_iter()
                .any(|(_, _, event)| matches!(event, Event::Fencing { .. }))
        };
        (0..3).find(|&host| fences(host))
    };
    voters(3)
        .quorum(2)
        .with(|options| {
            options.fence.kind = FenceKind::KillProcess;
            options.fence.delay = Span(1_500_000, 3_000_000);
            options.fence.report = Span(0, 100);
            options.fence_time_max_ms = 2_250;
        })
        .seeds(4)
        .play(|world| {
            let first = world.expect_server();
            world.expect_connected_all();
            world.options.fence.refuse_ppm = 1_000_000;
            world.crash(first);
            world.restart(first);
            for _ in 0..12 {
                world.expect_within(20_000, "a candidate that fences", |world| {
                    fencing(world).is_some()
                });
                let candidate = fencing(world).expect("it was there a moment ago");
                world.crash(candidate);
                world.restart(candidate);
            }
            world.options.fence.refuse_ppm = 0;
            world.expect_within(60_000, "a server", |world| world.server().is_some());
            world.expect_connected_all();
            let before = |event: &Event| {
                matches!(
                    event,
                    Event::Silenced {
                        how: Silenced::FencedBefore,
                        ..
                    }
                )
            };
            assert!(
                world.told_by_anybody(before) > 0,
                "more than one candidate it took"
            );
        });
}

#[test]
fn duels_end() {
    voters(6)
        .quorum(1)
        .disk_latency(1_000, 20_000)
        .with(|options| options.start_within_ms = 1)
        .play(|world| {
            world.expect_server();
            world.expect_connected_all();
            let elected = elections(world);
            world.run_for(20_000);
            assert_eq!(elections(world), elected, "and then there is peace");
        });
}

#[test]
fn after_a_power_cut_of_everything_nobody_shoots_a_reborn_host() {
    voters(3).quorum(2).fence(FenceKind::PowerOff).play(|world| {
        world.expect_server();
        world.expect_connected_all();
        for host in 0..3 {
            world.power_off(host);
        }
        world.run_for(500);
        for host in 0..3 {
            world.restart(host);
        }
        world.expect_server();
        world.expect_connected_all();
    });
}

#[test]
fn a_leader_that_loses_its_disk_is_succeeded() {
    for hangs in [false, true] {
        voters(3).quorum(2).play(|world| {
            let server = world.expect_server();
            world.expect_connected_all();
            world.lose_disk(server, hangs);
            world.expect_another_server_than(server);
            world.find_disk(server);
            world.run_for(3_000);
        });
    }
}

#[test]
fn under_a_lease_a_dead_leader_is_succeeded_without_a_fence() {
    voters(3).quorum(2).clients(1).lease(2_000).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.power_off(server);
        world.expect_another_server_than(server);
        world.restart(server);
        world.expect_connected_all();
        assert_eq!(world.check.counts.fences, 0, "there is nothing to fence with");
        let ran_out = |event: &Event| {
            matches!(
                event,
                Event::Silenced {
                    how: Silenced::LeaseRanOut,
                    ..
                }
            )
        };
        assert!(world.told_by_anybody(ran_out) > 0);
    });
}

#[test]
fn under_a_lease_a_severed_leader_falls_silent_by_itself() {
    voters(3).quorum(2).lease(2_000).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.lose_disk(server, true);
        world.isolate(server);
        world.expect_another_server_than(server);
        world.heal();
        world.find_disk(server);
        world.expect_connected_all();
    });
}

#[test]
fn a_paused_leader_under_a_lease_wakes_without_a_right() {
    voters(3).quorum(2).lease(2_000).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.pause(server);
        world.expect_another_server_than(server);
        world.resume(server);
        world.expect_connected_all();
    });
}

#[test]
fn a_slow_disk_scales_every_timer() {
    voters(3).quorum(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.set_disk_latency(40_000, 60_000);
        world.run_for(10_000);
        assert_eq!(
            world.server(),
            Some(server),
            "a disk that turns slow deposes nobody"
        );
        world.crash(server);
        world.expect_another_server_than(server);
    });
}

/// Of three voters the server and another one lose their power, and the third is told to leave: in this order.
fn leaving_alone(world: &mut World) -> [usize; 3] {
    let server = world.expect_server();
    world.expect_connected_all();
    let others = world.other_voters(server);
    let (back, leaving) = (others[0], others[1]);
    world.power_off(server);
    world.power_off(back);
    world.unmount(leaving);
    [server, back, leaving]
}

#[test]
fn an_unmount_below_quorum_waits_and_goes_on_when_a_voter_returns() {
    voters(3).quorum(2).play(|world| {
        let [_, back, leaving] = leaving_alone(world);
        world.run_for(20_000);
        assert!(
            world.process_on(leaving).is_some(),
            "it waits: its farewell has not been heard"
        );
        let waits = |event: &Event| matches!(event, Event::WaitingForQuorum { needed: 2, .. });
        assert!(world.told(leaving, waits) > 0, "and says so");
        world.restart(back);
        world.expect_server();
        world.expect_connected(back);
        // There is a server again, but the one who came back could not elect the next one alone.
        world.run_for(5_000);
        assert!(world.process_on(leaving).is_some(), "its farewell is held");
        world.unmount(back);
        let how = world.expect_left(leaving);
        assert!(matches!(how, Unmounted::Farewell | Unmounted::Barrier), "{how:?}");
    });
}

#[test]
fn an_unmount_that_is_not_to_wait_for_ever_leaves_its_record_to_the_next_server() {
    let hurried = |options: &mut ostrakon_tests::sim::Options| options.unmount_time_max_ms = Some(5_000);
    voters(3).quorum(2).clients(1).with(hurried).play(|world| {
        let [server, back, leaving] = leaving_alone(world);
        world.run_for(4_900);
        assert!(world.process_on(leaving).is_some(), "it waits for so long");
        // How long it may take from then on is judged wherever somebody leaves.
        let rid = world.procs[world.newest_process_of(leaving)].rid;
        assert_eq!(world.expect_left(leaving), Unmounted::LeftRecord);
        assert!(world.check.record(rid).is_some());
        world.restart(server);
        world.restart(back);
        world.expect_connected(3);
        world.expect("the end of a record", |world| world.check.record(rid).is_none());
    });
}

#[test]
fn a_mount_that_waits_for_a_quorum_can_be_cancelled() {
    voters(3).quorum(2).nobody_started().play(|world| {
        world.restart(0);
        world.run_for(3_000);
        world.unmount(0);
        let how = world.expect_left(0);
        assert_eq!(how, Unmounted::NeverMounted);
    });
}

#[test]
fn a_forced_unmount_ends_at_once() {
    voters(3).quorum(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.force(server);
        world.expect_within(100, "the end of the mount", |world| {
            world.process_on(server).is_none()
        });
        world.expect_another_server_than(server);
    });
}

#[test]
fn the_last_quorum_leaves_through_the_barrier() {
    voters(3).quorum(2).clients(2).play(|world| {
        world.expect_connected_all();
        let barrier = world.check.barrier;
        world.unmount_all();
        assert_eq!(world.check.barrier, barrier + 1, "the barrier rose once");
        assert!(
            world
                .check
                .records
                .values()
                .all(|record| record.barrier <= barrier),
            "nobody is mounted"
        );
        let [first, second] = world.check.supers;
        assert_eq!(first, second, "copies {SUPER_COPIES:?} agree");
    });
}

#[test]
fn a_volume_can_be_mounted_again_after_everybody_left() {
    voters(3).quorum(2).clients(1).play(|world| {
        for _ in 0..3 {
            world.expect_server();
            world.expect_connected_all();
            world.unmount_all();
            for host in 0..4 {
                world.restart(host);
            }
        }
        assert_eq!(world.check.counts.fences, 0, "clean stops need no fence");
    });
}

#[test]
fn requests_are_answered_across_a_fail_over() {
    voters(3).quorum(2).clients(1).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        assert!(world.request(3), "the client takes a request");
        world.expect("the first answer", |world| {
            world.procs[world.newest_process_of(3)].asked.is_empty()
        });
        world.pause(server);
        assert!(world.request(3), "the client takes another");
        world.expect("the second answer", |world| {
            world.procs[world.newest_process_of(3)].asked.is_empty()
        });
    });
}

#[test]
fn a_leader_does_not_resign_because_its_clients_left() {
    voters(3).quorum(2).clients(2).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        world.unmount(3);
        world.unmount(4);
        world.expect_left(3);
        world.expect_left(4);
        world.run_for(20_000);
        assert_eq!(world.server(), Some(server));
    });
}

#[test]
fn a_foolish_quorum_elects_nobody_and_says_what_is_missing() {
    voters(2).quorum(3).play(|world| {
        world.run_for(20_000);
        assert_eq!(elections(world), 0);
        let asks = |event: &Event| matches!(event, Event::Asking { needed: 3, .. });
        assert!(
            world.told_by_anybody(asks) > 0,
            "they say how many votes they have"
        );
        let few = |event: &Event| {
            matches!(
                event,
                Event::GaveUp {
                    why: GaveUp::TooFewVotes,
                    ..
                }
            )
        };
        assert_eq!(
            world.told_by_anybody(few),
            0,
            "without a pre-vote nobody becomes a candidate"
        );
    });
}
