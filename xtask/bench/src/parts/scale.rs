//! Clients by the thousand: memory, greetings, idle cost, the storm after a fail-over, leaving.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ostrakon_core::server::{ClientSlot, ConnSlot};
use ostrakon_linux::disk::Access;
use ostrakon_linux::offline::{CopyState, Table as ClientTable, Volume};
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::{Context, server};
use crate::load::{Arrival, Load, LoadOptions, fits, sources};
use crate::measure::Samples;
use crate::measure::process::Usage;
use crate::report::{Bar, Chart, Section, Table, number};

const PATIENCE: Duration = Duration::from_secs(180);

/// How long everybody is left alone before that, and is watched then, while nothing happens.
const REST: Duration = Duration::from_secs(5);
/// See [`REST`].
const WATCH: Duration = Duration::from_secs(20);

pub(super) fn run(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&[
        "clients",
        "server, MiB",
        "a client, bytes",
        "cold: half / all, s",
        "greetings/s",
        "µs of the server's processor for each",
        "blocks written / flushes",
        "idle server, % of a processor",
        "fail-over: first / half / all, s",
        "all leave, s",
    ]);
    let (mut bars, mut idle_bars) = (Vec::new(), Vec::new());
    let mut least = None;
    let mut failed = Ok(());
    let counts: &[usize] = if context.quick {
        &[10, 1_000]
    } else {
        &[10, 1_000, 10_000]
    };
    for &clients in counts {
        if let Err(why) = fits(clients) {
            context.missing(why);
            continue;
        }
        let crowd = match measure(context, clients) {
            Ok(crowd) => crowd,
            Err(failure) => {
                // More of them would fail as well; what fewer came to stands.
                failed = Err(Failure::new(format!("with {clients} clients: {failure}")));
                break;
            }
        };
        // What a server of a few clients takes is not theirs; their places in memory are.
        let (few, without) = *least.get_or_insert((clients, crowd.full.resident));
        let per_client = (crowd.full.resident as f64 - without as f64) / (clients - few).max(1) as f64;
        let greeting = (crowd.full.cpu - crowd.empty.cpu).as_secs_f64() / clients as f64;
        table.row(vec![
            clients.to_string(),
            number(crowd.full.resident as f64 / 1024.0 / 1024.0),
            if clients < 1_000 {
                String::new()
            } else {
                number(per_client)
            },
            format!("{} / {}", seconds(crowd.cold.half), seconds(crowd.cold.all)),
            number(clients as f64 / (crowd.cold.all - crowd.cold.first).as_secs_f64().max(1e-3)),
            number(greeting * 1e6),
            format!("{} / {}", crowd.blocks, crowd.flushes),
            format!("{:.2}", crowd.idle_cpu * 100.0),
            format!(
                "{} / {} / {}",
                seconds(crowd.storm.first),
                seconds(crowd.storm.half),
                seconds(crowd.storm.all)
            ),
            seconds(crowd.leave),
        ]);
        bars.push(Bar {
            label: format!("{clients} clients, all"),
            samples: Samples::from_iter([crowd.storm.all.as_secs_f64()]),
            ours: true,
        });
        idle_bars.push(Bar {
            label: format!("{clients} clients"),
            samples: Samples::from_iter([crowd.idle_cpu * 100.0]),
            ours: true,
        });
    }
    context.report.sections.push(Section {
        title: "Clients by the thousand".to_owned(),
        text: format!(
            "Real clients (core's own plain mounts, each with a TCP connection of its own), all in one thread of one process, beside two \
             voters, one of which serves, on the same {} processors: the clients take as much of them as the server does. Cold: all at once on a server that \
             knows none of them, each with a durable record. Blocks written, and flushes: for all of these records, in both copies of the table, \
             a group of changes at a time. A client, bytes: what the server's resident memory is more than with the fewest clients of this \
             table, divided; {} of them are core's. Idle: everybody connected, and pings as rare as the server tells, 500 a second of all \
             clients together at most. Fail-over: the server is killed, all come at once to its successor, which knows them from their records.",
            std::thread::available_parallelism().map_or(1, usize::from),
            size_of::<ClientSlot>() + size_of::<ConnSlot>()
        ),
        tables: vec![table],
        charts: vec![
            Chart {
                name: "failover-by-clients",
                title: "Fail-over until the last client is served".to_owned(),
                unit: "s",
                logarithmic: false,
                bars,
            },
            Chart {
                name: "idle-by-clients",
                title: "The server while nothing happens".to_owned(),
                unit: "% of a processor",
                logarithmic: false,
                bars: idle_bars,
            },
        ],
    });
    failed
}

fn seconds(span: Duration) -> String {
    number(span.as_secs_f64())
}

struct Crowd {
    empty: Usage,
    full: Usage,
    cold: Arrival,
    blocks: u64,
    flushes: u64,
    idle_cpu: f64,
    storm: Arrival,
    leave: Duration,
}

fn measure(context: &Context, clients: usize) -> Result<Crowd> {
    let mut cluster = Cluster::unformatted(&context.binary, &context.folder, "scale")?;
    let most = (clients + 64).to_string();
    let format = cluster.tool().run(
        "format",
        &["--quorum-count", "1", "--size", "64M", "--clients-max", &most],
    )?;
    ensure(format.status.success(), || {
        String::from_utf8_lossy(&format.stderr).into_owned()
    })?;
    let voters = [cluster.voter("one")?, cluster.voter("two")?];
    cluster.wait_connected(&voters, Mark::START)?;
    std::thread::sleep(Duration::from_secs(1));
    let (leader, term) = server(&cluster)?;
    let pid = cluster.get(leader).pid();
    let passes = passes(&cluster)?;
    let empty = Usage::of(pid)?;
    let started = Instant::now();
    let load = Load::start(LoadOptions {
        image: cluster.image().to_owned(),
        clients,
        sources: sources(v4(cluster.ip())?, 8),
    })?;
    let cold = load.wait_welcomed(0, started, PATIENCE)?;
    let full = Usage::of(pid)?;
    let flushes = self::passes(&cluster)? - passes;
    std::thread::sleep(REST);
    let before = Usage::of(pid)?;
    std::thread::sleep(WATCH);
    let idle_cpu = Usage::of(pid)?.cpu_share(&before);
    ensure(load.losses() == 0, || {
        format!("{} connections were lost while nothing happened", load.losses())
    })?;
    let started = Instant::now();
    cluster.get_mut(leader).kill()?;
    let storm = load.wait_welcomed(term, started, PATIENCE)?;
    ensure(load.evicted() == 0, || {
        format!("{} clients were thrown out", load.evicted())
    })?;
    let leave = load.leave(PATIENCE)?;
    Ok(Crowd {
        empty,
        full,
        cold,
        blocks: blocks(&empty, &full),
        flushes,
        idle_cpu,
        storm,
        leave,
    })
}

/// Blocks that were written while the records of all clients were made durable.
const fn blocks(empty: &Usage, full: &Usage) -> u64 {
    (full.write_bytes - empty.write_bytes) / 4096
}

/// Passes over the client table so far, each of which ends with a flush: the highest number in it counts them.
fn passes(cluster: &Cluster) -> Result<u64> {
    let volume =
        Volume::open(cluster.image(), Access::Read).map_err(|error| Failure::new(error.to_string()))?;
    let copies = ClientTable::read(&volume)
        .blocks
        .into_iter()
        .flat_map(|block| block.copies);
    let numbers = copies.filter_map(|copy| match copy {
        CopyState::Valid { seq, .. } => Some(seq),
        CopyState::Damaged(_) => None,
    });
    Ok(numbers.max().unwrap_or(0))
}

fn v4(ip: IpAddr) -> Result<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(ip) => Err(Failure::new(format!("a cluster on {ip}, expected 127.x.x.x"))),
    }
}
