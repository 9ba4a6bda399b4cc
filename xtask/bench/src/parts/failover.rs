//! Fail-over of ostrakon: from the end of the leader until a client of another host is served by its successor.

use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, Fence, MountId, PATIENCE};
use ostrakon_xtask::failure::Result;

use super::{Context, Voters, cluster, server};
use crate::measure::Samples;
use crate::measure::process::Usage;
use crate::report::{Bar, Chart, Section, Table, spread};

/// How long the thawed leader is watched.
const WATCH: Duration = Duration::from_secs(2);

/// A leader whose process is killed.
const KILLED: bool = true;
/// A leader whose process is stopped.
const FROZEN: bool = false;

pub(super) fn run(context: &mut Context) -> Result<()> {
    let many = context.times(11, 3);
    let few = context.times(3, 1);
    let agent = || voters(Fence::Kill, &[]);
    let lease = || voters(Fence::Lease, &[]);
    let tight: &[&str] = &["--io-timeout-ms", "1000"];
    let mut table = Table::new(&["", "killed, ms", "frozen, ms", "bytes written after the thaw"]);
    let mut bars = Vec::new();
    let mut kinds: [(&str, &'static str, &'static str, Voters<'_>, usize); 3] = [
        ("ostrakon, agent", "failover.agent", "frozen.agent", agent(), many),
        (
            "ostrakon, lease (defaults)",
            "failover.lease",
            "frozen.lease",
            lease(),
            few,
        ),
        (
            "ostrakon, lease, I/O time-out 1 s",
            "failover.lease-tight",
            "frozen.lease-tight",
            voters(Fence::Lease, tight),
            few,
        ),
    ];
    for (label, killed_fact, frozen_fact, voters, times) in &mut kinds {
        let killed = fail_overs(context, voters, KILLED, *times)?;
        let frozen = fail_overs(context, voters, FROZEN, (*times).div_ceil(3))?;
        context.report.fact(killed_fact, &killed.times);
        context.report.fact(frozen_fact, &frozen.times);
        table.row(vec![
            (*label).to_owned(),
            spread(&killed.times),
            spread(&frozen.times),
            spread(&frozen.written),
        ]);
        for (how, samples) in [("killed", killed.times), ("frozen", frozen.times)] {
            bars.push(Bar {
                label: format!("{label}, {how}"),
                samples,
                ours: true,
            });
        }
    }
    let moves = joins_and_leaves(context)?;
    context.report.sections.push(Section {
        title: "Fail-over of ostrakon".to_owned(),
        text: "Three voters and a plain client as processes on one image file, quorum 2. From the signal (SIGKILL, SIGSTOP) to the \
               leader until the plain client was welcomed by the successor. A frozen leader is known by 3 s without a word (`--silence-ms`) and 2.8 s \
               without an answer at the doorbell. It is thawed when its successor serves, \
               and what its process writes to the device within two seconds after that is counted; under an agent it is dead by then; under a lease without a watchdog one write that was frozen on its way may follow."
            .to_owned(),
        tables: vec![table, moves],
        charts: vec![Chart {
            name: "failover-ostrakon",
            title: "Fail-over of ostrakon".to_owned(),
            unit: "ms",
            logarithmic: true,
            bars,
        }],
    });
    Ok(())
}

fn voters<'a>(fence: Fence, all: &'a [&'a str]) -> Voters<'a> {
    Voters {
        fence,
        more: &[],
        all,
        patience: PATIENCE,
    }
}

/// Times until a client is served, in milliseconds, and bytes that a frozen leader wrote after its thaw.
struct Outcome {
    times: Samples,
    written: Samples,
}

fn fail_overs(context: &Context, voters: &Voters<'_>, killed: bool, times: usize) -> Result<Outcome> {
    let (mut cluster, _, client) = cluster(context, "failover", 3, 2, voters)?;
    let mut outcome = Outcome {
        times: Samples::new(),
        written: Samples::new(),
    };
    for round in 0..times {
        // What an election leaves behind is over soon.
        std::thread::sleep(Duration::from_millis(500));
        let (leader, term) = server(&cluster)?;
        let mark = cluster.log().mark();
        let started = Instant::now();
        if killed {
            cluster.get_mut(leader).kill()?;
        } else {
            cluster.get_mut(leader).freeze()?;
        }
        let served = served_at(&cluster, client, term, mark)?;
        outcome.times.add_ms(served - started);
        if !killed {
            outcome.written.add(written_after_thaw(&mut cluster, leader)?);
        }
        cluster.kill(leader)?;
        let next = voters.start(&mut cluster, &format!("again{round}"))?;
        cluster.wait_event(next, Kind::Connected, Mark::START)?;
    }
    Ok(outcome)
}

/// When a mount was welcomed by a server of a later term.
fn served_at(cluster: &Cluster, client: MountId, term: u64, from: Mark) -> Result<Instant> {
    cluster.wait(from, PATIENCE, "the client to be served again", |record| {
        let later = record.event.term.is_some_and(|found| found > term);
        (record.mount == client && record.event.kind == Kind::Connected && later).then_some(record.seen)
    })
}

fn written_after_thaw(cluster: &mut Cluster, leader: MountId) -> Result<f64> {
    let pid = cluster.get(leader).pid();
    if !cluster.get(leader).is_running() {
        return Ok(0.0);
    }
    let before = Usage::of(pid)?;
    cluster.get_mut(leader).thaw()?;
    std::thread::sleep(WATCH);
    // One that ended meanwhile wrote what it had written when it ended: nothing can be asked of it any more, and the
    // last look at it counts.
    let after = Usage::of(pid).unwrap_or(before);
    Ok((after.write_bytes - before.write_bytes) as f64)
}

/// How long a mount takes to come, and a leader to go.
fn joins_and_leaves(context: &mut Context) -> Result<Table> {
    let voters = voters(Fence::Kill, &[]);
    let (mut cluster, _, client) = cluster(context, "moves", 3, 2, &voters)?;
    let (mut joins, mut clients, mut hands) = (Samples::new(), Samples::new(), Samples::new());
    for round in 0..context.times(7, 3) {
        let started = Instant::now();
        let voter = voters.start(&mut cluster, &format!("new{round}"))?;
        joins.add_ms(cluster.wait_event(voter, Kind::Connected, Mark::START)?.seen - started);
        let started = Instant::now();
        let plain = cluster.client(&format!("plain{round}"))?;
        clients.add_ms(cluster.wait_event(plain, Kind::Connected, Mark::START)?.seen - started);
        cluster.get_mut(plain).terminate()?;
        cluster.wait_clean_exit(plain)?;
        let (leader, term) = server(&cluster)?;
        let mark = cluster.log().mark();
        let started = Instant::now();
        cluster.get_mut(leader).terminate()?;
        hands.add_ms(served_at(&cluster, client, term, mark)? - started);
        cluster.wait_clean_exit(leader)?;
    }
    context.report.fact("join.voter", &joins);
    let mut table = Table::new(&["", "ms"]);
    for (what, samples) in [
        (
            "a voter joins: from the start of its process until it is welcomed",
            &joins,
        ),
        ("a plain client joins", &clients),
        (
            "clean hand-over: from SIGTERM to the leader until the client is served by the next",
            &hands,
        ),
    ] {
        table.row(vec![what.to_owned(), spread(samples)]);
    }
    Ok(table)
}
