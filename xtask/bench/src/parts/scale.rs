//! Clients by the thousand: memory, greetings, idle cost, the storm after a fail-over, leaving.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::{Context, server};
use crate::load::{Arrival, Load, LoadOptions, fits, sources};
use crate::measure::Samples;
use crate::measure::process::Usage;
use crate::report::{Bar, Chart, Section, Table, number};

const PATIENCE: Duration = Duration::from_secs(180);

/// How long everybody is watched while nothing happens.
const WATCH: Duration = Duration::from_secs(10);

pub(super) fn run(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&[
        "clients",
        "server, MiB",
        "a client, bytes",
        "cold: half / all, s",
        "greetings/s",
        "blocks written",
        "idle server, % of a processor",
        "fail-over: first / half / all, s",
        "all leave, s",
    ]);
    let mut bars = Vec::new();
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
        let per_client = (crowd.full.resident as f64 - crowd.empty.resident as f64) / clients as f64;
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
            crowd.blocks.to_string(),
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
    }
    context.report.sections.push(Section {
        title: "Clients by the thousand".to_owned(),
        text: format!(
            "Real clients (core's own plain mounts, each with a TCP connection of its own), all in one thread of one process, beside two \
             voters, one of which serves, on the same {} processors: the clients take as much of them as the server does. Cold: all at once on a server that \
             knows none of them, each with a durable record. Blocks written: for all of these records, in both copies of the table, a group of changes at a time. A client, bytes: what the \
             server's resident memory grew by, divided. Idle: everybody connected, a ping from each client every second. Fail-over: the \
             server is killed, all come at once to its successor, which knows them from their records.",
            std::thread::available_parallelism().map_or(1, usize::from)
        ),
        tables: vec![table],
        charts: vec![Chart {
            name: "failover-by-clients",
            title: "Fail-over until the last client is served".to_owned(),
            unit: "s",
            logarithmic: false,
            bars,
        }],
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
    let empty = Usage::of(pid)?;
    let started = Instant::now();
    let load = Load::start(LoadOptions {
        image: cluster.image().to_owned(),
        clients,
        sources: sources(v4(cluster.ip())?, 8),
    })?;
    let cold = load.wait_welcomed(0, started, PATIENCE)?;
    let full = Usage::of(pid)?;
    std::thread::sleep(Duration::from_secs(2));
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
        idle_cpu,
        storm,
        leave,
    })
}

/// Blocks that were written while the records of all clients were made durable.
const fn blocks(empty: &Usage, full: &Usage) -> u64 {
    (full.write_bytes - empty.write_bytes) / 4096
}

fn v4(ip: IpAddr) -> Result<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(ip) => Err(Failure::new(format!("a cluster on {ip}, expected 127.x.x.x"))),
    }
}
