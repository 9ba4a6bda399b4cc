//! Scenarios: runs that are told in verbs instead of drawn.
//!
//! ```no_run
//! use ostrakon_tests::sim::scenario::voters;
//!
//! voters(3).quorum(2).clients(1).play(|world| {
//!     let first = world.expect_server();
//!     world.expect_connected_all();
//!     world.crash(first);
//!     let second = world.expect_another_server_than(first);
//!     assert_ne!(first, second);
//! });
//! ```
//!
//! Each is played with several seeds, on a disk and a network that are calm unless it says otherwise. A failure
//! prints the seed and the line that replays it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::ids::Ballot;

use super::clock::Time;
use super::dice::Dice;
use super::host::ProcId;
use super::machine::Rules;
use super::options::{
    Chaos, DiskProfile, FenceKind, FenceProfile, Mischief, NetProfile, Options, Silence, Span,
};
use super::power_cut;
use super::trace::Listen;
use super::world::{Happening, World, Wrong};

/// Seeds that each scenario is played with, unless it says otherwise.
const SEEDS: u64 = 12;

/// A scenario that is about to be played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How the world is made.
    pub options: Options,
    seeds: u64,
    started: bool,
}

/// A scenario with so many voters, a majority of which elects.
pub fn voters(voters: usize) -> Scenario {
    Scenario {
        options: Options {
            rules: Rules::Ours,
            voters,
            clients: 0,
            quorum_count: voters as u16 / 2 + 1,
            clients_max: 40,
            write_time_max_ms: 1_000,
            transfer_blocks: 64,
            silence_max_ms: 1_000,
            recovery_ms: 3_000,
            unmount_time_max_ms: None,
            fence_time_max_ms: 3_000,
            silence: Silence::Fence,
            disk: DiskProfile::healthy(Span(100, 400)),
            net: NetProfile {
                delay: Span(50, 200),
                split_ppm: 100_000,
            },
            fence: FenceProfile::reliable(FenceKind::KillProcess, Span(1_000, 20_000)),
            drift_ppm_max: 100,
            unreachable: None,
            start_within_ms: 20,
            restart_after: None,
            chaos: Chaos {
                every: Span(1_000_000, 1_000_000),
                weights: [0; Mischief::ALL.len()],
            },
            chaos_ms: 0,
            longer_ms: 0,
            chaos_events: u64::MAX,
            core_first: None,
        },
        seeds: SEEDS,
        started: true,
    }
}

impl Scenario {
    /// Votes that elect.
    pub const fn quorum(mut self, count: u16) -> Self {
        self.options.quorum_count = count;
        self
    }

    /// Plain clients, after the voters.
    pub const fn clients(mut self, clients: usize) -> Self {
        self.options.clients = clients;
        self
    }

    /// Nobody can fence; everybody promises a lease of so many milliseconds.
    pub const fn lease(mut self, ms: u64) -> Self {
        self.options.silence = Silence::Lease(ms);
        self
    }

    /// What a confirmed fence does.
    pub const fn fence(mut self, kind: FenceKind) -> Self {
        self.options.fence.kind = kind;
        self
    }

    /// Every disk request takes so many microseconds.
    pub const fn disk_latency(mut self, low: Time, high: Time) -> Self {
        self.options.disk.latency = Span(low, high);
        self
    }

    /// No process runs until the scenario starts one.
    pub const fn nobody_started(mut self) -> Self {
        self.started = false;
        self
    }

    /// How many seeds it is played with.
    pub const fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Changes anything else.
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// A world in which it can be told.
    pub(crate) fn world(&self, seed: u64, listen: Listen) -> World {
        let mut world = World::new(self.options.clone(), Dice::new(seed), listen);
        if self.started {
            for host in 0..world.hosts.len() {
                let at = world.dice.between(0, world.options.start_within_ms * 1_000);
                world.at(at, Happening::Start(host));
            }
        }
        world
    }

    /// Plays it with each seed, or with the one that `OSTRAKON_SEED` names, and then prints what happens. Then cuts its
    /// power at some of its writes, or plays nothing but the cut that `OSTRAKON_CUT` names.
    pub fn play(self, story: impl Fn(&mut World)) {
        if power_cut::replay(&self, &story) {
            return;
        }
        let chosen = std::env::var("OSTRAKON_SEED")
            .ok()
            .and_then(|seed| seed.parse::<u64>().ok());
        let (seeds, listen) = match chosen {
            Some(seed) => (seed..seed + 1, Listen::Print),
            None => (0..self.seeds, Listen::Nobody),
        };
        let mut writes = 0;
        for seed in seeds {
            let mut world = self.world(seed, listen);
            let told = catch_unwind(AssertUnwindSafe(|| {
                story(&mut world);
                world.expect_nothing_wrong();
            }));
            if let Err(panic) = told {
                let thread = std::thread::current();
                let name = thread.name().unwrap_or("").to_owned();
                eprintln!("replay: OSTRAKON_SEED={seed} cargo test -p ostrakon-tests {name} -- --nocapture");
                resume_unwind(panic);
            }
            if seed == 0 && chosen.is_none() {
                writes = world.writes();
            }
        }
        // The 2019 rules are not known for coming back.
        if self.options.rules == Rules::Ours {
            power_cut::cut(&self, writes, &story);
        }
    }

    /// Plays it with one seed after the other until something is wrong, and says what. For worlds without one of
    /// the rules, or with others.
    pub fn find(self, story: impl Fn(&mut World)) -> Option<Wrong> {
        self.find_seed(story).map(|(_, wrong)| wrong)
    }

    /// The same, and with which seed.
    pub fn find_seed(&self, story: impl Fn(&mut World)) -> Option<(u64, Wrong)> {
        let mut seeds = 0..self.seeds;
        seeds.find_map(|seed| Some((seed, self.play_seed(seed, Listen::Nobody, &story)?)))
    }

    /// Plays it with one seed, and says what is wrong.
    pub fn play_seed(&self, seed: u64, listen: Listen, story: impl Fn(&mut World)) -> Option<Wrong> {
        let mut world = self.world(seed, listen);
        // A story that is not told to its end has found something wrong, or does not fit this seed.
        let _ = catch_unwind(AssertUnwindSafe(|| story(&mut world)));
        world.wrong.take()
    }
}

/// Verbs. Those that expect something let time pass until it is so, and fail if it does not come about.
impl World {
    /// Fails if an invariant was violated.
    pub fn expect_nothing_wrong(&self) {
        if let Some(wrong) = &self.wrong {
            panic!("{wrong}");
        }
    }

    /// Lets so many milliseconds pass.
    pub fn run_for(&mut self, ms: u64) {
        self.run_until(self.now + ms * 1_000);
        self.expect_nothing_wrong();
    }

    /// Waits until this holds.
    pub fn expect(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.run_until_holds(what, holds);
        self.expect_nothing_wrong();
    }

    /// Waits until this holds, and fails if that takes longer than so many milliseconds.
    pub fn expect_within(&mut self, ms: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = self.now;
        self.expect(what, holds);
        let took = (self.now - start) / 1_000;
        assert!(took <= ms, "{what} took {took} ms, not {ms}");
    }

    /// Waits until a host serves.
    pub fn expect_server(&mut self) -> usize {
        self.expect("a server", |world| world.server().is_some());
        self.server().expect("it was there a moment ago")
    }

    /// Waits until another host serves.
    pub fn expect_another_server_than(&mut self, old: usize) -> usize {
        self.expect("another server", |world| {
            world.server().is_some_and(|server| server != old)
        });
        self.server().expect("it was there a moment ago")
    }

    /// Waits until a server with another ballot serves, on whatever host.
    pub fn expect_newer_server_than(&mut self, old: Ballot) -> usize {
        let newer = move |world: &Self| {
            let host = world.server()?;
            world.serves(host).filter(|&ballot| ballot > old)
        };
        self.expect("a newer server", |world| newer(world).is_some());
        self.server().expect("it was there a moment ago")
    }

    /// Waits until every process that means to stay is connected to the server, and the others have gone.
    pub fn expect_connected_all(&mut self) {
        self.expect("a server with all its clients", Self::is_converged);
    }

    /// Waits until this host is connected to the server.
    pub fn expect_connected(&mut self, host: usize) {
        self.expect("a connection to the server", |world| world.is_connected(host));
    }

    /// Whether this host is connected to the server that serves.
    pub fn is_connected(&self, host: usize) -> bool {
        let Some(server) = self.server().and_then(|server| self.serves(server)) else {
            return false;
        };
        self.process_on(host)
            .is_some_and(|proc| self.procs[proc].connected == Some(server))
    }

    /// Waits until the process on this host has left, and says how.
    pub fn expect_left(&mut self, host: usize) -> Unmounted {
        let proc = self.newest_process_of(host);
        self.expect("the end of a mount", |world| world.procs[proc].ended.is_some());
        self.procs[proc].ended.expect("it was there a moment ago")
    }

    /// Unmounts every host at once, and waits until all have left.
    pub fn unmount_all(&mut self) {
        for host in 0..self.hosts.len() {
            self.unmount(host);
        }
        self.expect("the end of all mounts", |world| {
            world.hosts.iter().all(|host| host.process.is_none())
        });
    }

    /// The newest process that ran on this host.
    ///
    /// # Panics
    /// If none ever did.
    pub fn newest_process_of(&self, host: usize) -> ProcId {
        let newest = self.procs.iter().rposition(|proc| proc.host == host);
        newest.expect("a process ran on this host")
    }

    /// Hosts that have a process.
    pub fn living(&self) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|&host| self.process_on(host).is_some())
            .collect()
    }

    /// Voters other than this host that have a process.
    pub fn other_voters(&self, host: usize) -> Vec<usize> {
        let voters = 0..self.options.voters;
        voters
            .filter(|&other| other != host && self.process_on(other).is_some())
            .collect()
    }

    /// How often a host told something that fits.
    pub fn told(&self, host: usize, fits: impl Fn(&Event) -> bool) -> usize {
        let own = self
            .history
            .iter()
            .filter(|(_, proc, _)| self.procs[*proc].host == host);
        own.filter(|(_, _, event)| fits(event)).count()
    }

    /// How often anybody told something that fits.
    pub fn told_by_anybody(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.history.iter().filter(|(_, _, event)| fits(event)).count()
    }

    /// Disk requests that the present process of this host has made.
    pub fn requests_of(&self, host: usize) -> u64 {
        self.process_on(host).map_or(0, |proc| self.procs[proc].requests)
    }

    /// From now on every disk request takes so many microseconds.
    pub fn set_disk_latency(&mut self, low: Time, high: Time) {
        self.options.disk.latency = Span(low, high);
    }
}
