//! Ratios of one run: ours beside what a user would pick instead, and what was aimed at.

use super::{Report, Table, number};

/// A ratio that is aimed at.
struct Goal {
    what: &'static str,
    ours: &'static str,
    theirs: &'static str,
    /// What the ratio should not exceed.
    most: f64,
}

const GOALS: [Goal; 6] = [
    Goal {
        what: "fail-over with an agent / etcd at its defaults",
        ours: "failover.agent",
        theirs: "failover.etcd",
        most: 0.1,
    },
    Goal {
        what: "fail-over with an agent / etcd at its tightest (heartbeat 10 ms, election 100 ms)",
        ours: "failover.agent",
        theirs: "failover.etcd-tight",
        most: 1.0,
    },
    Goal {
        what: "fail-over with a lease at its defaults / sanlock at its best (I/O time-out 1 s)",
        ours: "failover.lease",
        theirs: "failover.sanlock-tight",
        most: 0.1,
    },
    Goal {
        what: "I/O operations a second of the serving host, idle / one sanlock host (I/O time-out 1 s)",
        ours: "idle.ops",
        theirs: "idle.ops.sanlock-tight",
        most: 1.0,
    },
    Goal {
        what: "resident memory of an idle mount (a voter that does not serve) / sanlock",
        ours: "idle.rss.follower",
        theirs: "idle.rss.sanlock",
        most: 1.0,
    },
    Goal {
        what: "collect and merge of 64 blocks / bare checksum of the same bytes with the same routine",
        ours: "cost.collect",
        theirs: "cost.checksum",
        most: 1.5,
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
    }
}
