//! Scenarios for rules for safety that random runs seldom need. With all rules they end well; that each of them fails
//! with its rule switched off is tested in `rules_off.rs`.

#![forbid(unsafe_code)]

use ostrakon_core::rules::Rule;
use ostrakon_tests::sim::stories::stories;

fn tell(rule: Rule) {
    let mut told = 0;
    for story in stories().into_iter().filter(|story| story.rule == rule) {
        story.scenario.play(story.tell);
        told += 1;
    }
    assert!(told > 0, "a story about {}", rule.name());
}

#[test]
fn r5_a_lower_candidate_gives_way_to_a_higher_one_that_waits() {
    tell(Rule::Abort);
}

#[test]
fn r6_a_candidate_that_slept_through_a_whole_reign_does_not_serve() {
    tell(Rule::CheckFenced);
}

#[test]
fn r8_a_clean_stop_at_the_moment_of_the_fence_is_not_overwritten() {
    tell(Rule::ReadAgain);
}

#[test]
fn r8_two_leaders_that_die_in_their_first_update_leave_a_super_block() {
    tell(Rule::CopyOrder);
}

#[test]
fn lease_a_look_that_was_paused_gives_no_right_when_the_reign_is_over() {
    tell(Rule::LookEndsWithSuper);
}

#[test]
fn lease_a_leader_that_was_paused_has_no_right_when_it_wakes() {
    tell(Rule::WithinRight);
}

#[test]
fn lease_a_clean_stop_that_was_paused_is_not_written_beside_a_successor() {
    tell(Rule::StopWithinRight);
}

#[test]
fn every_story_is_told() {
    let told = [
        Rule::Abort,
        Rule::CheckFenced,
        Rule::ReadAgain,
        Rule::CopyOrder,
        Rule::LookEndsWithSuper,
        Rule::WithinRight,
        Rule::StopWithinRight,
    ];
    assert!(stories().iter().all(|story| told.contains(&story.rule)));
}
