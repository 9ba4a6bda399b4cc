//! What a healed world has to do in time: worlds that are not healed, but taken to be, are found out. And what is counted.

use ostrakon_core::format::hello::HELLO_BYTES;
use ostrakon_core::net::ConnId;

use crate::sim::clock::Time;
use crate::sim::core_first::{CoreFirst, Rest};
use crate::sim::course::{Course, Courses};
use crate::sim::dice::Dice;
use crate::sim::disk::Path;
use crate::sim::net::{Guise, Who};
use crate::sim::options::{Mischief, Options};
use crate::sim::scenario::{Scenario, voters};
use crate::sim::trace::Listen;
use crate::sim::world::{World, Wrong};

/// A world whose faults are said to have stopped at this moment, with its server.
fn calm(scenario: &Scenario) -> (World, usize) {
    let mut world = scenario.world(1, Listen::Nobody);
    let server = world.expect_server();
    world.expect_connected_all();
    world.course.calm_at = world.now;
    (world, server)
}

/// Fails unless progress was missed that says this, and soon after this time in microseconds.
fn expect_too_late(world: &World, says: &str, limit: u64) {
    match &world.wrong {
        Some(Wrong::NoProgress(what)) => {
            assert!(what.contains(says), "found, but for another reason: {what}")
        }
        other => panic!("expected no progress that says \"{says}\", found {other:?}"),
    }
    let took = world.now - world.course.calm_at;
    assert!(
        (limit..limit + 5_000_000).contains(&took),
        "found after {took} us"
    );
}

#[test]
fn a_server_in_time_is_fine() {
    let (mut world, server) = calm(&voters(3).clients(1));
    world.crash(server);
    world.restart(server);
    world.expect_convergence();
    assert_eq!(world.wrong, None);
    assert!(world.course.to_server <= world.course.to_connect);
    assert!(world.course.to_connect.is_some());
}

#[test]
fn no_server_in_time() {
    let (mut world, server) = calm(&voters(3));
    world.options.fence.refuse_ppm = 1_000_000;
    world.pause(server);
    world.expect_convergence();
    expect_too_late(&world, "no server within", world.options.time_to_server());
}

#[test]
fn a_client_that_is_not_connected_in_time() {
    let (mut world, _) = calm(&voters(3).clients(1));
    world.isolate(3);
    world.run_for(3_000);
    world.course.calm_at = world.now;
    world.expect_convergence();
    expect_too_late(
        &world,
        "not everybody is connected",
        world.options.time_to_connect(),
    );
}

#[test]
fn a_strike_that_changes_nothing_is_not_counted() {
    let mut scenario = voters(2);
    scenario.options.chaos.weights[Mischief::ALL
        .iter()
        .position(|&it| it == Mischief::Heal)
        .expect("it is one")] = 1;
    let (mut world, _) = calm(&scenario);
    world.chaos = true;
    world.strike();
    assert_eq!(world.check.counts.strikes, 0, "every link was whole");
    world.cut_link(0, 1);
    world.strike();
    assert_eq!(world.check.counts.strikes, 1);
}

#[test]
fn verbs_say_whether_they_change_anything() {
    let (mut world, _) = calm(&voters(3));
    assert!(!world.resume(0) && world.pause(0) && !world.pause(0) && world.resume(0));
    assert!(!world.restart(0) && world.crash(0) && !world.crash(0) && world.restart(0));
    assert!(!world.heal() && world.isolate(1) && !world.isolate(1) && world.heal());
    assert!(
        !world.find_disk(1) && world.lose_disk(1, true) && !world.lose_disk(1, true) && world.find_disk(1)
    );
    assert!(world.unmount(1) && !world.unmount(1));
    assert!(world.power_off(2) && !world.power_off(2) && !world.lose_disk(2, true));
}

#[test]
fn what_many_runs_come_to() {
    let course = |served_in_chaos, seconds| Course {
        served_in_chaos,
        to_server: Some(seconds),
        ..Course::default()
    };
    let mut courses = Courses::default();
    for (seed, course) in [course(0, 5), course(1, 9), course(2, 7), course(3, 1)]
        .iter()
        .enumerate()
    {
        courses.add(seed as u64, course);
    }
    assert_eq!((courses.contested, courses.unserved), (2, 1));
    assert_eq!((courses.to_server.time, courses.to_server.seed), (9, 1));
}

#[test]
fn a_voter_starts_where_another_has_left() {
    for replaced in [true, false] {
        let (mut world, _) = calm(&voters(1));
        world.unmount(0);
        world.calm();
        world.course.voters_leave = replaced;
        world.expect_left(0);
        world.expect_convergence();
        if replaced {
            assert_eq!(world.wrong, None);
            assert_eq!(world.newest_process_of(0), 1, "the first has left");
        } else {
            // Nothing happens any more, so that nobody looks before the world is given up.
            assert!(
                matches!(&world.wrong, Some(Wrong::NoProgress(what)) if what.contains("no server within"))
            );
        }
    }
}

/// A world whose server is beside the core.
fn beside_the_server(rest: Rest) -> (World, usize) {
    let (mut world, server) = calm(&voters(3).clients(1));
    let first = (server + 1) % 3;
    world.options.core_first = Some(CoreFirst { rest, first });
    (world, server)
}

#[test]
fn a_core_does_without_the_others() {
    for rest in [
        Rest::Frozen,
        Rest::CutOff,
        Rest::NoDisk(false),
        Rest::NoDisk(true),
    ] {
        let (mut world, server) = beside_the_server(rest);
        world.expect_a_core();
        assert_eq!(world.wrong, None, "{rest:?}");
        assert!(
            world.course.core_first && world.course.core_to_connect.is_some(),
            "{rest:?}"
        );
        assert_ne!(world.server(), Some(server), "{rest:?}");
        world.calm();
        world.expect_convergence();
        assert_eq!(world.wrong, None, "{rest:?}");
    }
    let (mut world, server) = beside_the_server(Rest::AsTheyAre);
    world.expect_a_core();
    assert_eq!(world.wrong, None);
    assert_eq!(world.server(), Some(server), "nothing is wrong with it");
}

#[test]
fn a_core_that_gets_no_server() {
    let (mut world, _) = beside_the_server(Rest::Frozen);
    // One voter is taken for a quorum, beside two that are frozen.
    world.options.quorum_count = 1;
    world.expect_a_core();
    expect_too_late(&world, "no server within", world.options.time_to_server());
}

#[test]
fn there_is_no_core_without_voters_that_stay_or_without_others_beside_it() {
    let (mut world, server) = beside_the_server(Rest::Frozen);
    world.options.quorum_count = 3;
    world.expect_a_core();
    world.options.quorum_count = 1;
    world.options.core_first = Some(CoreFirst {
        rest: Rest::CutOff,
        first: 0,
    });
    world.expect_a_core();
    world.options.quorum_count = 2;
    for host in (0..3).filter(|&host| host != server) {
        world.unmount(host);
    }
    world.expect_a_core();
    assert!(!world.course.core_first);
}

#[test]
fn only_the_healthy_must_not_be_taken_out_of_the_table() {
    let (mut world, server) = calm(&voters(3).clients(1));
    world.run_for(20_000);
    let client = world.process_on(3).expect("it is connected");
    let rid = world.procs[client].rid;
    let other = (server + 1) % 3;
    let mut is_healthy = |change: &dyn Fn(&mut World)| {
        change(&mut world);
        world.record_gone(rid);
        world.wrong.take().is_some()
    };
    assert!(is_healthy(&|_| {}));
    assert!(
        is_healthy(&|world| world.net.set_cut(3, other, true)),
        "it needs not reach everybody"
    );
    assert!(!is_healthy(&|world| world.net.set_cut(server, 3, true)));
    assert!(is_healthy(&|world| world.net.set_cut(server, 3, false)));
    assert!(!is_healthy(&|world| world.hosts[3].path = Path::Failing));
}

/// Seed 2090851 of the random runs: a leader that was cut off evicted a voter, rightly; the next one, which that voter reaches, takes it out
/// of the table when it has given its place back.
#[test]
fn who_was_evicted_while_it_was_away_may_give_its_place_back_in_health() {
    let (mut world, server) = calm(&voters(3));
    world.run_for(20_000);
    let procs = [0, 1, 2].map(|host| world.process_on(host).expect("it runs"));
    let (leads, away) = (procs[server], (server + 1) % 3);
    world.net.set_cut(server, away, true);
    world.procs[procs[away]].evicted = true;
    super::puppet::write_table(&mut world, leads, 1_000, &procs);
    world.net.set_cut(server, away, false);
    let others: Vec<_> = procs.into_iter().filter(|&proc| proc != procs[away]).collect();
    super::puppet::write_table(&mut world, leads, 1_001, &others);
    assert_eq!(world.wrong, None);
    assert_eq!(world.check.records.len(), 2);
}

#[test]
fn who_writes_the_region_is_not_at_rest() {
    let (mut world, server) = calm(&voters(3));
    world.run_for(60_000);
    assert!(world.is_settled());
    let other = world.process_on((server + 1) % 3).expect("it is connected");
    let (at, block) = super::puppet::region_block(&world, other, 7, &[]);
    super::puppet::write(&mut world, other, at, &block);
    assert!(!world.is_settled());
    world.run_for(1_000);
    assert!(world.is_settled());
}

#[test]
fn longer_chaos_is_drawn_in_small_worlds_only() {
    let drawn = (0..400).map(|seed| {
        let mut options = Options::draw(&mut Dice::new(seed));
        let usual = options.chaos_ms;
        options.draw_extras(seed);
        assert_eq!(options.chaos_ms, usual + options.longer_ms);
        assert!(options.longer_ms == 0 || options.hosts() <= 6);
        options.longer_ms > 0
    });
    let longer = drawn.filter(|&longer| longer).count();
    assert!((20..80).contains(&longer), "{longer} of 400");
}

#[test]
fn chaos_ends_when_enough_has_happened() {
    let endless = (0..400).filter(|&seed| {
        let mut options = Options::draw(&mut Dice::new(seed));
        options.draw_extras(seed);
        options.chaos_events == u64::MAX
    });
    let endless = endless.count();
    assert!((5..80).contains(&endless), "{endless} of 400");
    let mut world = World::new(
        Options {
            chaos_ms: 1_000_000,
            chaos_events: 300,
            ..Options::draw(&mut Dice::new(3))
        },
        Dice::new(3),
        Listen::Nobody,
    );
    world.begin_chaos();
    world.let_chaos_reign();
    assert_eq!(world.steps(), 300);
    assert!(world.now < 1_000_000_000);
}

/// A world of one voter that leaves within 100 ms, which was told so in vain.
fn deaf_to_leaving() -> (World, Time) {
    let scenario = voters(1).with(|options| options.unmount_time_max_ms = Some(100));
    let mut world = scenario.world(1, Listen::Nobody);
    world.run_for(3_000);
    let time = world.options.time_to_leave().expect("it has one");
    world.expect_leaving_in_time(0);
    (world, time / 1_000)
}

#[test]
fn one_that_was_told_to_leave_and_does_not() {
    let (mut world, time_ms) = deaf_to_leaving();
    world.run_for(time_ms - 100);
    assert_eq!(world.wrong, None);
    world.run_until(world.now + 200_000);
    let wrong = world.wrong.expect("it stays");
    assert!(wrong.to_string().contains("has not ended"), "{wrong}");
}

#[test]
fn one_that_does_not_run_is_given_the_time_to_leave_again() {
    let (mut world, time_ms) = deaf_to_leaving();
    world.pause(0);
    world.run_for(3 * time_ms);
    world.resume(0);
    world.run_for(time_ms - 100);
    assert_eq!(world.wrong, None);
    world.unmount(0);
    world.run_for(2 * time_ms);
    assert_eq!(world.wrong, None);
}

#[test]
fn who_tells_an_impostor_more_than_a_hello() {
    let mut world = voters(2).world(1, Listen::Nobody);
    world.impersonate(1, Guise::Mute);
    for (bytes, fine) in [(HELLO_BYTES, true), (HELLO_BYTES + 1, false)] {
        let key = world.open_conn(0, Who::Process(0, ConnId(99)), 1);
        world.run_for(10);
        world.transmit(key, 0, &vec![7; bytes]);
        world.run_until(world.now + 10_000);
        assert_eq!(world.wrong.is_none(), fine, "{:?}", world.wrong);
    }
    let wrong = world.wrong.expect("it said too much").to_string();
    assert!(wrong.contains("an impostor heard"), "{wrong}");
}

#[test]
fn a_weight_is_found_by_its_mischief() {
    for (place, &mischief) in Mischief::ALL.iter().enumerate() {
        assert_eq!(mischief as usize, place, "{mischief:?}");
    }
}
