//! With all rules no world has a violation; without any one of them, a world has.

#![forbid(unsafe_code)]

use ostrakon_core::rules::Rule;
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
    rule_off_r4_second_collect "r4-second-collect"
    rule_off_r4_n_one_too_small_for_two "r4-n-one-too-small-for-two"
    rule_off_r4_n_one_too_small_for_three "r4-n-one-too-small-for-three"
    rule_off_r5_abort "r5-abort"
    rule_off_r6_r8_check_fenced "r6-check-fenced"
    rule_off_r8_read_again "r8-read-again"
    rule_off_r7_fence_stops_writes "r7-fence-stops-writes"
    rule_off_r7_fence_all "r7-silence-all"
    rule_off_r7_mark_confirmed "r7-mark-confirmed"
    rule_off_r10_invalid_is_not_empty "r10-invalid-is-not-empty"
    rule_off_r4_left_out_without_k "r4-left-out-without-k"
    rule_off_r4_torn_without_t "r4-torn-without-t"
    rule_off_r4_late_without_d "r4-late-without-d"
    rule_off_r3_one_ballot "r3-one-ballot"
    rule_off_r3_wait_for_failed_claim "r3-wait-for-failed-claim"
    rule_off_r3_no_void_after_claim "r3-no-void-after-claim"
    rule_off_r8_copy_order "r8-copy-order"
    rule_off_r7_stop_in_both "r7-stop-in-both"
    rule_off_r10_two_passes "r10-two-passes"
    rule_off_lease_look_ends_with_super "lease-look-ends-with-super"
    rule_off_lease_stop_within_right "lease-stop-within-right"
    rule_off_r1_merge_all_terms "r1-merge-all-terms"
    rule_off_2019 "rules-2019"
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

/// Rules of core that the search does not know: what they are about is not in its worlds, and the simulator tells a story of each.
const OF_THE_SIMULATOR: [Rule; 6] = [
    Rule::OneWrite,
    Rule::Seal,
    Rule::Silence,
    Rule::StopReads,
    Rule::StopLast,
    Rule::WithinRight,
];

#[test]
fn a_rule_has_one_name_here_and_in_core() {
    let here = |rule: &Rule| rows().iter().any(|row| row.name == rule.name());
    let missed: Vec<_> = Rule::ALL.iter().filter(|rule| !here(rule)).copied().collect();
    assert_eq!(missed, OF_THE_SIMULATOR);
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
