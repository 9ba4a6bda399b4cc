//! Scenarios for the rules for safety. With all rules they end well; that each of the stories fails with its rule switched off
//! is tested in `rules_off.rs`.

#![forbid(unsafe_code)]

use ostrakon_core::event::Event;
use ostrakon_core::format::SuperBlock;
use ostrakon_core::rules::Rule;
use ostrakon_tests::sim::disk::{Area, Plot};
use ostrakon_tests::sim::stories::stories;
use ostrakon_tests::sim::{Options, voters};

fn tell(rule: Rule) {
    let mut told = 0;
    for story in stories().into_iter().filter(|story| story.rule == rule) {
        story.scenario.play(story.tell);
        told += 1;
    }
    assert!(told > 0, "a story about {}", rule.name());
}

macro_rules! stories_told {
    ($($test:ident $rule:ident)*) => {
        $(#[test]
        fn $test() {
            tell(Rule::$rule);
        })*

        #[test]
        fn every_story_is_told() {
            let told = [$(Rule::$rule),*];
            assert!(stories().iter().all(|story| told.contains(&story.rule)));
        }
    };
}

stories_told! {
    r1_a_candidate_whose_vote_was_lost_forgets_nobody MergeAllTerms
    r2_writes_that_failed_land_late OneWrite
    r3_a_leader_that_lost_its_disk_stops_cleanly_when_it_finds_it OneBallot
    r3_a_claim_that_failed_may_have_landed NoVoidAfterClaim
    r4_somebody_is_elected Seal
    r5_a_lower_candidate_gives_way_to_a_higher_one_that_waits Abort
    r6_a_candidate_that_slept_through_a_whole_reign_does_not_serve CheckFenced
    r7_a_leader_that_froze_is_fenced Silence
    r7_two_leaders_that_froze_are_fenced SilenceAll
    r7_a_fence_that_never_came_is_not_taken_for_confirmed MarkConfirmed
    r7_a_clean_stop_that_stands_in_one_copy_is_not_believed StopInBoth
    r8_a_clean_stop_at_the_moment_of_the_fence_is_not_overwritten ReadAgain
    r8_two_leaders_that_die_in_their_updates_leave_a_super_block CopyOrder
    r9_a_server_stops_from_a_fresh_reading StopReads
    r9_a_server_that_stops_waits_for_its_table_write StopLast
    lease_a_look_that_was_paused_gives_no_right_when_the_reign_is_over LookEndsWithSuper
    lease_a_leader_that_was_paused_has_no_right_when_it_wakes WithinRight
    lease_a_clean_stop_that_was_paused_is_not_written_beside_a_successor StopWithinRight
}

/// Seed 9520 of the random runs: the checks took one that had given up rightly for one that is not silent. Its claim fails, another
/// seals a higher ballot meanwhile, and it finds that nothing of its claim stands.
#[test]
fn r3_a_claim_that_failed_for_good_is_void_and_another_takes_over() {
    let no_fence = |options: &mut Options| options.fence.refuse_ppm = 1_000_000;
    voters(2).quorum(1).with(no_fence).play(|world| {
        let claims = Plot {
            kind: |area| matches!(area, Area::Super(_)),
            lands_after: None,
            rest_later: None,
            fails: true,
        };
        world.hosts[..2]
            .iter_mut()
            .for_each(|host| host.plot = Some(claims));
        world.expect("a claim that failed", |world| {
            world.hosts.iter().any(|host| host.plot.is_none())
        });
        world.hosts[..2].iter_mut().for_each(|host| host.plot = None);
        let gave_up = |event: &Event| matches!(event, Event::GaveUp { .. });
        world.expect("a leader that gave up", move |world| {
            world.told_by_anybody(gave_up) > 0
        });
        world.expect_connected_all();
        assert_eq!(world.check.counts.fences, 0, "what is void needs no fence");
    });
}

/// Seed 244606 of the random runs: the second write of a clean stop says all that it has to say in its first sector. That has landed, and
/// the zeros behind it have not, so that both copies say the same while their leader does not know it yet, or is told
/// that it failed, or has died. Its successor believes them; when the zeros come they change nothing.
#[test]
fn r7_a_clean_stop_that_its_leader_does_not_know_of_is_believed() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Leader {
        Waits,
        IsToldThatItFailed,
        Dies,
    }
    let patient = |options: &mut Options| options.write_time_max_ms = 8_000;
    for leader in [Leader::Waits, Leader::IsToldThatItFailed, Leader::Dies] {
        voters(3).quorum(2).with(patient).play(|world| {
            let old = world.expect_server();
            let ballot = world.serves(old).expect("it serves");
            world.expect_connected_all();
            world.hosts[old].plot = Some(Plot {
                kind: |area| area == Area::Super(1),
                lands_after: Some(100),
                rest_later: Some(5_000_000),
                fails: leader == Leader::IsToldThatItFailed,
            });
            world.unmount(old);
            world.expect("a stop in both copies", move |world| {
                let stopped = |copy: &SuperBlock| copy.server == Some(ballot) && copy.fenced.covers(ballot);
                world
                    .check
                    .supers
                    .iter()
                    .all(|copy| copy.as_ref().is_some_and(stopped))
            });
            if leader == Leader::Dies {
                world.crash(old);
            }
            world.expect_another_server_than(old);
            world.run_for(6_000);
            assert_eq!(
                world.check.counts.fences, 0,
                "{leader:?}: who stopped is not fenced"
            );
        });
    }
}
