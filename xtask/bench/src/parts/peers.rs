//! Fail-over of the others.

use std::time::{Duration, Instant};

use ostrakon_xtask::failure::Result;
use rustix::process::Signal;

use super::{Context, folder, peer_ip};
use crate::measure::Samples;
use crate::measure::device::fill;
use crate::peers::etcd::{Etcd, Times};
use crate::peers::find;
use crate::peers::sanlock::{Sanlock, wait_for_file};
use crate::report::{Bar, Chart, Report, Section, Table, spread};

/// Bytes of an image for sanlock: one lockspace and one resource, and room.
const IMAGE_MEBIBYTES: u64 = 16;

pub(super) fn run(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&["", "killed, ms", "frozen, ms", "join, ms"]);
    let mut bars = ours(&context.report);
    match find("etcd", "etcd-server") {
        Err(why) => context.missing(why),
        Ok(()) => {
            for times in [Times::Default, Times::Tight] {
                context.optional("etcd", |context| etcd(context, times, &mut table, &mut bars));
            }
        }
    }
    match find("sanlock", "sanlock") {
        Err(why) => context.missing(why),
        Ok(()) if context.quick => {
            context.missing("sanlock's fail-over takes minutes, and this run is a quick one".to_owned());
        }
        Ok(()) => context.optional("sanlock", |context| sanlock(context, &mut table, &mut bars)),
    }
    context.report.sections.push(Section {
        title: "Fail-over of the others".to_owned(),
        text: "etcd: three members on loopback addresses; from the signal to the leader until one of the others accepts a write; join: \
               a member that was killed returns until it answers a read that a quorum confirms. sanlock: two hosts without a watchdog, the \
               daemon of the first and the program that holds the lease killed together; until the program of the second runs; join: from \
               the start of the daemon until it is in the lockspace. etcd's store is safe without clocks and fences, its locks are not; \
               sanlock counts on a watchdog for what our lease does not cover: see the frozen leader below."
            .to_owned(),
        tables: vec![table],
        charts: vec![Chart {
            name: "failover",
            title: "Fail-over after SIGKILL of the leader or holder".to_owned(),
            unit: "ms",
            logarithmic: true,
            bars,
        }],
    });
    Ok(())
}

/// What the part before this one measured.
fn ours(report: &Report) -> Vec<Bar> {
    let bars = [
        ("ostrakon, agent", "failover.agent"),
        ("ostrakon, lease (defaults)", "failover.lease"),
        ("ostrakon, lease, I/O time-out 1 s", "failover.lease-tight"),
    ];
    bars.into_iter()
        .map(|(label, fact)| Bar {
            label: label.to_owned(),
            samples: report.samples(fact),
            ours: true,
        })
        .collect()
}

fn etcd(context: &mut Context, times: Times, table: &mut Table, bars: &mut Vec<Bar>) -> Result<()> {
    let (label, facts, number) = match times {
        Times::Default => ("etcd, defaults", ["failover.etcd", "frozen.etcd", "join.etcd"], 0),
        Times::Tight => (
            "etcd, heartbeat 10 ms, election 100 ms",
            ["failover.etcd-tight", "frozen.etcd-tight", "join.etcd-tight"],
            20,
        ),
    };
    let home = folder(context, &format!("etcd{number}"));
    let mut etcd = Etcd::start(&home, peer_ip(number), times, &context.reaper)?;
    let (mut killed, mut frozen, mut joins) = (Samples::new(), Samples::new(), Samples::new());
    for _ in 0..context.times(7, 3) {
        std::thread::sleep(Duration::from_millis(500));
        killed.add_ms(etcd.fail_over(Signal::KILL)?);
        joins.add_ms(etcd.rejoin()?);
    }
    for _ in 0..context.times(3, 1) {
        std::thread::sleep(Duration::from_secs(1));
        frozen.add_ms(etcd.fail_over(Signal::STOP)?);
    }
    for (fact, samples) in facts.into_iter().zip([&killed, &frozen, &joins]) {
        context.report.fact(fact, samples);
    }
    table.row(vec![
        label.to_owned(),
        spread(&killed),
        spread(&frozen),
        spread(&joins),
    ]);
    bars.push(Bar {
        label: label.to_owned(),
        samples: killed,
        ours: false,
    });
    Ok(())
}

/// Both settings at the same time: each of them mostly waits.
fn sanlock(context: &mut Context, table: &mut Table, bars: &mut Vec<Bar>) -> Result<()> {
    let settings = [
        (
            "sanlock, I/O time-out 1 s",
            1,
            "failover.sanlock-tight",
            "join.sanlock-tight",
        ),
        (
            "sanlock, I/O time-out 10 s (default)",
            10,
            "failover.sanlock",
            "join.sanlock",
        ),
    ];
    let mut running = Vec::new();
    for (label, io_timeout, fact, join_fact) in settings {
        let home = folder(context, &format!("sanlock{io_timeout}"));
        std::fs::create_dir_all(&home).map_err(|error| {
            ostrakon_xtask::failure::Failure::new(format!("a folder for sanlock: {error}"))
        })?;
        let reaper = context.reaper.clone();
        let thread = std::thread::spawn(move || sanlock_fail_over(&home, io_timeout, &reaper));
        running.push((label, fact, join_fact, thread));
    }
    for (label, fact, join_fact, thread) in running {
        let (took, joins) = match thread.join() {
            Ok(outcome) => outcome?,
            Err(_) => continue,
        };
        let killed = Samples::from_iter([took.as_secs_f64() * 1e3]);
        context.report.fact(fact, &killed);
        context.report.fact(join_fact, &joins);
        table.row(vec![
            label.to_owned(),
            spread(&killed),
            "see below".to_owned(),
            spread(&joins),
        ]);
        bars.push(Bar {
            label: label.to_owned(),
            samples: killed,
            ours: false,
        });
    }
    Ok(())
}

fn sanlock_fail_over(
    home: &std::path::Path,
    io_timeout: u32,
    reaper: &ostrakon_xtask::cluster::reaper::Reaper,
) -> Result<(Duration, Samples)> {
    let image = home.join("image");
    fill(&image, IMAGE_MEBIBYTES)?;
    let mut sanlock = Sanlock::create(home, &image, io_timeout, reaper)?;
    let mut joins = Samples::new();
    joins.add_ms(sanlock.join()?);
    joins.add_ms(sanlock.join()?);
    let written = home.join("written");
    let script = format!("echo held >> '{}'; exec sleep 1000", written.display());
    let holder = sanlock.hold(0, &["/bin/sh", "-c", &script])?;
    wait_for_file(&written)?;
    let started = Instant::now();
    sanlock.host(0).signal(Signal::KILL);
    holder.signal(Signal::KILL);
    sanlock.take(1)?;
    Ok((started.elapsed(), joins))
}
