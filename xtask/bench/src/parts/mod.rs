//! The parts of the run, each by itself with `--only`.

mod cost;
mod elections;
mod failover;
mod frozen;
mod idle;
mod peers;
mod scale;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::cluster::{Cluster, MountId};
use ostrakon_xtask::failure::Result;

use crate::report::Report;

/// What every part is given.
pub struct Context {
    /// The `ostrakon` binary.
    pub binary: PathBuf,
    /// A folder of this run's own.
    pub folder: PathBuf,
    /// Fewer and shorter measurements.
    pub quick: bool,
    /// Ends whatever this run started.
    pub reaper: Reaper,
    /// What was measured.
    pub report: Report,
}

/// A part.
pub struct Part {
    /// Its name for `--only`.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&mut Context) -> Result<()>,
}

/// In the order in which they run.
pub const PARTS: [Part; 7] = [
    Part {
        name: "failover",
        about: "fail-over, frozen leader, joining and leaving, of ostrakon",
        run: failover::run,
    },
    Part {
        name: "peers",
        about: "the same of etcd and sanlock",
        run: peers::run,
    },
    Part {
        name: "frozen",
        about: "what a program of the frozen leader still writes",
        run: frozen::run,
    },
    Part {
        name: "idle",
        about: "I/O, processor and memory of idle hosts, of all",
        run: idle::run,
    },
    Part {
        name: "elections",
        about: "by number of voters and by latency of the disk",
        run: elections::run,
    },
    Part {
        name: "scale",
        about: "clients by the thousand",
        run: scale::run,
    },
    Part {
        name: "cost",
        about: "checksums, collect and merge, encoding and decoding",
        run: cost::run,
    },
];

impl Context {
    /// As many repetitions as this run makes of something.
    fn times(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Notes what is missing here.
    fn missing(&mut self, words: String) {
        eprintln!("   missing: {words}");
        if !self.report.missing.contains(&words) {
            self.report.missing.push(words);
        }
    }

    /// Runs something that may be missing on this machine; its failure is told and is not the end.
    fn optional(&mut self, what: &str, run: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(failure) = run(self) {
            self.missing(format!("{what}: {}", first_line(&failure.to_string())));
        }
    }

    fn volume(&self, name: &str, quorum_count: u16) -> Result<Cluster> {
        Cluster::format(&self.binary, &self.folder, name, quorum_count)
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A loopback address that no cluster of mounts uses: those begin at 127.1.
fn peer_ip(number: u8) -> Ipv4Addr {
    let pid = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, 0, 1 + pid[0] % 250, 1 + number)
}

/// The mount that serves, as the device names it, and its term.
fn server(cluster: &Cluster) -> Result<(MountId, u64)> {
    let status = cluster.status()?;
    let named = status.server.as_ref();
    let found = named.and_then(|server| Some((cluster.by_rid(&server.rid)?, server.term)));
    found.ok_or_else(|| cluster.failed(&format!("expected a server of ours; the device shows {status:?}")))
}

/// Voters and a plain client on a fresh volume, all connected.
fn cluster(
    context: &Context,
    name: &str,
    voters: usize,
    quorum_count: u16,
    options: &Voters<'_>,
) -> Result<(Cluster, Vec<MountId>, MountId)> {
    let mut cluster = context.volume(name, quorum_count)?;
    let mut ids = Vec::new();
    for number in 0..voters {
        ids.push(options.start(&mut cluster, &format!("voter{number}"))?);
    }
    let client = cluster.mount(
        "client",
        ostrakon_xtask::cluster::Options::client().with(options.all),
    )?;
    let everybody: Vec<MountId> = ids.iter().copied().chain([client]).collect();
    for &id in &everybody {
        cluster.wait(Mark::START, options.patience, "everybody to connect", |record| {
            let connected = record.event.kind == ostrakon_xtask::cluster::event::Kind::Connected;
            (record.mount == id && connected).then_some(())
        })?;
    }
    Ok((cluster, ids, client))
}

/// What voters are like.
struct Voters<'a> {
    fence: ostrakon_xtask::cluster::Fence,
    /// Arguments of voters.
    more: &'a [&'a str],
    /// Arguments of all mounts.
    all: &'a [&'a str],
    /// How long anything may take.
    patience: std::time::Duration,
}

impl Voters<'_> {
    fn start(&self, cluster: &mut Cluster, name: &str) -> Result<MountId> {
        let options = ostrakon_xtask::cluster::Options {
            server_addr: Some(cluster.free_addr()?),
            fence: Some(self.fence.clone()),
            more: Vec::new(),
        };
        cluster.mount(name, options.with(self.more).with(self.all))
    }
}

/// A folder for something of this run.
fn folder(context: &Context, name: &str) -> PathBuf {
    Path::new(&context.folder).join(name)
}
