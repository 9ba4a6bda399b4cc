//! Ratios of one run: ours beside what a user would pick instead, and what was aimed at.

use super::{Report, Table, number};

/// A ratio that is aimed at.
struct Goal {
    what: &'static str,
    ours: &'static str,
    theirs: &'static str,
    /// What the ratio should not exceed.
    most: f64,
    /// What bounds our side of it, for a run that misses it.
    bound: &'static str,
}

/// What a fail-over with an agent is made of.
const FAIL_OVER: &str = "the leader that refuses is given 10 ms and four cycles to answer at the doorbell; then come two cycles for the votes, \
    about fourteen for the seal, the start of the agent's process, and some ten disk operations, one after the other, for the claim, \
    the client table, the fence record and the address. All of it but the 10 ms is as fast as the device and the processors, which all \
    hosts of this measurement share";

const GOALS: [Goal; 6] = [
    Goal {
        what: "fail-over with an agent / etcd at its defaults",
        ours: "failover.agent",
        theirs: "failover.etcd",
        most: 0.1,
        bound: FAIL_OVER,
    },
    Goal {
        what: "fail-over with an agent / etcd at its tightest (heartbeat 10 ms, election 100 ms)",
        ours: "failover.agent",
        theirs: "failover.etcd-tight",
        most: 1.0,
        bound: FAIL_OVER,
    },
    Goal {
        what: "fail-over with a lease at its defaults / sanlock at its best (I/O time-out 1 s)",
        ours: "failover.lease",
        theirs: "failover.sanlock-tight",
        most: 0.1,
        bound: "a successor waits out the lease (2.5 s) and the longest time of a write (4 s), 6.5 s in all: shorter ones are an operator's \
                choice (`--lease-ms`, `--io-timeout-ms`), for they end leaders whose device stalls for as long",
    },
    Goal {
        what: "I/O operations a second of the serving host, idle / one sanlock host (I/O time-out 1 s)",
        ours: "idle.ops",
        theirs: "idle.ops.sanlock-tight",
        most: 1.0,
        bound: "one look at the doorbell every 1.8 s: less often, and a leader that lives would have to be given longer before it is taken \
                for dead",
    },
    Goal {
        what: "resident memory of an idle mount (a voter that does not serve) / sanlock",
        ours: "idle.rss.follower",
        theirs: "idle.rss.sanlock",
        most: 1.0,
        bound: "most of it is the text of the program and of the C library, which all mounts of a host share, and which the kernel maps \
                around each page that is used",
    },
    Goal {
        what: "collect and merge of 64 blocks / bare checksum of the same bytes with the same routine",
        ours: "cost.collect",
        theirs: "cost.checksum",
        most: 1.5,
        bound: "each block is a checksum of its own, for which the routine takes more time a byte than for 256 KiB at once, and the zeros \
                behind its log have to be looked at",
    },
];

/// Ratios that are told without a goal.
const BESIDE: [(&str, &str, &str); 7] = [
    (
        "fail-over with a lease and an I/O time-out of 1 s / sanlock with the same",
        "failover.lease-tight",
        "failover.sanlock-tight",
    ),
    (
        "fail-over with a lease at its defaults / sanlock at its defaults",
        "failover.lease",
        "failover.sanlock",
    ),
    (
        "fail-over from a frozen leader, with an agent / etcd at its defaults",
        "frozen.agent",
        "frozen.etcd",
    ),
    (
        "I/O operations a second of the serving host, idle / one sanlock host (defaults)",
        "idle.ops",
        "idle.ops.sanlock",
    ),
    (
        "resident memory of the idle serving host / sanlock",
        "idle.rss.server",
        "idle.rss.sanlock",
    ),
    (
        "join of a voter / sanlock (I/O time-out 1 s)",
        "join.voter",
        "join.sanlock-tight",
    ),
    (
        "join of a voter / a returning etcd member",
        "join.voter",
        "join.etcd",
    ),
];

/// The table that the document begins with.
pub(super) fn table(report: &Report) -> Table {
    let mut table = Table::new(&["ratio", "ours", "theirs", "ratio", "goal"]);
    for goal in &GOALS {
        let (ours, theirs) = (report.median(goal.ours), report.median(goal.theirs));
        let ratio = ratio(ours, theirs);
        let verdict = match ratio {
            None => "not measured".to_owned(),
            Some(ratio) if ratio <= goal.most => format!("at most {}: met", number(goal.most)),
            Some(_) => format!("at most {}: **missed**", number(goal.most)),
        };
        table.row(row(goal.what, ours, theirs, ratio, verdict));
    }
    let quiet = report.median("idle.bytes.others");
    let verdict = match quiet {
        None => "not measured",
        Some(0.0) => "none: met",
        Some(_) => "none: **missed**",
    };
    table.row(vec![
        "bytes that hosts which do not serve read and wrote, idle".to_owned(),
        quiet.map_or_else(|| "missing".to_owned(), number),
        String::new(),
        String::new(),
        verdict.to_owned(),
    ]);
    for (what, ours, theirs) in BESIDE {
        let (ours, theirs) = (report.median(ours), report.median(theirs));
        table.row(row(what, ours, theirs, ratio(ours, theirs), String::new()));
    }
    table
}

/// Goals that this run missed, and what bounds them.
pub(super) fn missed(report: &Report) -> Vec<String> {
    let missed = GOALS.iter().filter(|goal| {
        let ratio = ratio(report.median(goal.ours), report.median(goal.theirs));
        ratio.is_some_and(|ratio| ratio > goal.most)
    });
    missed
        .map(|goal| format!("{}: {}.", goal.what, goal.bound))
        .collect()
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> Option<f64> {
    Some(ours? / theirs.filter(|&theirs| theirs > 0.0)?)
}

fn row(
    what: &str,
    ours: Option<f64>,
    theirs: Option<f64>,
    ratio: Option<f64>,
    verdict: String,
) -> Vec<String> {
    let text = |value: Option<f64>| value.map_or_else(|| "missing".to_owned(), number);
    let ratio = ratio.map_or_else(|| "missing".to_owned(), |ratio| format!("**{ratio:.3}**"));
    vec![what.to_owned(), text(ours), text(theirs), ratio, verdict]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Samples;

    #[test]
    fn a_goal_is_met_missed_or_not_measured_and_each_is_said() {
        let mut report = Report::default();
        report.fact("failover.agent", &Samples::from_iter([100.0]));
        report.fact("failover.etcd", &Samples::from_iter([1000.0]));
        report.fact("failover.etcd-tight", &Samples::from_iter([99.0]));
        let verdicts: Vec<String> = table(&report)
            .rows
            .into_iter()
            .map(|row| row[4].clone())
            .collect();
        assert!(verdicts[0].ends_with(": met"), "{verdicts:?}");
        assert!(verdicts[1].ends_with("**missed**"), "{verdicts:?}");
        assert_eq!(verdicts[2], "not measured");
        let missed = missed(&report);
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert!(missed[0].starts_with(GOALS[1].what), "{missed:?}");
    }
}
