//! Power cuts: every scenario, ended at any write to the device by the loss of all power, of the device too.
//!
//! [`Scenario::play`](super::Scenario::play) cuts each scenario at a few of its writes; `cargo xtask power-cuts` cuts it at
//! every one, with each [`Cut`] of what is under way, and the short ones a second time while they come back. After a cut
//! nothing that was acknowledged may be lost; then everybody is started again, and there has to be a server, all have to
//! be connected to it, and all have to be able to leave. The invariants are checked after every step, as ever.
//!
//! A cut has a short name, which replays it: `3.17t` is seed 3, cut at its 17th write, which tears; `3.17t.40m` is cut a
//! second time, at the 40th write after the first.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::str::FromStr;

use super::clock::Time;
use super::dice::Dice;
use super::disk::Fate;
use super::host::ProcId;
use super::scenario::Scenario;
use super::trace::{Listen, note};
use super::world::{Happening, World, violate};

/// Environment variable with the name of one cut to replay.
pub const ID_VARIABLE: &str = "OSTRAKON_CUT";
/// Environment variable that says how many cuts each scenario gets: a number, or `all`.
pub const CUTS_VARIABLE: &str = "OSTRAKON_CUTS";
/// Environment variable that says how many second cuts each short scenario gets.
pub const SECOND_CUTS_VARIABLE: &str = "OSTRAKON_SECOND_CUTS";
/// Environment variable with the file to which each scenario adds a line of what was cut.
pub const FILE_VARIABLE: &str = "OSTRAKON_CUTS_FILE";

/// What a replay says that was cut as its name says; `cargo xtask power-cuts` waits for this line, or for the other.
const EVERY_CUT_HAPPENED: &str = "every cut happened";
/// What it says if the scenario was over before a cut, which is no failure of the scenario.
const NEVER_CAME: &str = "a cut never came";

/// Cuts of a scenario in the ordinary tests.
const CUTS: u64 = 3;
/// Second cuts of a short scenario in the ordinary tests.
const SECOND_CUTS: u64 = 1;
/// Writes up to which a scenario is short.
const SHORT_WRITES: u64 = 400;
/// Everybody starts again within this time.
const RESTART_WITHIN_MS: u64 = 500;

/// What a power cut makes of the writes under way, as far as A1 to A3 and the budget of torn blocks allow. None lands
/// afterwards: the device has lost its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// What has not landed never does.
    Lost,
    /// They have all landed.
    Whole,
    /// Of each write, some sectors have.
    Torn,
    /// Each has its own fate.
    Mixed,
}

impl Cut {
    /// All of them, with the letters that name them.
    const ALL: [(Self, char); 4] = [
        (Self::Lost, 'l'),
        (Self::Whole, 'w'),
        (Self::Torn, 't'),
        (Self::Mixed, 'm'),
    ];

    fn fate(self, dice: &mut Dice) -> Fate {
        match self {
            Self::Lost => Fate::Dropped,
            Self::Whole => Fate::Landed,
            Self::Torn => Fate::Torn,
            Self::Mixed => dice
                .pick(&[Fate::Dropped, Fate::Landed, Fate::Torn])
                .expect("there are three"),
        }
    }
}

/// One cut: at which write, counted from 1, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CutAt {
    /// The write that is under way when it happens.
    pub write: u64,
    /// What becomes of it.
    pub cut: Cut,
}

/// A seed, and where its run is cut: once, or again as it comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CutId {
    /// The seed.
    pub seed: u64,
    /// The cuts, in their order.
    pub cuts: Vec<CutAt>,
}

impl fmt::Display for CutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        for CutAt { write, cut } in &self.cuts {
            let letter = Cut::ALL.iter().find(|(other, _)| other == cut);
            write!(f, ".{write}{}", letter.map_or('?', |(_, letter)| *letter))?;
        }
        Ok(())
    }
}

impl FromStr for CutId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} names no cut: expected SEED.WRITE and one of l, w, t, m, as in 3.17t");
        let mut words = text.split('.');
        let seed = words
            .next()
            .and_then(|seed| seed.parse().ok())
            .ok_or_else(wrong)?;
        let cut = |word: &str| {
            let (_, letter) = word.char_indices().next_back()?;
            let cut = Cut::ALL.iter().find(|(_, other)| *other == letter)?.0;
            let write = word.strip_suffix(letter)?.parse().ok()?;
            Some(CutAt { write, cut })
        };
        let cuts: Option<Vec<CutAt>> = words.map(cut).collect();
        let cuts = cuts.filter(|cuts| !cuts.is_empty()).ok_or_else(wrong)?;
        Ok(Self { seed, cuts })
    }
}

/// The power supply of everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supply {
    /// Writes since the last cut, or since the beginning.
    writes: u64,
    planned: Option<CutAt>,
    out: Option<Cut>,
}

impl Supply {
    /// A write is submitted to the device.
    pub(crate) fn count_write(&mut self) {
        self.writes += 1;
        if let Some(planned) = self.planned.take_if(|planned| planned.write == self.writes) {
            self.out = Some(planned.cut);
        }
    }

    /// Whether the power is out.
    pub(crate) const fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// What becomes of a write under way, if that is because the power is out.
    pub(crate) fn fate(&self, dice: &mut Dice) -> Option<Fate> {
        self.out.map(|cut| cut.fate(dice))
    }

    fn plan(&mut self, cut: Option<CutAt>) {
        self.planned = cut;
        self.writes = 0;
    }
}

/// What unwinds the scenario that was cut.
struct PowerIsOut;

impl World {
    /// Everything goes dark, and the scenario with it.
    pub(crate) fn lose_power(&mut self) -> ! {
        note!(self, "run", "the power is cut: {:?}", self.supply.out);
        let promised = self.promised();
        for host in 0..self.hosts.len() {
            self.power_off(host);
        }
        self.abandon_all_flights();
        self.crash_now = false;
        self.dirty.clear();
        // Nobody is left who would start a process or have one fenced.
        self.forget_plans(|plan| matches!(plan, Happening::Net(_) | Happening::Nothing));
        self.supply.out = None;
        self.expect_nothing_lost(&promised);
        resume_unwind(Box::new(PowerIsOut))
    }

    /// Lets time pass until the power is cut at this write, counted from now on. False if it is not before `until`. Nothing happens after a
    /// cut, until somebody makes it.
    pub fn run_until_cut(&mut self, cut: CutAt, until: Time) -> bool {
        self.supply.plan(Some(cut));
        let interrupted = catch_unwind(AssertUnwindSafe(|| self.run_until(until)));
        self.supply.plan(None);
        match interrupted {
            Ok(()) => false,
            Err(panic) if panic.is::<PowerIsOut>() => true,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Processes that were told that they are mounted, and not that it is over.
    fn promised(&self) -> Vec<ProcId> {
        let mounted = |id: &ProcId| {
            let proc = &self.procs[*id];
            let over = proc.unmounting || proc.forced || proc.evicted || proc.fenced;
            !proc.dead && proc.was_connected && !over
        };
        (0..self.procs.len()).filter(mounted).collect()
    }

    /// What a reader finds on the device after the cut is what everybody was told before.
    fn expect_nothing_lost(&mut self, promised: &[ProcId]) {
        for copy in 0..self.check.supers.len() {
            self.look_at_super(copy);
        }
        for block in 0..self.check.table.len() {
            for copy in 0..2 {
                self.look_at_table(block, copy);
            }
        }
        let (fenced, server, barrier) = (self.check.fenced, self.check.server, self.check.barrier);
        let found = self.check.super_block().copied();
        let held = found.is_some_and(|state| {
            (state.fenced, state.server, state.unmount_barrier) == (fenced, server, barrier)
        });
        if !held {
            violate!(
                self,
                "after the power cut the super block is {found:?}, expected {server:?}, fenced {fenced}, barrier {barrier}"
            );
        }
        let records = &self.check.records;
        if let Some(&lost) = promised
            .iter()
            .find(|&&id| !records.contains_key(&self.procs[id].rid))
        {
            let name = self.procs[lost].name.clone();
            violate!(
                self,
                "{name} was told that it is mounted, and the power cut took its record"
            );
        }
    }

    /// After a cut: faults have stopped, everybody starts again, is served, and leaves.
    fn come_back(&mut self) {
        self.expect_nothing_wrong();
        self.calm();
        for host in 0..self.hosts.len() {
            let after = self.dice.between(0, RESTART_WITHIN_MS * 1_000);
            self.after(after, Happening::Start(host));
        }
        self.run_for(RESTART_WITHIN_MS);
        if self.options.voters >= usize::from(self.options.quorum_count) {
            // A leader may shoot a machine for what ran on it before the cut: it comes back once more.
            self.run_until_holds("everybody back and served", |world| {
                world.hosts.iter().all(|host| host.process.is_some()) && world.is_converged()
            });
        }
        self.forget_plans(|plan| !matches!(plan, Happening::Start(_)));
        self.expect_everybody_leaves();
        self.expect_nothing_wrong();
    }
}

/// Which cuts a scenario gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Plan {
    cuts: u64,
    second_cuts: u64,
}

impl Plan {
    fn of_the_environment() -> Self {
        let number = |variable: &str, otherwise: u64| match std::env::var(variable).as_deref() {
            Err(_) => otherwise,
            Ok("all") => u64::MAX,
            Ok(number) => number
                .parse()
                .unwrap_or_else(|_| panic!("{variable}: {number} is no number")),
        };
        Self {
            cuts: number(CUTS_VARIABLE, CUTS),
            second_cuts: number(SECOND_CUTS_VARIABLE, SECOND_CUTS),
        }
    }
}

/// So many of the cuts at these writes: all, or some spread over them, each of another kind than the one before.
fn some_of(writes: u64, wanted: u64) -> impl Iterator<Item = CutAt> {
    let kinds = Cut::ALL.len() as u64;
    let all = writes.saturating_mul(kinds);
    let taken = wanted.min(all);
    (0..taken).map(move |index| {
        let place = (u128::from(index) * u128::from(all) / u128::from(taken.max(1))) as u64;
        let kind = if taken < all { index } else { place };
        CutAt {
            write: 1 + place / kinds,
            cut: Cut::ALL[(kind % kinds) as usize].0,
        }
    })
}

/// How far a cut run came.
struct Played {
    /// Cuts that happened.
    happened: usize,
    /// Writes after the last of them.
    writes: u64,
}

/// Plays one seed of a scenario, cut as this says.
fn play_cut(scenario: &Scenario, id: &CutId, listen: Listen, story: &impl Fn(&mut World)) -> Played {
    let mut world = scenario.world(id.seed, listen);
    let mut happened = 0;
    let told = catch_unwind(AssertUnwindSafe(|| {
        let cuts = id.cuts.iter().map(|cut| Some(*cut)).chain([None]);
        for cut in cuts {
            world.supply.plan(cut);
            let first = happened == 0;
            let interrupted = catch_unwind(AssertUnwindSafe(|| {
                if first {
                    story(&mut world);
                    world.expect_nothing_wrong();
                } else {
                    world.come_back();
                }
            }));
            match interrupted {
                Ok(()) => return,
                Err(panic) if panic.is::<PowerIsOut>() => happened += 1,
                Err(panic) => resume_unwind(panic),
            }
        }
    }));
    if let Err(panic) = told {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("");
        eprintln!("replay: {ID_VARIABLE}={id} cargo test -p ostrakon-tests {name} -- --nocapture");
        resume_unwind(panic);
    }
    Played {
        happened,
        writes: world.supply.writes,
    }
}

/// Replays the cut that the environment names. False if it names none.
pub(crate) fn replay(scenario: &Scenario, story: &impl Fn(&mut World)) -> bool {
    let Ok(name) = std::env::var(ID_VARIABLE) else {
        return false;
    };
    let id: CutId = name
        .parse()
        .unwrap_or_else(|wrong: String| panic!("{ID_VARIABLE}: {wrong}"));
    let played = play_cut(scenario, &id, Listen::Print, story);
    if played.happened < id.cuts.len() {
        println!("{NEVER_CAME}");
        panic!(
            "{} of the cuts of {id} happened: the scenario ended before the next one, after {} writes more",
            played.happened, played.writes
        );
    }
    println!("{EVERY_CUT_HAPPENED}");
    true
}

/// Cuts a scenario that was played to its end before, with so many writes.
pub(crate) fn cut(scenario: &Scenario, writes: u64, story: &impl Fn(&mut World)) {
    let plan = Plan::of_the_environment();
    let (mut once, mut twice) = (0, 0);
    let first: Vec<CutAt> = some_of(writes, plan.cuts).collect();
    let short = writes <= SHORT_WRITES;
    let second_each = if short {
        plan.second_cuts.div_ceil(first.len().max(1) as u64)
    } else {
        0
    };
    for first in first {
        let id = CutId {
            seed: 0,
            cuts: vec![first],
        };
        let played = play_cut(scenario, &id, Listen::Nobody, story);
        assert_eq!(
            played.happened, 1,
            "the same seed gives the same run, and so the same writes: {id}"
        );
        once += 1;
        for second in some_of(played.writes, second_each.min(plan.second_cuts - twice)) {
            let id = CutId {
                seed: 0,
                cuts: vec![first, second],
            };
            let played = play_cut(scenario, &id, Listen::Nobody, story);
            assert_eq!(played.happened, 2, "{id}");
            twice += 1;
        }
    }
    tell(once, twice, writes);
}

/// Adds a line to the file that the environment names: what was cut, how often once, how often twice, its writes, and how many
/// at most a scenario has that is cut twice.
fn tell(once: u64, twice: u64, writes: u64) {
    use std::io::Write as _;
    let Some(path) = std::env::var_os(FILE_VARIABLE) else {
        return;
    };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("?");
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let written = opened.and_then(|mut file| {
        file.write_all(format!("{name} {once} {twice} {writes} {SHORT_WRITES}\n").as_bytes())
    });
    if let Err(error) = written {
        panic!("{}: {error}", path.display());
    }
}

impl World {
    /// Writes to the device so far, or since the last power cut.
    pub fn writes(&self) -> u64 {
        self.supply.writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::voters;

    /// Cuts a run of two voters when the second has just been told that it is mounted, after this was done to the device.
    fn cut_after(harm: impl Fn(&mut World)) {
        let scenario = voters(2).quorum(1);
        let story = |world: &mut World| {
            world.expect_connected_all();
            harm(world);
            world.supply.out = Some(Cut::Lost);
            world.lose_power()
        };
        // The story cuts itself, long before this one.
        let never = CutAt {
            write: u64::MAX,
            cut: Cut::Lost,
        };
        let id = CutId {
            seed: 0,
            cuts: vec![never],
        };
        let played = play_cut(&scenario, &id, Listen::Nobody, &story);
        assert_eq!(played.happened, 1);
    }

    #[test]
    fn a_cut_harms_nobody() {
        cut_after(|_| {});
    }

    #[test]
    #[should_panic(expected = "after the power cut the super block is None")]
    fn a_lost_super_block_is_found() {
        cut_after(|world| {
            for at in ostrakon_core::format::SUPER_COPIES {
                world.device.write_sectors(at.0, 1, &[1; 512]);
            }
        });
    }

    #[test]
    #[should_panic(expected = "and the power cut took its record")]
    fn a_lost_record_is_found() {
        cut_after(|world| {
            let state = *world.check.super_block().expect("it stands");
            let blocks = u64::from(state.geometry.clients_blocks);
            let at = state.geometry.clients.0;
            for at in (at..at + 2 * blocks).map(ostrakon_core::ids::BlockNo) {
                let mut block = vec![0; ostrakon_core::bounds::BLOCK_BYTES];
                ostrakon_core::format::encode_table_block(
                    1 << 20,
                    std::iter::empty(),
                    at,
                    state.volume,
                    crate::sim::checksum::checksum,
                    &mut block,
                );
                world.device.write_sectors(at.0, 0, &block);
            }
        });
    }

    #[test]
    fn names_come_back() {
        for name in ["0.1l", "3.17t", "3.17t.40m", "12.900w.1l.2t"] {
            assert_eq!(
                name.parse::<CutId>().map(|id| id.to_string()),
                Ok(name.to_owned())
            );
        }
        for wrong in ["", "3", "3.", "3.t", "3.17", "3.17x", "x.17t", "3.17t.", "3.é"] {
            assert!(wrong.parse::<CutId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_cuts_are_every_kind_at_every_write() {
        let all: Vec<CutAt> = some_of(3, u64::MAX).collect();
        assert_eq!(all.len(), 12);
        for write in 1..=3 {
            for (cut, _) in Cut::ALL {
                assert!(all.contains(&CutAt { write, cut }));
            }
        }
        assert_eq!(some_of(0, u64::MAX).count(), 0);
    }

    #[test]
    fn some_cuts_are_spread_and_of_every_kind() {
        let some: Vec<CutAt> = some_of(1_000, 8).collect();
        assert_eq!(some.len(), 8);
        assert!(some.windows(2).all(|pair| pair[0].write < pair[1].write));
        for (cut, _) in Cut::ALL {
            assert!(some.iter().any(|at| at.cut == cut), "{cut:?}");
        }
    }
}
