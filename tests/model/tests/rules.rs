//! With all rules no world has a violation; without any one of them, a world has.

#![forbid(unsafe_code)]

use ostrakon_model::config::{Config, Rules};
use ostrakon_model::search::search;
use ostrakon_model::worlds::{QUICK, QUICK_STATES_MAX, rows};

fn rule_off(name: &str) {
    let row = rows()
        .into_iter()
        .find(|row| row.name == name)
        .expect("a row of this name");
    let report = search(&row.config);
    let Some((violation, steps)) = report.violation else {
        panic!(
            "{name}: nothing was noticed in {} states: {:?}",
            report.states, row.config
        );
    };
    assert_eq!(steps.len() as u32, report.depth, "the trace is the whole way");
    println!(
        "{name}: {violation} after {} steps (then: {})",
        report.depth, row.steps_then
    );
}

macro_rules! rules_off {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            rule_off($name);
        })*

        #[test]
        fn every_row_has_a_test() {
            let tested = [$($name),*];
            let missed: Vec<_> = rows().iter().map(|row| row.name).filter(|name| !tested.contains(name)).collect();
            assert!(missed.is_empty(), "{missed:?}");
        }
    };
}

rules_off! {
    rule_off_r4_second_collect "second_collect"
    rule_off_r4_n_one_too_small_for_two "n_one_too_small_for_two"
    rule_off_r4_n_one_too_small_for_three "n_one_too_small_for_three"
    rule_off_r5_abort "abort"
    rule_off_r6_r8_check_fenced "check_fenced"
    rule_off_r8_read_again "read_again"
    rule_off_r7_fence_stops_writes "fence_stops_writes"
    rule_off_r7_fence_all "fence_all"
    rule_off_r7_mark_confirmed "mark_confirmed"
    rule_off_r10_invalid_is_not_empty "invalid_is_not_empty"
    rule_off_r4_left_out_without_k "left_out_without_k"
    rule_off_r4_torn_without_t "torn_without_t"
    rule_off_r4_late_without_d "late_without_d"
    rule_off_r3_one_ballot "one_ballot"
    rule_off_r3_wait_for_failed_claim "wait_for_failed_claim"
    rule_off_r3_no_void_after_claim "no_void_after_claim"
    rule_off_r8_copy_order "copy_order"
    rule_off_r7_stop_in_both "stop_in_both"
    rule_off_r10_two_passes "two_passes"
    rule_off_lease_look_ends_with_super "look_ends_with_super"
    rule_off_lease_stop_within_right "stop_within_right"
    rule_off_r1_merge_all_terms "merge_all_terms"
    rule_off_2019 "rules_2019"
}

/// A void covers every lower ballot of its rid, so that with one live ballot at a time (R3) the order of R1 makes
/// no difference: a rid whose highest ballot is void has no live one below.
#[test]
fn r1_the_order_of_merging_makes_no_difference_while_r3_holds() {
    let world = Config {
        blocks: 0,
        ballots: 4,
        failing_updates: 1,
        ..Config::BASE
    };
    let report = search(&world.without("void_before_highest"));
    assert!(report.complete && report.violation.is_none(), "{report:?}");
}

#[test]
fn every_rule_is_left_out_by_a_row_or_known_to_make_no_difference() {
    let left_out = |name: &str| {
        rows()
            .iter()
            .any(|row| row.config.rules == row.config.rules.without(name).expect("a rule"))
    };
    let kept: Vec<_> = Rules::NAMES.iter().filter(|name| !left_out(name)).collect();
    assert_eq!(kept, [&"void_before_highest"]);
}

#[test]
fn all_rules_hold_in_the_quick_worlds() {
    for config in QUICK {
        let report = search(config);
        assert!(report.violation.is_none(), "{}: {report:?}", config.name);
        let as_far_as_meant = config.states_max == QUICK_STATES_MAX && report.states >= QUICK_STATES_MAX;
        assert!(
            report.complete || as_far_as_meant,
            "{}: {} states",
            config.name,
            report.states
        );
        println!(
            "{}: {} states, depth {}",
            config.name, report.states, report.depth
        );
    }
}
