//! Elections by number of voters and by latency of the disk.

use std::time::{Duration, Instant};

use ostrakon_core::bounds::{REGION_BLOCKS, SEAL_BLOCKS};
use ostrakon_core::time::Duration as Span;
use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, Fence, MountId, Options};
use ostrakon_xtask::failure::{Failure, Result};

use super::{Context, Voters, cluster, server};
use crate::measure::Samples;
use crate::report::{Bar, Chart, Section, Table, number, spread};
use crate::volume::elect;

const VOTERS: [u64; 6] = [1, 2, 3, 5, 8, 16];

/// Theory: cycles until so many writers, all at one pace, have made 28 of 64 blocks carry a ballot that each of them knows, each time
/// at random among those that do not, and one collect more that finds them unchanged.
fn in_theory(voters: u64) -> f64 {
    let (blocks, needed) = (REGION_BLOCKS as f64, SEAL_BLOCKS as f64);
    let (mut carry, mut cycles) = (0.0_f64, 1.0);
    while carry < needed {
        let free = blocks - carry;
        // Two writers may pick the same one.
        carry += free * (1.0 - (1.0 - 1.0 / free).powf(voters as f64));
        cycles += 1.0;
    }
    cycles
}

/// What one operation takes on a quick disk, for the simulated clock.
const QUICK: Span = Span(300);

/// Injected delays of each disk operation, in milliseconds; 0 is the file as it is.
const DELAYS: [u64; 5] = [0, 1, 10, 40, 200];

/// How long one election may take on the slowest disk.
const PATIENCE: Duration = Duration::from_secs(240);

pub(super) fn run(context: &mut Context) -> Result<()> {
    by_voters(context)?;
    by_delay(context)
}

fn by_voters(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&[
        "voters",
        "seal, cycles",
        "in theory",
        "cold start, simulated, ms",
        "cold start, processes, ms",
        "of which from elected to sealed, ms",
    ]);
    let mut bars = Vec::new();
    for voters in VOTERS {
        let (mut cycles, mut took) = (Samples::new(), Samples::new());
        for seed in 0..context.times(31, 7) as u64 {
            let elected =
                elect(voters, QUICK, seed).ok_or_else(|| Failure::new("nobody was elected in an hour"))?;
            cycles.add(elected.seal_cycles as f64);
            took.add(elected.took.0 as f64 / 1e3);
        }
        let (mut starts, mut seals) = (Samples::new(), Samples::new());
        for round in 0..context.times(5, 1) {
            let (start, seal) = cold_start(context, voters, round)?;
            starts.add_ms(start);
            seals.add_ms(seal);
        }
        table.row(vec![
            voters.to_string(),
            spread(&cycles),
            number(in_theory(voters)),
            spread(&took),
            spread(&starts),
            spread(&seals),
        ]);
        bars.push(Bar {
            label: format!("{voters} voters"),
            samples: cycles,
            ours: true,
        });
    }
    context.report.sections.push(Section {
        title: "Elections by number of voters".to_owned(),
        text: "Seal cycles and simulated starts: core alone, in simulated time, 0.3 ms for each disk operation. In theory: writers at one pace that \
               make 28 of 64 blocks carry the ballot, and the collect that sees it; with 16 of 64 it would be 17 cycles alone, 10 with one other and 4.4 \
               with fifteen. Those that follow make pauses of 5 to 10 ms between their cycles when they are more than three, and less of them count then. Processes: so many voters \
               started at once on a fresh image, from the first start until one serves; a mount that no server has admitted yet waits at random \
               up to 250 ms, or up to 1 s when many others show, before it writes."
            .to_owned(),
        tables: vec![table],
        charts: vec![Chart {
            name: "seal-cycles",
            title: "Cycles from the election to the seal".to_owned(),
            unit: "cycles",
            logarithmic: false,
            bars,
        }],
    });
    Ok(())
}

/// Time until one of so many fresh voters serves, and of that from its election to its seal.
fn cold_start(context: &Context, voters: u64, round: usize) -> Result<(Duration, Duration)> {
    let quorum = (voters / 2 + 1) as u16;
    let mut cluster: Cluster = context.volume(&format!("cold{voters}-{round}"), quorum)?;
    let started = Instant::now();
    for number in 0..voters {
        let addr = cluster.free_addr()?;
        cluster.mount(&format!("voter{number}"), Options::voter(addr))?;
    }
    let served = cluster.wait(Mark::START, PATIENCE, "a server", |record| {
        (record.event.kind == Kind::Serving).then(|| record.clone())
    })?;
    let at = |kind: Kind| {
        cluster.log().find(Mark::START, |record| {
            let same = record.mount == served.mount && record.event.term == served.event.term;
            (same && record.event.kind == kind).then_some(record.seen)
        })
    };
    let (Some(elected), Some(sealed)) = (at(Kind::Elected), at(Kind::Sealed)) else {
        return Err(cluster.failed("a server that was not elected and sealed before"));
    };
    Ok((served.seen - started, sealed - elected))
}

fn by_delay(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&[
        "delay of each disk operation, ms",
        "cold start, ms",
        "fail-over after SIGKILL, ms",
    ]);
    let mut bars = Vec::new();
    let most = if context.quick { 10 } else { 200 };
    for delay in DELAYS.into_iter().filter(|&delay| delay <= most) {
        let times = match delay {
            0 | 1 => context.times(5, 1),
            10 => context.times(3, 1),
            _ => 1,
        };
        let (mut starts, mut overs) = (Samples::new(), Samples::new());
        for _ in 0..times {
            let (start, over) = slow_fail_over(context, delay)?;
            starts.add_ms(start);
            overs.add_ms(over);
        }
        table.row(vec![delay.to_string(), spread(&starts), spread(&overs)]);
        bars.push(Bar {
            label: if delay == 0 {
                "file".to_owned()
            } else {
                format!("+ {delay} ms")
            },
            samples: overs,
            ours: true,
        });
    }
    context.report.sections.push(Section {
        title: "Elections by latency of the disk".to_owned(),
        text: "Three voters and a plain client, quorum 2, agent; each disk operation of each process takes so much longer (a hidden \
               option of the binary). Cold start: from the first process until everybody is connected."
            .to_owned(),
        tables: vec![table],
        charts: vec![Chart {
            name: "failover-by-latency",
            title: "Fail-over by latency of the disk".to_owned(),
            unit: "ms",
            logarithmic: true,
            bars,
        }],
    });
    Ok(())
}

fn slow_fail_over(context: &Context, delay: u64) -> Result<(Duration, Duration)> {
    let delay = delay.to_string();
    let slow = ["--io-delay-ms", &delay];
    let voters = Voters {
        fence: Fence::Kill,
        more: &[],
        all: &slow,
        patience: PATIENCE,
    };
    let started = Instant::now();
    let (mut cluster, _, client) = cluster(context, "slow", 3, 2, &voters)?;
    let start = started.elapsed();
    std::thread::sleep(Duration::from_millis(500));
    let (leader, term): (MountId, u64) = server(&cluster)?;
    let mark = cluster.log().mark();
    let started = Instant::now();
    cluster.get_mut(leader).kill()?;
    let served = cluster.wait(mark, PATIENCE, "the client to be served again", |record| {
        let later = record.event.term.is_some_and(|found| found > term);
        (record.mount == client && record.event.kind == Kind::Connected && later).then_some(record.seen)
    })?;
    Ok((start, served - started))
}
