//! A disk that hangs for several seconds, under the real driver: the network goes on.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use ostrakon_bench::load::{Load, LoadOptions, sources};
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::mount::Options;
use ostrakon_xtask::failure::{Failure, Result, ensure};

const CLIENTS: usize = 50;

/// Longer than the silence that ends a connection (3 s), so that a driver which waits for its disk loses every client.
const STALL: Duration = Duration::from_secs(8);

/// What a disk operation may take: the stall is no failure of the disk.
const IO_TIMEOUT_MS: &str = "30000";

/// Bound against a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_disk_that_hangs_never_stops_the_network() -> Result<()> {
    let binary = Path::new(env!("CARGO_BIN_EXE_ostrakon"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut cluster = Cluster::format(binary, folder, "stalled-disk", 1)?;
    let stall = cluster.folder().join("stall");
    let stall_file = stall
        .to_str()
        .ok_or_else(|| Failure::new("a path in UTF-8"))?
        .to_owned();
    let options = ["--io-stall-file", &stall_file, "--io-timeout-ms", IO_TIMEOUT_MS];
    let addr = cluster.free_addr()?;
    let leader = cluster.mount("leader", Options::voter(addr).with(&options))?;
    cluster.wait_connected(&[leader], Mark::START)?;
    let other = cluster.voter("other")?;
    cluster.wait_connected(&[other], Mark::START)?;
    let sources = sources(v4(cluster.ip())?, 2);
    let crowd = |clients| {
        Load::start(LoadOptions {
            image: cluster.image().to_owned(),
            clients,
            sources: sources.clone(),
        })
    };
    let mounted = crowd(CLIENTS)?;
    mounted.wait_welcomed(0, Instant::now(), PATIENCE)?;

    let from = cluster.log().mark();
    std::fs::write(&stall, "").map_err(|error| Failure::new(error.to_string()))?;
    let began = Instant::now();
    // Its record keeps the disk busy from now on: whoever waits for the disk waits until it goes on.
    let newcomer = crowd(1)?;
    std::thread::sleep(STALL);
    let (lost, welcomes) = (mounted.losses(), newcomer.welcomes());
    ensure(lost == 0, || {
        let words = format!("{lost} clients lost their connection while the disk hung");
        cluster.failed(&words).to_string()
    })?;
    ensure(welcomes == 0, || {
        "a record was durable on a disk that hangs".to_owned()
    })?;
    std::fs::remove_file(&stall).map_err(|error| Failure::new(error.to_string()))?;
    newcomer.wait_welcomed(0, began, PATIENCE)?;
    ensure(mounted.losses() == 0, || {
        "clients lost their connection when the disk went on".to_owned()
    })?;
    cluster.expect_undisturbed(from)
}

fn v4(ip: IpAddr) -> Result<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(ip) => Err(Failure::new(format!("a cluster on {ip}, expected 127.x.x.x"))),
    }
}
