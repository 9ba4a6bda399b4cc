//! Strangers at the server's port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_core::format::hello::{CHALLENGE_BYTES, Offer};
use ostrakon_core::format::wire::Command;
use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use crate::insider::{Insider, Target, until_closed};
use crate::support::{Dice, voters};

/// How long the port is attacked: longer than a stranger is tolerated, longer than a peer's silence.
const ATTACK: Duration = Duration::from_secs(6);

/// What the server may take to say something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that one attacker holds open.
const HELD_OPEN: usize = 100;

/// An attacker works until told to stop, and counts the connections that it opened.
type Attacker = fn(&Target, &AtomicBool, Dice) -> u32;

fn nobody_is_disturbed(name: &str, attackers: &[Attacker]) -> Result<()> {
    let (mut cluster, ids) = voters(name, 3, 2)?;
    let client = cluster.client("client")?;
    cluster.wait_connected(&[client], Mark::START)?;
    let before = cluster.status()?;
    let port = before
        .server_addr
        .ok_or_else(|| Failure::new("no server's address"))?;
    let target = Target::read(port, cluster.image())?;
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
            .map(|(attack, dice)| scope.spawn(move || attack(&target, stop, dice)))
            .collect();
        thread::sleep(ATTACK);
        // Amid all this one more client mounts.
        let started = Instant::now();
        let late = cluster
            .client("late")
            .and_then(|late| cluster.wait_connected(&[late], from));
        println!("a client mounted amid the attack: {:?}", started.elapsed());
        over.store(true, Ordering::Relaxed);
        let opened: u32 = threads
            .into_iter()
            .map(|thread| thread.join().expect("an attack that found nothing"))
            .sum();
        (opened, late)
    });
    println!("{opened} connections");
    late?;
    ensure(opened > 0, || "no attack took place".to_owned())?;
    cluster.expect_undisturbed(from)?;
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
fn silence(target: &Target, over: &AtomicBool, _dice: Dice) -> u32 {
    let (mut held, mut opened) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        if let Ok(stream) = TcpStream::connect_timeout(&target.port, Duration::from_secs(1)) {
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
fn garbage(target: &Target, over: &AtomicBool, mut dice: Dice) -> u32 {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect_timeout(&target.port, Duration::from_secs(1)) {
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
fn flood(target: &Target, over: &AtomicBool, _dice: Dice) -> u32 {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        opened += u32::from(TcpStream::connect_timeout(&target.port, Duration::from_secs(1)).is_ok());
    }
    opened
}

/// Says a part of a good hello, and no more: as fast as it can, and many at a time.
fn half_open(target: &Target, over: &AtomicBool, mut dice: Dice) -> u32 {
    let (mut held, mut opened) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = target.connect() else {
            continue;
        };
        let mut challenge = [0; CHALLENGE_BYTES];
        if stream.read_exact(&mut challenge).is_ok()
            && let Ok((_, hello)) = target.hello(&mut challenge)
        {
            let part = dice.below(hello.len() as u64) as usize;
            let _ = stream.write_all(&hello[..part]);
            opened += 1;
            held.push(stream);
        }
        if held.len() >= HELD_OPEN {
            held.remove(0);
        }
    }
    opened
}

/// Says a good hello, a byte now and then.
fn slow_bytes(target: &Target, over: &AtomicBool, _dice: Dice) -> u32 {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = target.connect() else {
            continue;
        };
        let mut challenge = [0; CHALLENGE_BYTES];
        if stream.read_exact(&mut challenge).is_err() {
            continue;
        }
        let Ok((_, hello)) = target.hello(&mut challenge) else {
            continue;
        };
        opened += 1;
        for byte in hello {
            thread::sleep(Duration::from_millis(100));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
    }
    opened
}

/// Says what another one said in its session: all of it, a part, in any order, changed.
fn replay(target: &Target, over: &AtomicBool, mut dice: Dice) -> u32 {
    let Ok(mut insider) = Insider::greet(target) else {
        return 0;
    };
    let pinged = insider.say(Command::PING, false, 0, &[]);
    let asked = insider.say(Command::SERVICE, false, 1, &[1]);
    assert!(pinged.and(asked).is_ok(), "there is a session to record");
    let said = std::mem::take(&mut insider.said);
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = target.connect() else {
            continue;
        };
        let mut words = match dice.below(3) {
            0 => said.concat(),
            1 => said[dice.below(said.len() as u64) as usize].clone(),
            _ => said.iter().rev().flatten().copied().collect(),
        };
        if dice.below(2) == 0 {
            let at = dice.below(words.len() as u64) as usize;
            words[at] ^= 1 << dice.below(8);
        }
        // The server may hang up in the middle of it.
        let _ = stream.write_all(&words);
        let heard = until_closed(&mut stream).expect("it is shown the door");
        assert!(
            heard.len() <= CHALLENGE_BYTES,
            "{} bytes to a stranger",
            heard.len()
        );
        opened += 1;
    }
    opened
}

/// Greets, and then does what no client of ours does.
fn misbehave(target: &Target, over: &AtomicBool, mut dice: Dice) -> u32 {
    let mut opened = 0;
    let mut kinds = 0..;
    while !over.load(Ordering::Relaxed) {
        let Ok(mut insider) = Insider::greet(target) else {
            continue;
        };
        opened += 1;
        let kind = kinds.next().unwrap_or(0) % 7;
        let words = match kind {
            0 => insider.sealed(Command::SERVICE, false, 0, &[1]),
            1 => insider.sealed(Command::SERVICE, false, u64::MAX, &[1]),
            2 => insider.sealed(Command::SERVICE, true, 1, &[]),
            3 => vec![0xff; 2_000],
            4 => insider.said[1].clone(),
            5 => {
                let _left_out = insider.sealed(Command::PING, false, 0, &[]);
                insider.sealed(Command::PING, false, 0, &[])
            }
            _ => {
                let mut changed = insider.sealed(Command::PING, false, 0, &[]);
                let at = 2 + dice.below(changed.len() as u64 - 2) as usize;
                changed[at] ^= 1 << dice.below(8);
                changed
            }
        };
        let _ = insider.say_raw(&words);
        let closed = until_closed(&mut insider.stream);
        assert!(closed.is_ok(), "misbehaviour {kind}: {closed:?}");
        // Each is a client that is mounted until it is evicted: there are places for some thousands.
        thread::sleep(Duration::from_millis(20));
    }
    opened
}

/// `Insider::knock` fails unless it is told what this build speaks: so both sides can show what the other one does.
#[test]
fn a_peer_of_another_release_is_turned_away_and_both_can_show_why() -> Result<()> {
    let (cluster, _) = voters("release", 2, 1)?;
    let from = cluster.log().mark();
    let status = cluster.status()?;
    let port = status
        .server_addr
        .ok_or_else(|| Failure::new("no server's address"))?;
    let target = Target::read(port, cluster.image())?;
    let older = Offer {
        oldest: 0,
        newest: 0,
        ..Offer::OURS
    };
    let demanding = Offer {
        needed: 1 << 15,
        ..Offer::OURS
    };
    for offer in [older, demanding] {
        let mut peer = Insider::knock(&target, offer)?;
        let after = until_closed(&mut peer.stream)?;
        ensure(after.is_empty(), || format!("{offer}: it heard {after:?}"))?;
        let shown = offer.to_string();
        cluster.wait(
            from,
            PATIENCE,
            "the server to show what the peer speaks",
            |record| {
                let told = record.event.object.to_string();
                (record.event.kind == Kind::Error && told.contains("peer_speaks") && told.contains(&shown))
                    .then_some(())
            },
        )?;
    }
    ensure(Insider::greet(&target).is_ok(), || {
        "one of this release is welcome all the same".to_owned()
    })?;
    let lost = |kind: &Kind| matches!(kind, Kind::Disconnected | Kind::Superseded);
    let records = cluster.log().since(from);
    ensure(!records.iter().any(|record| lost(&record.event.kind)), || {
        format!("{records:#?}")
    })
}

#[test]
fn half_open_connections_and_slow_bytes_disturb_nobody() -> Result<()> {
    nobody_is_disturbed("half-open", &[half_open, slow_bytes])
}

#[test]
fn what_was_recorded_is_good_for_nothing() -> Result<()> {
    nobody_is_disturbed("replay", &[replay, replay])
}

#[test]
fn insiders_that_misbehave_disturb_nobody() -> Result<()> {
    nobody_is_disturbed("insiders", &[misbehave])
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
