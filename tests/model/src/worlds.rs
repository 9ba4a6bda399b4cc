//! The worlds that are explored with all rules, and for each rule a world in which its absence is noticed.

use crate::config::Config;

/// A way to leave a rule out or to change it, and what the design's own search said about it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name: that of the rule in core and in the simulator, if core can leave it out.
    pub name: &'static str,
    /// The world.
    pub config: Config,
    /// Steps to a violation in the model that the design was checked with; its steps are not cut like ours.
    pub steps_then: &'static str,
}

const TWO_BLOCKS: Config = Config {
    blocks: 2,
    ..Config::BASE
};

const SUPER_ALONE: Config = Config {
    name: "super alone",
    blocks: 0,
    ballots: 3,
    copies: 2,
    torn_updates: 1,
    ..Config::BASE
};

const LEASE: Config = Config {
    name: "lease",
    lease: true,
    ..TWO_BLOCKS
};

const MARKS: Config = Config {
    name: "two blocks, three ballots, fences are marked",
    ballots: 3,
    marks: true,
    watch_seals: true,
    ..TWO_BLOCKS
};

/// States of the one quick world that is not explored to the end.
pub const QUICK_STATES_MAX: u64 = 10_000_000;

/// Explored with all rules, in a minute: no violation. All but the last are explored to the end.
pub const QUICK: &[Config] = &[
    Config {
        name: "two blocks",
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, ballots of one term",
        one_term: true,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, reads overlap writes",
        overlap: true,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, a failing update of the super block",
        failing_updates: 1,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, leaders go on writing",
        keeps_writing: true,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, two copies of the super block",
        copies: 2,
        calm: true,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    MARKS,
    LEASE,
    SUPER_ALONE,
    Config {
        name: "three blocks, calm, a torn write",
        blocks: 3,
        seal: 3,
        torn: 1,
        watch_seals: true,
        calm: true,
        ..Config::BASE
    },
    Config {
        name: "three blocks, calm, a block left out",
        blocks: 3,
        seal: 3,
        left_out: 1,
        watch_seals: true,
        calm: true,
        ..Config::BASE
    },
    // Two collects make a difference only with three processes: as far as the search must go to find it out.
    Config {
        name: "three processes, three blocks, calm, as far as a missing second collect is noticed",
        processes: 3,
        seal: 3,
        watch_seals: true,
        calm: true,
        states_max: QUICK_STATES_MAX,
        ..Config::BASE
    },
];

/// Larger ones.
pub const FULL: &[Config] = &[
    Config {
        name: "three blocks",
        watch_seals: true,
        ..Config::BASE
    },
    Config {
        name: "two blocks, three ballots",
        ballots: 3,
        watch_seals: true,
        ..TWO_BLOCKS
    },
    Config {
        name: "two blocks, three ballots, fences are marked, leaders go on writing",
        keeps_writing: true,
        ..MARKS
    },
    Config {
        name: "three blocks, calm, a late write",
        seal: 3,
        late: 1,
        watch_seals: true,
        calm: true,
        ..Config::BASE
    },
    Config {
        name: "super alone, a failing update",
        failing_updates: 1,
        ..SUPER_ALONE
    },
    Config {
        name: "three processes, three blocks, calm",
        processes: 3,
        seal: 3,
        watch_seals: true,
        calm: true,
        ..Config::BASE
    },
];

const fn row(name: &'static str, steps_then: &'static str, config: Config) -> Row {
    Row {
        name,
        config: Config { name, ..config },
        steps_then,
    }
}

/// The rows of the table, each with the smallest world that we know to notice it.
pub fn rows() -> Vec<Row> {
    let three_ballots = Config {
        ballots: 3,
        ..TWO_BLOCKS
    };
    let failing = Config {
        failing_updates: 1,
        ..TWO_BLOCKS
    };
    let seal_one = Config {
        blocks: 1,
        seal: 1,
        ..Config::BASE
    };
    let three = Config {
        processes: 3,
        calm: true,
        ..TWO_BLOCKS
    };
    vec![
        row("r4-n-one-too-small-for-two", "22", seal_one),
        row("r4-n-one-too-small-for-three", "41", three),
        row(
            "r4-second-collect",
            "51",
            Config {
                processes: 3,
                seal: 3,
                watch_seals: true,
                calm: true,
                ..Config::BASE
            }
            .without("second_collect"),
        ),
        row("r5-abort", "46", TWO_BLOCKS.without("abort")),
        row("r6-check-fenced", "39", three_ballots.without("check_fenced")),
        row("r8-read-again", "36", TWO_BLOCKS.without("read_again")),
        row(
            "r7-fence-stops-writes",
            "37",
            TWO_BLOCKS.without("fence_stops_writes"),
        ),
        row("r7-silence-all", "44", three_ballots.without("fence_all")),
        row("r7-mark-confirmed", "-", MARKS.without("mark_confirmed")),
        row(
            "r10-invalid-is-not-empty",
            "64",
            Config {
                overlap: true,
                keeps_writing: true,
                ..TWO_BLOCKS
            }
            .without("invalid_is_not_empty"),
        ),
        row(
            "r4-left-out-without-k",
            "36",
            Config {
                left_out: 1,
                ..TWO_BLOCKS
            },
        ),
        row(
            "r4-torn-without-t",
            "42",
            Config {
                torn: 1,
                ..TWO_BLOCKS
            },
        ),
        row(
            "r4-late-without-d",
            "42",
            Config {
                late: 1,
                ..TWO_BLOCKS
            },
        ),
        row(
            "r3-one-ballot",
            "45",
            Config {
                failing_updates: 1,
                ..three_ballots
            }
            .without("one_ballot"),
        ),
        row(
            "r3-wait-for-failed-claim",
            "33",
            failing.without("wait_for_failed_claim"),
        ),
        row(
            "r3-no-void-after-claim",
            "32",
            failing.without("no_void_after_claim"),
        ),
        row("r8-copy-order", "9", SUPER_ALONE.without("copy_order")),
        row("r7-stop-in-both", "15", SUPER_ALONE.without("stop_in_both")),
        row("r10-two-passes", "10", SUPER_ALONE.without("two_passes")),
        row(
            "lease-look-ends-with-super",
            "43",
            LEASE.without("look_ends_with_super"),
        ),
        row(
            "lease-stop-within-right",
            "32",
            LEASE.without("stop_within_right"),
        ),
        row("r1-merge-all-terms", "-", TWO_BLOCKS.without("merge_all_terms")),
        row(
            "rules-2019",
            "14",
            three
                .without("merge_all_terms")
                .without("count_blocks")
                .without("check_fenced"),
        ),
    ]
}
