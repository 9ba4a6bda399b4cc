//! What is explored: the size of the world, the faults it may suffer, and the rules that hold in it.

use std::fmt;

/// The rules; each can be switched off by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// R4: a block counts for the seal if it was the same in two consecutive collects.
    pub second_collect: bool,
    /// R5: a higher live ballot ends a candidacy.
    pub abort: bool,
    /// R6 and R8: a ballot that `fenced` covers is given up.
    pub check_fenced: bool,
    /// R8: the super block is read again after the fences.
    pub read_again: bool,
    /// R7 and A4: a fence stops what is in flight.
    pub fence_stops_writes: bool,
    /// R7: all lower ballots are silenced, not only the highest of them.
    pub fence_all: bool,
    /// R7: an entry is marked as fenced only when that was confirmed.
    pub mark_confirmed: bool,
    /// R10: a block that does not verify is not empty.
    pub invalid_is_not_empty: bool,
    /// R3: no second candidacy after a stop that was not clean.
    pub one_ballot: bool,
    /// R3: after a claim that failed, W passes before the super block is read.
    pub wait_for_failed_claim: bool,
    /// R3: nothing is voided whose claim was issued.
    pub no_void_after_claim: bool,
    /// R8: an update goes first to the copy that does not hold the newest state.
    pub copy_order: bool,
    /// R7: a clean stop is believed from both copies only.
    pub stop_in_both: bool,
    /// R10: one valid copy is believed only twice in a row.
    pub two_passes: bool,
    /// Read lease: a look ends with the super block.
    pub look_ends_with_super: bool,
    /// Read lease: a clean stop is written within the right to act.
    pub stop_within_right: bool,
    /// R1: logs are merged whatever the term of their block.
    pub merge_all_terms: bool,
    /// R4: blocks are counted for a seal, not cycles.
    pub count_blocks: bool,
    /// R1: void ballots are dropped before the highest of a rid is kept, not after.
    pub void_before_highest: bool,
}

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        impl Rules {
            /// All rules hold.
            pub const ALL: Self = Self { $($name: true),* };
            /// The names of the rules.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// In words, those that do not hold.
            #[must_use]
            pub fn left_out(&self) -> Vec<String> {
                let all = [$((self.$name, stringify!($name))),*];
                let off = all.iter().filter(|(holds, _)| !holds);
                off.map(|(_, name)| name.replace('_', " ")).collect()
            }

            /// The same rules without this one; `None` if no rule is called so.
            #[must_use]
            pub fn without(mut self, name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => self.$name = false,)*
                    _ => return None,
                }
                Some(self)
            }
        }
    };
}

names! {
    second_collect, abort, check_fenced, read_again, fence_stops_writes, fence_all, mark_confirmed, invalid_is_not_empty,
    one_ballot, wait_for_failed_claim, no_void_after_claim, copy_order, stop_in_both, two_passes, look_ends_with_super,
    stop_within_right, merge_all_terms, count_blocks, void_before_highest,
}

/// The world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// Processes at once; each may crash and come back as a new mount any number of times.
    pub processes: usize,
    /// Q: blocks of the region; 0 for a perfect region, to explore the super block alone.
    pub blocks: usize,
    /// Candidacies altogether.
    pub ballots: u8,
    /// N: blocks that seal.
    pub seal: usize,
    /// T: region writes that tear.
    pub torn: u8,
    /// D: region writes of dead processes that land late.
    pub late: u8,
    /// K: blocks that one collect may leave out.
    pub left_out: u8,
    /// Copies of the super block: 1 for an atomic register, 2 for what the device has.
    pub copies: u8,
    /// Super block writes that tear when their process crashes or is fenced.
    pub torn_updates: u8,
    /// Reads overlap region writes.
    pub overlap: bool,
    /// Super block writes that fail, or outlive their process.
    pub failing_updates: u8,
    /// Those who silence others or lead go on writing in the region.
    pub keeps_writing: bool,
    /// A fence that was confirmed is marked in the log, and who silences others may give up.
    pub marks: bool,
    /// Leaders promise a lease, and nobody can fence.
    pub lease: bool,
    /// All ballots are of one term, and ordered by rid.
    pub one_term: bool,
    /// It is a violation already if fewer than K + 1 blocks carry a ballot that is sealed and live: what the proof says
    /// of every moment after a seal, and what goes wrong long before two ballots act.
    pub watch_seals: bool,
    /// Fewer interleavings, to find a violation sooner: nobody crashes or gives up on a whim, and the super block is
    /// read at once after a write. Every run of this world is one of the world without it.
    pub calm: bool,
    /// States after which a search gives up.
    pub states_max: u64,
    /// The rules.
    pub rules: Rules,
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} processes, {} ballots, {} blocks of which {} seal, {} of the super block",
            self.name,
            self.processes,
            self.ballots,
            self.blocks,
            self.seal,
            if self.copies == 1 {
                "one copy".to_owned()
            } else {
                format!("{} copies", self.copies)
            }
        )?;
        let counted = [
            (self.torn, "torn writes"),
            (self.late, "late writes"),
            (self.left_out, "blocks that a collect may leave out"),
            (self.torn_updates, "torn updates of the super block"),
            (self.failing_updates, "failing updates of the super block"),
        ];
        for (count, what) in counted.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {what}: {count}")?;
        }
        let said = [
            (self.overlap, "reads overlap writes"),
            (self.keeps_writing, "leaders go on writing"),
            (self.marks, "fences are marked"),
            (self.lease, "leases instead of fences"),
            (self.one_term, "all ballots of one term"),
            (self.watch_seals, "a thin seal is a violation already"),
            (self.calm, "nobody crashes on a whim"),
        ];
        for (_, what) in said.iter().filter(|(holds, _)| *holds) {
            write!(f, ", {what}")?;
        }
        let left_out = self.rules.left_out();
        if !left_out.is_empty() {
            write!(f, "; left out: {}", left_out.join(", "))?;
        }
        Ok(())
    }
}

impl Config {
    /// Two processes, two ballots, two blocks to seal of three, and no fault but crashes.
    pub const BASE: Self = Self {
        name: "base",
        processes: 2,
        blocks: 3,
        ballots: 2,
        seal: 2,
        torn: 0,
        late: 0,
        left_out: 0,
        copies: 1,
        torn_updates: 0,
        overlap: false,
        failing_updates: 0,
        keeps_writing: false,
        marks: false,
        lease: false,
        one_term: false,
        watch_seals: false,
        calm: false,
        states_max: 200_000_000,
        rules: Rules::ALL,
    };

    /// The same world without one rule.
    ///
    /// # Panics
    /// If no rule is called so.
    #[must_use]
    pub fn without(mut self, rule: &str) -> Self {
        self.rules = self.rules.without(rule).expect("a rule of this name");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_described_in_words() {
        let world = Config {
            torn: 1,
            calm: true,
            ..Config::BASE
        };
        assert_eq!(
            world.without("second_collect").to_string(),
            "base: 2 processes, 2 ballots, 3 blocks of which 2 seal, one copy of the super block, torn writes: 1, \
             nobody crashes on a whim; left out: second collect"
        );
    }
}
