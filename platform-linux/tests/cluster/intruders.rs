//! Strangers at the server's port.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use crate::support::{Dice, voters};

/// How long the port is attacked: longer than a stranger is tolerated, longer than a peer's silence.
const ATTACK: Duration = Duration::from_secs(6);

/// Connections that one attacker holds open.
const HELD_OPEN: usize = 100;

/// An attacker works until told to stop, and counts the connections that it opened.
type Attacker = fn(SocketAddr, &AtomicBool, Dice) -> u32;

fn nobody_is_disturbed(name: &str, attackers: &[Attacker]) -> Result<()> {
    let (mut cluster, ids) = voters(name, 3, 2)?;
    let client = cluster.client("client")?;
    cluster.wait_connected(&[client], Mark::START)?;
    let before = cluster.status()?;
    let port = before
        .server_addr
        .ok_or_else(|| Failure::new("no server's address"))?;
    let from = cluster.log().mark();
    let over = AtomicBool::new(false);
    let dice = attackers
        .iter()
        .map(|_| Dice::new())
        .collect::<Result<Vec<_>>>()?;
    let (opened, late) = thread::scope(|scope| {
        let stop = &over;
        let threads: Vec<_> = attackers
            .iter()
            .zip(dice)
            .map(|(attack, dice)| scope.spawn(move || attack(port, stop, dice)))
            .collect();
        thread::sleep(ATTACK);
        // Amid all this one more client mounts.
        let started = Instant::now();
        let late = cluster
            .client("late")
            .and_then(|late| cluster.wait_connected(&[late], from));
        println!("a client mounted amid the attack: {:?}", started.elapsed());
        over.store(true, Ordering::Relaxed);
        let opened: u32 = threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum();
        (opened, late)
    });
    println!("{opened} connections");
    late?;
    ensure(opened > 0, || "no attack took place".to_owned())?;
    let disturbed = cluster.log().find(from, |record| {
        matches!(
            record.event.kind,
            Kind::Disconnected | Kind::Elected | Kind::StoppedServing
        )
        .then(|| record.clone())
    });
    ensure(disturbed.is_none(), || {
        cluster.failed(&format!("disturbed: {disturbed:?}")).to_string()
    })?;
    let after = cluster.status()?;
    ensure(before.server == after.server, || {
        format!("served before: {before:?}, now: {after:?}")
    })?;
    ids.iter().try_for_each(|&id| {
        ensure(cluster.get(id).is_running(), || {
            cluster.failed(&format!("{} ended", cluster.name(id))).to_string()
        })
    })
}

/// Opens connections, says nothing, holds as many open as it may.
fn silence(port: SocketAddr, over: &AtomicBool, _dice: Dice) -> u32 {
    let (mut held, mut opened) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        if let Ok(stream) = TcpStream::connect_timeout(&port, Duration::from_secs(1)) {
            opened += 1;
            held.push(stream);
        }
        if held.len() >= HELD_OPEN {
            held.remove(0);
        }
        thread::sleep(Duration::from_millis(5));
    }
    opened
}

/// Says anything.
fn garbage(port: SocketAddr, over: &AtomicBool, mut dice: Dice) -> u32 {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect_timeout(&port, Duration::from_secs(1)) {
            opened += 1;
            let length = 1 + dice.below(8_192);
            let bytes = dice.bytes(usize::try_from(length).unwrap_or(1));
            // The server may hang up in the middle of it.
            let _ = stream.write_all(&bytes);
        }
    }
    opened
}

/// Opens and closes as fast as it can.
fn flood(port: SocketAddr, over: &AtomicBool, _dice: Dice) -> u32 {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        opened += u32::from(TcpStream::connect_timeout(&port, Duration::from_secs(1)).is_ok());
    }
    opened
}

#[test]
fn silence_disturbs_nobody() -> Result<()> {
    nobody_is_disturbed("silence", &[silence])
}

#[test]
fn garbage_disturbs_nobody() -> Result<()> {
    nobody_is_disturbed("garbage", &[garbage])
}

#[test]
fn a_flood_disturbs_nobody() -> Result<()> {
    nobody_is_disturbed("flood", &[flood, silence])
}
