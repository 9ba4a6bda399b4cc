//! The interactive form: a live table, and keys to kill, freeze, thaw and power-cycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::failure::{During, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::figures::{ImageSize, memory};
use super::fleet::Fleet;
use super::guest::Freeze;
use super::terminal::Terminal;

/// How long unmounting everybody may take; who has not left by then is switched off.
const LEAVE_MAX: Duration = Duration::from_secs(20);

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What ctrl-c sends to a terminal that does not interrupt.
const CTRL_C: char = '\x03';

/// Keys that choose a guest, in the order of the guests.
const CHOICES: &str = "123456789abcdeghijlmnorvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const KEYS: &str = "choose a node, then: k pull its plug   f freeze (QMP stop)   s freeze (SIGSTOP)   t thaw   \
                    p power-cycle   u unmount   q leave all";

/// Switches everybody on, obeys keys until told to leave or until the time is up, and unmounts everybody.
/// The cluster, if there is one, looks at the disk at the end.
pub(super) fn play(
    fleet: &Arc<Fleet>,
    cluster: Option<&Cluster>,
    seconds: Option<u64>,
    keys: bool,
    size: ImageSize,
) -> Result<()> {
    let told_to_leave = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&told_to_leave)).during("listening to signals")?;
    }
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for guest in 0..fleet.guests.len() {
        fleet.switch_on(guest)?;
    }
    let over = || {
        told_to_leave.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    };
    let resident_kib;
    if keys {
        let terminal = Terminal::take()?;
        let mut board = Board {
            fleet,
            chosen: 0,
            message: String::new(),
        };
        while !over() {
            terminal.show(&board.lines(terminal.rows()))?;
            match terminal.key()? {
                Some('q' | CTRL_C) => break,
                Some(key) => board.press(key),
                None => {}
            }
        }
        terminal.show(&["unmounting everybody ...".to_owned()])?;
        resident_kib = fleet.resident_kib();
        leave(fleet)?;
    } else {
        while !over() {
            thread::sleep(LOOK_INTERVAL);
        }
        resident_kib = fleet.resident_kib();
        leave(fleet)?;
    }
    summary(fleet, cluster)?;
    println!("  {}", memory(fleet, size, &resident_kib));
    Ok(())
}

struct Board<'a> {
    fleet: &'a Arc<Fleet>,
    chosen: usize,
    message: String,
}

impl Board<'_> {
    fn press(&mut self, key: char) {
        let name = &self.fleet.guests[self.chosen].name;
        let (what, result) = match key {
            'k' => ("is off", {
                self.fleet.switch_off(self.chosen);
                Ok(())
            }),
            'f' => ("is paused", self.fleet.freeze(self.chosen, Freeze::Paused)),
            's' => ("is stopped", self.fleet.freeze(self.chosen, Freeze::Stopped)),
            't' => ("goes on", self.fleet.thaw(self.chosen)),
            'p' => ("begins anew", {
                self.fleet.switch_off(self.chosen);
                self.fleet.switch_on(self.chosen)
            }),
            'u' => ("is told to unmount", self.fleet.unmount(self.chosen)),
            key => {
                let choice = CHOICES.find(key).filter(|&at| at < self.fleet.guests.len());
                self.chosen = choice.unwrap_or(self.chosen);
                return;
            }
        };
        self.message = match result {
            Ok(()) => format!("{name} {what}"),
            Err(failure) => failure.to_string(),
        };
    }

    fn lines(&self, rows: usize) -> Vec<String> {
        let mut lines = vec![format!(
            "     {:6} {:12} {:>5}  {:16}  {:24} {:>8}",
            "node", "is", "term", "rid", "connected to", "up"
        )];
        for (number, guest) in self.fleet.guests.iter().enumerate() {
            let state = guest.state();
            let role = match (guest.is_on(), guest.frozen()) {
                (false, _) if state.role == "unmounted" => "left",
                (false, _) => "off",
                (true, Some(Freeze::Paused)) => "frozen",
                (true, Some(Freeze::Stopped)) => "stopped",
                (true, None) => &state.role,
            };
            let up = state
                .since
                .filter(|_| guest.is_on())
                .map_or(String::new(), |since| {
                    format!("{:.0} s", since.elapsed().as_secs_f64())
                });
            let choice = CHOICES.chars().nth(number).unwrap_or(' ');
            let cursor = if number == self.chosen { '>' } else { ' ' };
            lines.push(format!(
                "{cursor} {choice}  {:6} {role:12} {:>5}  {:16}  {:24} {up:>8}",
                guest.name,
                state.term,
                state.rid.as_deref().unwrap_or_default(),
                state.connected,
            ));
        }
        lines.extend([KEYS.to_owned(), self.message.clone(), String::new()]);
        let rest = rows.saturating_sub(lines.len());
        lines.extend(self.fleet.news.tail(rest));
        lines
    }
}

/// Thaws and unmounts everybody who is there. A guest that does not leave in time is switched off.
fn leave(fleet: &Arc<Fleet>) -> Result<()> {
    let everyone = 0..fleet.guests.len();
    let there: Vec<usize> = everyone.filter(|&guest| fleet.guests[guest].is_on()).collect();
    for &guest in &there {
        fleet.thaw(guest)?;
        fleet.unmount(guest)?;
    }
    let deadline = Instant::now() + LEAVE_MAX;
    while Instant::now() < deadline && there.iter().any(|&guest| fleet.guests[guest].is_on()) {
        thread::sleep(LOOK_INTERVAL);
    }
    for guest in there.into_iter().filter(|&guest| fleet.guests[guest].is_on()) {
        fleet.news.say(
            "power",
            &format!(
                "{} did not leave in time and is switched off",
                fleet.guests[guest].name
            ),
        );
        fleet.switch_off(guest);
    }
    Ok(())
}

fn summary(fleet: &Arc<Fleet>, cluster: Option<&Cluster>) -> Result<()> {
    println!("{} s. Events of the cluster:", fleet.news.time().as_secs());
    let (elections, fences) = fleet.news.look(|items| {
        let count = |name: &str| items.iter().filter(|item| item.name() == name).count();
        (count("serving"), count("power_switch"))
    });
    println!("  {elections} servers, {fences} fences confirmed");
    let Some(cluster) = cluster else { return Ok(()) };
    let status = cluster.status()?;
    match &status.server {
        Some(server) => println!(
            "  the device names {} of term {} as server",
            server.rid, server.term
        ),
        None => println!("  the device names no server: the last one stopped cleanly"),
    }
    println!(
        "  {} mounts are recorded, {} times the last quorum has left",
        status.clients.len(),
        status.unmount_barrier
    );
    Ok(())
}
