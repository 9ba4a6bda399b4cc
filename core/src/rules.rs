//! The rules that safety rests on, by name, so that a test can leave one out and see that the checks notice.
//!
//! Only a build with the feature `rules-off` can leave a rule out. In every other build `holds` is true when core is
//! compiled, and nothing of this module is left in the code; a platform asserts that with [`CAN_BE_SWITCHED_OFF`].

/// Whether this build can leave a rule out. No program that touches a real device may be built so.
pub const CAN_BE_SWITCHED_OFF: bool = cfg!(feature = "rules-off");

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal,)*) => {
        /// A rule, or the part of a rule that can be left out by itself.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            /// What it is called on a command line; begins with the number that it has in the design document.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)*
                }
            }
        }
    };
}

rules! {
    /// R1: logs are merged whatever the term of their block.
    MergeAllTerms = "r1-merge-all-terms",
    /// R2: a write that failed is outstanding until W has passed.
    OneWrite = "r2-one-write",
    /// R3: no second candidacy after a stop that was not clean.
    OneBallot = "r3-one-ballot",
    /// R3: nothing is voided whose claim was issued.
    NoVoidAfterClaim = "r3-no-void-after-claim",
    /// R4: a candidate that has won seals its ballot before it goes on.
    Seal = "r4-seal",
    /// R5: a higher live ballot ends a candidacy.
    Abort = "r5-abort",
    /// R6 and R8: a ballot that `fenced` covers is given up.
    CheckFenced = "r6-check-fenced",
    /// R7: predecessors are silenced.
    Silence = "r7-silence",
    /// R7: all predecessors are silenced, not only the highest of them.
    SilenceAll = "r7-silence-all",
    /// R7: a clean stop is believed from both copies of the super block only.
    StopInBoth = "r7-stop-in-both",
    /// R7: a log entry says that its ballot is fenced only when that was confirmed.
    MarkConfirmed = "r7-mark-confirmed",
    /// R8: the super block is read again after the predecessors were silenced.
    ReadAgain = "r8-read-again",
    /// R8: an update goes first to the copy that does not hold the newest state.
    CopyOrder = "r8-copy-order",
    /// R9: the super block is read before the clean stop is written, and the stop only if it names the ballot.
    StopReads = "r9-stop-reads",
    /// R9: the clean stop waits for every other write.
    StopLast = "r9-stop-last",
    /// R10: a block that does not verify is not empty.
    InvalidIsNotEmpty = "r10-invalid-is-not-empty",
    /// R10: one valid copy of the super block is believed only twice in a row.
    TwoPasses = "r10-two-passes",
    /// Read lease: a look ends with the super block.
    LookEndsWithSuper = "lease-look-ends-with-super",
    /// Read lease: what only a leader does is done within the right.
    WithinRight = "lease-within-right",
    /// Read lease: the clean stop, too, is written within the right.
    StopWithinRight = "lease-stop-within-right",
}

/// Whether this rule holds.
#[cfg(not(feature = "rules-off"))]
#[inline(always)]
pub(crate) const fn holds(_rule: Rule) -> bool {
    true
}

#[cfg(feature = "rules-off")]
pub use off::{holds, switch_off, switch_on_all};

#[cfg(feature = "rules-off")]
mod off {
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::Rule;

    /// One bit for each rule that is off, in the whole process: a test sets it before anything runs.
    static OFF: AtomicU32 = AtomicU32::new(0);

    const fn bit(rule: Rule) -> u32 {
        1 << rule as u32
    }

    /// Whether this rule holds.
    pub fn holds(rule: Rule) -> bool {
        OFF.load(Ordering::Relaxed) & bit(rule) == 0
    }

    /// From now on this rule does not hold in this process.
    pub fn switch_off(rule: Rule) {
        OFF.fetch_or(bit(rule), Ordering::Relaxed);
    }

    /// From now on all rules hold again.
    pub fn switch_on_all() {
        OFF.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for (index, rule) in Rule::ALL.iter().enumerate() {
            assert!(
                Rule::ALL[..index].iter().all(|other| other.name() != rule.name()),
                "{}",
                rule.name()
            );
        }
        assert!(Rule::ALL.len() <= 32, "one bit each");
    }

    #[test]
    fn an_ordinary_build_cannot_leave_a_rule_out() {
        assert!(CAN_BE_SWITCHED_OFF || Rule::ALL.iter().all(|&rule| holds(rule)));
    }
}
