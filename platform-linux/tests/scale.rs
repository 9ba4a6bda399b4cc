//! Clients by the thousand at one real server: all at once, on a server that knows none of them, under attack, on its
//! successor, and away.

#[path = "cluster/insider.rs"]
#[allow(dead_code, reason = "the attacks of the other tests use the rest of it")]
mod insider;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use insider::{Insider, Target, until_closed};
use ostrakon_core::format::hello::CHALLENGE_BYTES;
use ostrakon_core::format::wire::Command;

use ostrakon_bench::load::{Load, LoadOptions, fits, sources};
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};
use ostrakon_xtask::skipped;

/// A tenth of what `cargo xtask bench --only scale` does, for machines that do other things too.
const CLIENTS: usize = 1_000;

/// Connections that are opened at once and never become anybody's.
const HALF_OPEN: usize = 2_000;

/// How long the server is attacked: longer than silence lasts, and than two pings of a client.
const ATTACK: Duration = Duration::from_secs(8);

/// Places for those who misbehave: each is a client until it is evicted.
const INSIDERS: usize = 200;

/// Bound against a test that hangs; says nothing of how long it takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Opens thousands of connections, on half of which it says the beginning of a good hello, and then nothing; those that the
/// server closes it opens again.
fn half_open(target: &Target, over: &AtomicBool) -> usize {
    let mut held = Vec::new();
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = target.connect() else {
            continue;
        };
        opened += 1;
        // Those beyond the first ones wait outside: their challenge has not come, and is not waited for.
        let waits = stream.set_read_timeout(Some(Duration::from_millis(1)));
        let mut challenge = [0; CHALLENGE_BYTES];
        if opened % 2 == 0
            && waits.is_ok()
            && stream.read_exact(&mut challenge).is_ok()
            && let Ok((_, hello)) = target.hello(&mut challenge)
        {
            let _ = stream.write_all(&hello[..hello.len() / 2]);
        }
        if held.len() < HALF_OPEN {
            held.push(stream);
        } else {
            held[opened % HALF_OPEN] = stream;
        }
    }
    opened
}

/// Greets, and then does what no client of ours does.
fn misbehave(target: &Target, over: &AtomicBool) -> usize {
    for number in 0..INSIDERS {
        if over.load(Ordering::Relaxed) {
            return number;
        }
        let Ok(mut insider) = Insider::greet(target) else {
            continue;
        };
        let words = match number % 4 {
            0 => insider.sealed(Command::SERVICE, false, 0, &[1]),
            1 => insider.sealed(Command::SERVICE, true, 1, &[]),
            2 => vec![0xff; 2_000],
            _ => insider.said[1].clone(),
        };
        let _ = insider.say_raw(&words);
        let closed = until_closed(&mut insider.stream);
        assert!(closed.is_ok(), "misbehaviour {number}: {closed:?}");
    }
    INSIDERS
}

/// Attacks the server while a crowd is mounted, and one more client comes in.
fn attack(cluster: &Cluster, port: SocketAddr, load: &Load) -> Result<()> {
    let target = Target::read(port, cluster.image())?;
    let over = AtomicBool::new(false);
    let (opened, misbehaved, late) = thread::scope(|scope| {
        let half_open = scope.spawn(|| half_open(&target, &over));
        let misbehaved = scope.spawn(|| misbehave(&target, &over));
        thread::sleep(ATTACK);
        let late = Load::start(LoadOptions {
            image: cluster.image().to_owned(),
            clients: 1,
            sources: Vec::new(),
        })
        .and_then(|late| {
            late.wait_welcomed(0, Instant::now(), PATIENCE)?;
            late.leave(PATIENCE)
        });
        over.store(true, Ordering::Relaxed);
        let counts = (half_open.join(), misbehaved.join());
        (
            counts.0.expect("an attack that found nothing"),
            counts.1.expect("an attack that found nothing"),
            late,
        )
    });
    println!("{opened} half-open connections, {misbehaved} insiders");
    late?;
    ensure(opened > 100 && misbehaved > 0, || {
        format!("no attack took place: {opened} half-open connections, {misbehaved} insiders")
    })?;
    ensure(load.losses() == 0, || {
        format!("{} clients lost their connection under the attack", load.losses())
    })
}

#[test]
fn a_thousand_clients_come_at_once_stand_an_attack_survive_a_fail_over_and_leave() -> Result<()> {
    if let Err(why) = fits(CLIENTS + HALF_OPEN) {
        skipped::note("a thousand clients", &why);
        return Ok(());
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_ostrakon"));
    let mut cluster = Cluster::unformatted(binary, Path::new(env!("CARGO_TARGET_TMPDIR")), "scale")?;
    let most = (CLIENTS + INSIDERS + 8).to_string();
    let arguments = ["--quorum-count", "2", "--size", "64M", "--clients-max", &most];
    let format = cluster.tool().run("format", &arguments)?;
    ensure(format.status.success(), || {
        String::from_utf8_lossy(&format.stderr).into_owned()
    })?;
    let voters = [
        cluster.voter("one")?,
        cluster.voter("two")?,
        cluster.voter("three")?,
        cluster.voter("four")?,
    ];
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
        format!("{mounted} records, expected those of {CLIENTS} clients and four voters")
    })?;

    let port = status
        .server_addr
        .ok_or_else(|| Failure::new("no server's address"))?;
    attack(&cluster, port, &load)?;

    let killed = cluster.log().mark();
    cluster.kill(leader)?;
    load.wait_welcomed(server.term, Instant::now(), PATIENCE)?;
    voters_come_first(&cluster, killed)?;
    ensure(load.evicted() == 0, || {
        format!("{} clients were thrown out", load.evicted())
    })?;
    load.leave(PATIENCE)?;
    let status = cluster.wait_status(PATIENCE, "that all clients have left", |status| {
        status.clients.len() == 3
    })?;
    ensure(status.voters() == 3, || {
        format!("the survivors alone are mounted: {status:?}")
    })
}

/// Voters look at the device all the time while they have no server: they are at its door before the crowd. Were they in the middle
/// of it, two of them could take the leader, which then hears of no voter but itself, for one cut off, and elect another,
/// to whom all would come anew.
fn voters_come_first(cluster: &Cluster, killed: Mark) -> Result<()> {
    let mut connected = 0;
    cluster.wait(killed, PATIENCE, "the voters to be connected", |record| {
        connected += usize::from(record.event.kind == Kind::Connected);
        (connected == 3).then_some(())
    })?;
    let records = cluster.log().since(killed);
    let reigns = records.iter().filter(|record| record.event.kind == Kind::Serving);
    ensure(reigns.count() == 1, || {
        format!("expected one successor: {records:#?}")
    })
}

fn v4(ip: IpAddr) -> Result<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(ip) => Err(Failure::new(format!("a cluster on {ip}, expected 127.x.x.x"))),
    }
}
