//! Clients by the thousand at one real server: all at once, on a server that knows none of them, on its successor, and away.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use ostrakon_bench::load::{Load, LoadOptions, fits, sources};
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};
use ostrakon_xtask::skipped;

/// A tenth of what `cargo xtask bench --only scale` does, for machines that do other things too.
const CLIENTS: usize = 1_000;

/// Bound against a test that hangs; says nothing of how long it takes.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_thousand_clients_come_at_once_survive_a_fail_over_and_leave() -> Result<()> {
    if let Err(why) = fits(CLIENTS) {
        skipped::note("a thousand clients", &why);
        return Ok(());
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_ostrakon"));
    let mut cluster = Cluster::unformatted(binary, Path::new(env!("CARGO_TARGET_TMPDIR")), "scale")?;
    let most = (CLIENTS + 8).to_string();
    let arguments = ["--quorum-count", "1", "--size", "64M", "--clients-max", &most];
    let format = cluster.tool().run("format", &arguments)?;
    ensure(format.status.success(), || {
        String::from_utf8_lossy(&format.stderr).into_owned()
    })?;
    let voters = [cluster.voter("one")?, cluster.voter("two")?];
    cluster.wait_connected(&voters, Mark::START)?;
    let status = cluster.status()?;
    let server = status.server.ok_or_else(|| Failure::new("nobody serves"))?;
    let leader = cluster
        .by_rid(&server.rid)
        .ok_or_else(|| Failure::new("a server of others"))?;

    let written = cluster.get(leader).storage_bytes()?.1;
    let load = Load::start(LoadOptions {
        image: cluster.image().to_owned(),
        clients: CLIENTS,
        sources: sources(v4(cluster.ip())?, 4),
    })?;
    load.wait_welcomed(0, Instant::now(), PATIENCE)?;
    let blocks = (cluster.get(leader).storage_bytes()?.1 - written) / 4096;
    // One client at a time would be two blocks for each.
    ensure(blocks < CLIENTS as u64, || {
        format!("{blocks} blocks were written for {CLIENTS} records")
    })?;
    let mounted = cluster.status()?.clients.len();
    ensure(mounted == CLIENTS + voters.len(), || {
        format!("{mounted} records, expected those of {CLIENTS} clients and two voters")
    })?;

    cluster.kill(leader)?;
    load.wait_welcomed(server.term, Instant::now(), PATIENCE)?;
    ensure(load.evicted() == 0, || {
        format!("{} clients were thrown out", load.evicted())
    })?;
    load.leave(PATIENCE)?;
    let status = cluster.wait_status(PATIENCE, "that all clients have left", |status| {
        status.clients.len() == 1
    })?;
    ensure(status.voters() == 1, || {
        format!("the survivor alone is mounted: {status:?}")
    })
}

fn v4(ip: IpAddr) -> Result<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(ip) => Err(Failure::new(format!("a cluster on {ip}, expected 127.x.x.x"))),
    }
}
