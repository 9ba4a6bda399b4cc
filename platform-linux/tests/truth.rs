//! `ostrakon status` tells the truth: what it says of the device of a simulated world, while anything goes and after all have
//! left, is held against that world, of which everything is known. So is what it says when all power was cut in the middle.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use common::Bench;
use ostrakon_core::event::Unmounted;
use ostrakon_core::ids::{Ballot, Rid, Term};
use ostrakon_tests::sim::check::TableCopy;
use ostrakon_tests::sim::host::ProcId;
use ostrakon_tests::sim::machine::Rules;
use ostrakon_tests::sim::power_cut::{Cut, CutAt};
use ostrakon_tests::sim::run::random_world;
use ostrakon_tests::sim::trace::Listen;
use ostrakon_tests::sim::world::World;
use serde_json::Value;

/// Worlds, and looks at each while anything goes.
const FIRST_SEED: u64 = 200;
const SEEDS: u64 = 30;
const LOOKS: u64 = 4;

#[test]
fn status_says_of_a_world_what_is_so() {
    let bench = Bench::empty();
    let mut seen = Seen::default();
    for seed in FIRST_SEED..FIRST_SEED + SEEDS {
        let mut world = random_world(Rules::Ours, seed, Listen::Nobody);
        world.begin_chaos();
        for look in 1..=LOOKS {
            let (after, before) = (look - 1, look);
            world.run_until(world.options.chaos_ms * 1_000 * after / LOOKS);
            let end = world.options.chaos_ms * 1_000 * before / LOOKS;
            while world.now < end && !is_between_two_copies(&world) && world.step() {}
            Look::at(&world, &bench, seed).holds(&mut seen);
        }
        world.end_well();
        assert_eq!(world.wrong, None, "seed {seed}");
        Look::at(&world, &bench, seed).holds(&mut seen);
    }
    // Otherwise these worlds show nothing.
    assert!(
        seen.serving > 10 && seen.stopped > 10 && seen.mounted > 50 && seen.fences > 4,
        "{seen:?}"
    );
    assert!(seen.sealed > 30 && seen.damaged > 30, "{seen:?}");
    println!("{seen:?}");
}

/// Worlds whose power is cut while anything goes.
const CUT_SEEDS: u64 = 16;
/// Virtual time in which that happens, or a world is passed over.
const CUT_WITHIN: u64 = 30_000_000;

#[test]
fn after_a_power_cut_status_says_what_is_so() {
    let bench = Bench::empty();
    let (mut seen, mut cuts) = (Seen::default(), 0);
    let kinds = [Cut::Lost, Cut::Whole, Cut::Torn, Cut::Mixed];
    for (seed, &cut) in (1_000..1_000 + CUT_SEEDS).zip(kinds.iter().cycle()) {
        let mut world = random_world(Rules::Ours, seed, Listen::Nobody);
        world.begin_chaos();
        // Late enough that somebody serves in most of them; chaos goes on for that long.
        let write = 100 + seed * 53 % 400;
        if !world.run_until_cut(CutAt { write, cut }, CUT_WITHIN) {
            continue;
        }
        cuts += 1;
        let look = Look::at(&world, &bench, seed);
        look.holds(&mut seen);
        look.knows_every_record();
        world.end_well();
        assert_eq!(world.wrong, None, "seed {seed}, {cut:?} at write {write}");
        Look::at(&world, &bench, seed).holds(&mut seen);
    }
    assert!(
        cuts > CUT_SEEDS / 2 && seen.sealed > 4 && seen.fences > 4,
        "{cuts} cuts, {seen:?}"
    );
    println!("{cuts} cuts, {seen:?}");
}

/// Whether something that is kept twice is only half written: the moment at which it is easiest to be wrong.
fn is_between_two_copies(world: &World) -> bool {
    let rids = |copy: &Option<TableCopy>| {
        let copy = copy.as_ref();
        copy.map(|copy| copy.records.iter().map(|record| record.rid).collect::<Vec<_>>())
    };
    world.check.table.iter().any(|[one, two]| rids(one) != rids(two))
}

/// How often there was something to be right about.
#[derive(Default, Debug)]
struct Seen {
    serving: u32,
    stopped: u32,
    mounted: u32,
    evicted: u32,
    fences: u32,
    sealed: u32,
    damaged: u32,
}

/// What the command says of a world at one moment.
struct Look<'a> {
    world: &'a World,
    status: Value,
    place: String,
}

impl<'a> Look<'a> {
    fn at(world: &'a World, bench: &Bench, seed: u64) -> Self {
        let image: PathBuf = bench.image();
        std::fs::write(&image, world.image()).unwrap();
        Self {
            world,
            status: bench.status(),
            place: format!("seed {seed} at {} us", world.now),
        }
    }

    fn holds(&self, seen: &mut Seen) {
        self.says_who_serves(seen);
        self.says_who_is_mounted(seen);
        self.knows_every_sealed_leader(seen);
        self.knows_the_voters();
        self.tells_of_fences(seen);
        self.finds_the_damage(seen);
    }

    fn is(&self, holds: bool, what: &str) {
        assert!(
            holds,
            "{}: {what}, and the command says {:#}",
            self.place, self.status
        );
    }

    /// The process that something names, which has to have lived.
    fn process(&self, rid: &Value) -> ProcId {
        let found = self.world.process_named(rid_of(rid));
        found.unwrap_or_else(|| panic!("{}: {rid} never lived", self.place))
    }

    fn says_who_serves(&self, seen: &mut Seen) {
        let (world, server) = (self.world, &self.status["server"]);
        let named = (!server.is_null()).then(|| Ballot {
            term: Term(server["term"].as_u64().unwrap()),
            rid: rid_of(&server["rid"]),
        });
        let live = server["live"] == Value::Bool(true);
        for (proc, right) in (0..world.procs.len()).filter_map(|proc| Some((proc, world.may_act(proc)?))) {
            let name = &world.procs[proc].name;
            // Its first update may still be under way.
            let claims = named < Some(right) && !world.check.leaders[&right].serving;
            self.is(
                claims || (live && named == Some(right)),
                &format!("{name} may act under {right}"),
            );
        }
        if let Some(host) = world.server() {
            let addr = world.hosts[host].addr.to_string();
            self.is(live && named == world.serves(host), "somebody serves");
            self.is(
                self.status["server_addr"] == addr,
                &format!("its address is {addr}"),
            );
            seen.serving += 1;
        } else if named.is_some() && !live {
            self.is(self.status["server_addr"].is_null(), "nobody serves");
            seen.stopped += 1;
        }
        self.is(
            self.status["unmount_barrier"] == world.check.barrier,
            "the barrier is another",
        );
        self.is(
            self.status["quorum_count"] == world.options.quorum_count,
            "so many elect",
        );
    }

    fn says_who_is_mounted(&self, seen: &mut Seen) {
        let world = self.world;
        let said: BTreeMap<Rid, bool> = items(&self.status["clients"])
            .map(|client| (rid_of(&client["rid"]), client["evicted"] == Value::Bool(true)))
            .collect();
        for (&rid, &evicted) in &said {
            let proc = &world.procs[world.process_named(rid).expect("it lived")];
            let left = matches!(proc.ended, Some(Unmounted::Farewell | Unmounted::Barrier));
            self.is(evicted || !left, &format!("{} has left", proc.name));
            seen.evicted += u32::from(evicted);
        }
        for proc in world
            .procs
            .iter()
            .filter(|proc| !proc.dead && !proc.unmounting && !proc.evicted)
        {
            let to_the_newest = proc.connected.is_some() && proc.connected == world.check.server;
            if to_the_newest {
                self.is(
                    said.get(&proc.rid) == Some(&false),
                    &format!("{} is mounted", proc.name),
                );
                seen.mounted += 1;
            }
        }
    }

    /// Of a device that nobody writes to: it names exactly those whose record counts.
    fn knows_every_record(&self) {
        let said: BTreeSet<Rid> = items(&self.status["clients"])
            .filter(|client| client["evicted"] != Value::Bool(true))
            .map(|client| rid_of(&client["rid"]))
            .collect();
        let check = &self.world.check;
        let counts = check.records.keys().filter(|&&rid| check.record(rid).is_some());
        let stand: BTreeSet<Rid> = counts.copied().collect();
        self.is(said == stand, &format!("the records are {stand:?}"));
    }

    /// A leader that sealed its ballot and was neither silenced nor stopped is in the log, and whoever reads can fence it.
    fn knows_every_sealed_leader(&self, seen: &mut Seen) {
        let check = &self.world.check;
        for (ballot, _) in check
            .leaders
            .iter()
            .filter(|(ballot, leader)| leader.sealed && !leader.gave_up && !check.fenced.covers(**ballot))
        {
            let host = self.world.procs[self.world.process_named(ballot.rid).expect("it lived")].host;
            let known = items(&self.status["log"]).find(|entry| rid_of(&entry["rid"]) == ballot.rid);
            let true_of_it = known.is_some_and(|entry| {
                entry["term"] == ballot.term.0 && entry["addr"] == self.world.hosts[host].addr.to_string()
            });
            self.is(true_of_it, &format!("{ballot} was sealed"));
            seen.sealed += 1;
        }
    }

    fn knows_the_voters(&self) {
        for voter in items(&self.status["voters_seen"]) {
            let proc = &self.world.procs[self.process(&voter["rid"])];
            self.is(proc.voter, &format!("{} is no voter", proc.name));
            self.is(voter["boot"] == proc.boot.to_string(), "it runs on another boot");
        }
    }

    fn tells_of_fences(&self, seen: &mut Seen) {
        for fence in items(&self.status["fences"]) {
            let victim = &self.world.procs[self.process(&fence["victim"])];
            let by = &self.world.procs[self.process(&fence["by"]["rid"])];
            self.is(
                by.voter && by.rid != victim.rid,
                &format!("{} fences {}", by.name, victim.name),
            );
            if fence["how"] == "fence" && fence["result"] == "done" {
                self.is(victim.fenced, &format!("{} was never fenced", victim.name));
                seen.fences += 1;
            }
        }
    }

    fn finds_the_damage(&self, seen: &mut Seen) {
        if !self.world.is_disk_quiet() {
            return;
        }
        let region = &self.world.check.region;
        let first = self
            .world
            .check
            .super_block()
            .expect("it opened")
            .geometry
            .region
            .0;
        for (at, view) in (first..).zip(region) {
            let said = items(&self.status["damaged"]).any(|damage| damage["block"] == at);
            self.is(
                said != view.valid,
                &format!("block {at} of the region is valid: {}", view.valid),
            );
            seen.damaged += u32::from(said);
        }
        self.is(
            self.status["clients_lost_blocks"] == 0,
            "no block of the table is lost",
        );
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn rid_of(text: &Value) -> Rid {
    let number = text.as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
    number
        .and_then(Rid::new)
        .unwrap_or_else(|| panic!("{text} is no rid"))
}
