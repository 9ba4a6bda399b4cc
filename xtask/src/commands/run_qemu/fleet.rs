//! All guests, and the power switch between them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::cluster::tool::Tool;
use ostrakon_xtask::failure::{During, Failure, Result};

use super::guest::{Board, Breakdown, Freeze, Machine};
use super::linux;
use super::news::{Item, News, locked};

/// How often the end of a process is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What a guest said of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Its mount's rid, once it said so.
    pub(super) rid: Option<String>,
    /// What it is or does, for the table.
    pub(super) role: String,
    /// The term that this is about.
    pub(super) term: String,
    /// The server that it is connected to.
    pub(super) connected: String,
    /// When it said its rid.
    pub(super) since: Option<Instant>,
    /// Times that it was switched on or reset.
    pub(super) power_ons: u32,
}

/// What a guest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The x86_64 image.
    Image,
    /// The firmware of a RISC-V board.
    Firmware,
    /// A mount of this host's, without any QEMU.
    Linux,
}

/// A guest, switched on or off.
pub(super) struct Guest {
    /// Its name.
    pub(super) name: String,
    /// Where a voter serves.
    pub(super) addr: Option<SocketAddr>,
    /// What it is.
    pub(super) kind: Kind,
    machine: Mutex<Option<Machine>>,
    state: Mutex<State>,
}

impl Guest {
    /// Switched off.
    pub(super) fn new(name: String, addr: Option<SocketAddr>, kind: Kind) -> Self {
        Self {
            name,
            addr,
            kind,
            machine: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// What it said of itself last.
    pub(super) fn state(&self) -> State {
        locked(&self.state).clone()
    }

    /// How it is held still, if it is.
    pub(super) fn frozen(&self) -> Option<Freeze> {
        locked(&self.machine).as_ref().and_then(|machine| machine.frozen)
    }

    /// Whether its process is there.
    pub(super) fn is_on(&self) -> bool {
        let mut machine = locked(&self.machine);
        machine
            .as_mut()
            .is_some_and(|machine| matches!(machine.ended(), Ok(None)))
    }
}

/// All guests on one board.
pub(super) struct Fleet {
    /// By number.
    pub(super) guests: Vec<Guest>,
    /// What they say.
    pub(super) news: News,
    board: Board,
    reaper: Reaper,
    tool: Tool,
    linux_fence: linux::Fence,
    /// Whose mount a rid is: the guest, and its how-manyeth power-on.
    owners: Mutex<HashMap<String, (usize, u32)>>,
}

impl Fleet {
    /// Guests that are all switched off.
    pub(super) fn new(
        guests: Vec<Guest>,
        news: News,
        board: Board,
        linux_fence: linux::Fence,
        reaper: Reaper,
        tool: Tool,
    ) -> Self {
        Self {
            guests,
            news,
            board,
            reaper,
            tool,
            linux_fence,
            owners: Mutex::default(),
        }
    }

    /// Switches a guest on.
    pub(super) fn switch_on(self: &Arc<Self>, number: usize) -> Result<()> {
        let guest = &self.guests[number];
        let mut place = locked(&guest.machine);
        drop(place.take());
        *locked(&guest.state) = State {
            power_ons: guest.state().power_ons + 1,
            role: "boots".to_owned(),
            ..State::default()
        };
        let fleet = Arc::clone(self);
        if guest.kind == Kind::Linux {
            let mut child = linux::mount(
                &self.tool,
                &self.board.folder,
                number,
                guest.addr,
                self.linux_fence,
            )?;
            let output = child.stdout.take();
            *place = Some(Machine::of_process(child, &self.reaper)?);
            thread::spawn(move || output.map(|output| fleet.follow_linux(number, output)));
            return Ok(());
        }
        let started = Machine::start(&self.board, guest, number, &self.reaper)?;
        *place = Some(started.machine);
        thread::spawn(move || {
            started
                .log
                .follow(|line| fleet.news.say(&fleet.guests[number].name, line))
        });
        let fleet = Arc::clone(self);
        thread::spawn(move || fleet.follow_control(number, started.control));
        Ok(())
    }

    fn follow_linux(&self, number: usize, output: impl Read) {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            let Some(event) = linux::event(&line) else {
                self.news
                    .say(&self.guests[number].name, &format!("says {line:?}"));
                continue;
            };
            if event.name == "started" {
                self.greeted(number, &event.rid);
            }
            let words: Vec<&str> = event.words.iter().map(String::as_str).collect();
            self.news.say(
                &self.guests[number].name,
                &format!("{:11} LINUX {} {}", "", event.name, words.join(" ")),
            );
            self.told(number, &event.name, &words);
        }
    }

    /// Answers what the fence agents of the Linux mounts ask.
    pub(super) fn answer_agents(self: &Arc<Self>) -> Result<()> {
        let fleet = Arc::clone(self);
        linux::serve_agents(&self.board.folder, move |asker, rid, addr| {
            fleet.fence_for(asker, "?", rid, addr).is_ok()
        })
    }

    fn follow_control(self: &Arc<Self>, number: usize, control: impl Read) {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { return };
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["hello", rid, _] => self.greeted(number, rid),
                ["event", name, ref rest @ ..] => {
                    let guest = &self.guests[number];
                    // It has no log.
                    if guest.kind == Kind::Firmware {
                        let words = format!("{:11} BOARD {name} {}", "", rest.join(" "));
                        self.news.say(&guest.name, &words);
                    }
                    self.told(number, name, rest);
                }
                ["fence", term, rid, addr, _attempt] => {
                    let (fleet, [term, rid, addr]) = (Arc::clone(self), [term, rid, addr].map(str::to_owned));
                    // Of its own: the power switch may take its time, and the asker has more to say meanwhile.
                    thread::spawn(move || fleet.fence(number, &term, &rid, &addr));
                }
                _ => self.news.say(
                    &self.guests[number].name,
                    &format!("says {line:?} on its control line"),
                ),
            }
        }
    }

    fn greeted(&self, number: usize, rid: &str) {
        let mut state = locked(&self.guests[number].state);
        if state.rid.is_some() {
            // Nobody here has reset it: it did so itself.
            state.power_ons += 1;
            self.news.say(
                "power",
                &format!("{} began anew by itself", self.guests[number].name),
            );
        }
        locked(&self.owners).insert(rid.to_owned(), (number, state.power_ons));
        *state = State {
            rid: Some(rid.to_owned()),
            role: "mounts".to_owned(),
            since: Some(Instant::now()),
            power_ons: state.power_ons,
            ..State::default()
        };
        drop(state);
        self.tell(number, rid.to_owned(), "hello", &[]);
    }

    fn told(&self, number: usize, name: &str, rest: &[&str]) {
        let guest = &self.guests[number];
        let mut state = locked(&guest.state);
        let voter = guest.addr.is_some();
        let first = rest.first().copied().unwrap_or_default();
        match name {
            "connected" => {
                state.connected = rest.get(2).map_or(String::new(), |addr| (*addr).to_owned());
                state.term = first.to_owned();
                if state.role != "serves" {
                    state.role = if voter { "voter" } else { "client" }.to_owned();
                }
            }
            "disconnected" => state.connected.clear(),
            "elected" | "sealed" => (state.role, state.term) = (name.to_owned(), first.to_owned()),
            "serving" => (state.role, state.term) = ("serves".to_owned(), first.to_owned()),
            "asking" | "fencing" | "unmounting" | "unmounted" | "evicted" | "superseded" => {
                state.role = name.to_owned()
            }
            "gave_up" | "stopped_serving" => state.role = "voter".to_owned(),
            _ => {}
        }
        let rid = state.rid.clone().unwrap_or_default();
        drop(state);
        self.tell(number, rid, name, rest);
    }

    fn tell(&self, guest: usize, rid: String, name: &str, rest: &[&str]) {
        let words = std::iter::once(&name)
            .chain(rest)
            .map(|&word| word.to_owned())
            .collect();
        self.news.add(Item {
            seen: Instant::now(),
            guest,
            rid,
            words,
        });
    }

    /// A guest asks for a mount to be silenced.
    fn fence(&self, asker: usize, term: &str, rid: &str, addr: &str) {
        let verb = if self.fence_for(asker, term, rid, addr).is_ok() {
            "done"
        } else {
            "failed"
        };
        // An asker that is gone needs no answer.
        let _ = self.with_machine(asker, |machine| machine.answer(&format!("{verb} {term} {rid}")));
    }

    /// Silences a mount, and tells of it.
    fn fence_for(&self, asker: usize, term: &str, rid: &str, addr: &str) -> Result<()> {
        let asker_name = self.guests.get(asker).map_or("somebody", |guest| &guest.name);
        self.news.say(
            "power",
            &format!("{asker_name} asks for {term}.{rid} at {addr} to be fenced"),
        );
        match self.silence(rid, addr) {
            Ok(how) => {
                self.news
                    .say("power", &format!("fence of {term}.{rid}: done: {how}"));
                self.tell(asker, rid.to_owned(), "power_switch", &[term, rid]);
                Ok(())
            }
            Err(failure) => {
                self.news
                    .say("power", &format!("fence of {term}.{rid}: failed: {failure}"));
                Err(failure)
            }
        }
    }

    /// Makes sure that no write of a mount can reach the disk any more, and says how.
    pub(super) fn silence(&self, rid: &str, addr: &str) -> Result<String> {
        let owner = locked(&self.owners).get(rid).copied();
        let by_addr = || {
            self.guests
                .iter()
                .position(|guest| guest.addr.is_some_and(|own| own.to_string() == addr))
        };
        match owner.or_else(|| by_addr().map(|number| (number, u32::MAX))) {
            Some((number, power_on)) => self.power_cycle(number, power_on),
            None => self.kill_process(rid, addr),
        }
    }

    /// Resets a guest or, if its QEMU does not answer, switches it off; unless that was done after the power-on given.
    fn power_cycle(&self, number: usize, power_on: u32) -> Result<String> {
        let guest = &self.guests[number];
        let mut place = locked(&guest.machine);
        let Some(machine) = place.as_mut() else {
            return Ok(format!("{} is switched off", guest.name));
        };
        if locked(&guest.state).power_ons > power_on {
            return Ok(format!("{} was switched off and on since", guest.name));
        }
        if machine.ended()?.is_some() {
            return Ok(format!("the process of {} is gone", guest.name));
        }
        if machine.reset().is_ok() {
            let mut state = locked(&guest.state);
            *state = State {
                power_ons: state.power_ons + 1,
                role: "boots".to_owned(),
                ..State::default()
            };
            return Ok(format!("{} was reset", guest.name));
        }
        if let Some(machine) = place.take() {
            machine.switch_off();
        }
        Ok(format!("{} did not answer and was switched off", guest.name))
    }

    /// A mount that is no guest is a process of this host: `ostrakon fence-kill` knows how to find and end it.
    fn kill_process(&self, rid: &str, addr: &str) -> Result<String> {
        let mut command = self.tool.command(&["fence-kill"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().during("starting ostrakon fence-kill")?;
        if let Some(mut input) = child.stdin.take() {
            write!(input, "action=off\nostrakon_rid={rid}\nostrakon_addr={addr}\n")
                .during("asking ostrakon fence-kill")?;
        }
        let output = child
            .wait_with_output()
            .during("waiting for ostrakon fence-kill")?;
        if output.status.success() {
            return Ok("its process is gone".to_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!(
            "it is no guest, and ostrakon fence-kill says: {}",
            why.trim()
        )))
    }

    fn with_machine<T>(&self, number: usize, act: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
        let guest = &self.guests[number];
        match locked(&guest.machine).as_mut() {
            Some(machine) => act(machine),
            None => Err(Failure::new(format!("{} is switched off", guest.name))),
        }
    }

    /// Tells a guest to leave cleanly.
    pub(super) fn unmount(&self, number: usize) -> Result<()> {
        self.with_machine(number, Machine::unmount)
    }

    /// The exit status of a guest that left cleanly.
    pub(super) fn clean_status(&self, number: usize) -> Result<i32> {
        self.with_machine(number, |machine| Ok(machine.clean_status()))
    }

    /// Holds a guest still.
    pub(super) fn freeze(&self, number: usize, how: Freeze) -> Result<()> {
        self.with_machine(number, |machine| machine.freeze(how))
    }

    /// Lets a guest go on.
    pub(super) fn thaw(&self, number: usize) -> Result<()> {
        self.with_machine(number, Machine::thaw)
    }

    /// Takes something away from a guest.
    pub(super) fn break_down(&self, number: usize, what: Breakdown) -> Result<()> {
        self.with_machine(number, |machine| machine.break_down(what))
    }

    /// How often a guest was reset by its watchdog since it was switched on.
    pub(super) fn watchdog_bites(&self, number: usize) -> Result<u32> {
        self.with_machine(number, |machine| machine.qmp()?.watchdog_bites())
    }

    /// KiB of this host's memory that the process of each guest holds which is on.
    pub(super) fn resident_kib(&self) -> Vec<u64> {
        let kib = |guest: &Guest| locked(&guest.machine).as_ref()?.resident_kib();
        self.guests
            .iter()
            .filter(|guest| guest.kind == Kind::Image)
            .filter_map(kib)
            .collect()
    }

    /// Pulls a guest's plug (SIGKILL).
    pub(super) fn switch_off(&self, number: usize) {
        let guest = &self.guests[number];
        if let Some(machine) = locked(&guest.machine).take() {
            machine.switch_off();
        }
        let mut state = locked(&guest.state);
        *state = State {
            power_ons: state.power_ons,
            role: "off".to_owned(),
            ..State::default()
        };
    }

    /// Waits for the end of a guest's process.
    pub(super) fn wait_end(&self, number: usize, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.with_machine(number, Machine::ended)? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let name = &self.guests[number].name;
                return Err(Failure::new(format!(
                    "{name} does not end within {} s",
                    limit.as_secs()
                )));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}
