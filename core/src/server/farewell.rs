//! When a farewell may be answered. A pure decision: who counts is counted elsewhere.

/// Who is mounted and who wants to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Census {
    /// Mounted clients of every kind: connected, away, or with a greeting under way. The evicted do not count.
    pub(super) mounted: u32,
    /// Of these, those that said farewell.
    pub(super) leaving: u32,
    /// Connected voters that did not say farewell.
    pub(super) voters_staying: u32,
    /// Votes that elect.
    pub(super) quorum_count: u16,
}

/// Who says farewell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// Somebody without a vote.
    Plain,
    /// A voter.
    Voter,
    /// Somebody who was evicted already.
    Evicted,
}

/// What to do about a farewell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// Delete the record, then answer.
    Now,
    /// Release everybody at once by the unmount barrier, then answer.
    Barrier,
    /// Wait for something to change.
    Hold,
}

/// A voter stays while it is needed to elect a server for those who have not left.
pub(super) const fn decide(census: &Census, who: Who) -> Decision {
    match who {
        Who::Plain | Who::Evicted => Decision::Now,
        Who::Voter if census.voters_staying >= census.quorum_count as u32 => Decision::Now,
        Who::Voter if census.leaving == census.mounted => Decision::Barrier,
        Who::Voter => Decision::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hole_11_every_client_counts_before_the_last_quorum_is_released() {
        use Decision::{Barrier, Hold, Now};
        use Who::{Evicted, Plain, Voter};
        // who, quorum, voters staying, mounted, leaving (of these) => decision
        let table = [
            // A quorum stays behind.
            (Voter, 2, 2, 3, 1, Now),
            (Voter, 2, 5, 9, 2, Now),
            (Voter, 1, 1, 2, 1, Now),
            // The quorum would break, and somebody stays.
            (Voter, 2, 1, 2, 1, Hold),
            (Voter, 2, 1, 3, 2, Hold),
            // Every voter leaves, but a plain client has not said so.
            (Voter, 2, 0, 3, 2, Hold),
            (Voter, 1, 0, 2, 1, Hold),
            // Everybody leaves: the last quorum, or what is left of it.
            (Voter, 2, 0, 2, 2, Barrier),
            (Voter, 2, 0, 5, 5, Barrier),
            (Voter, 3, 0, 1, 1, Barrier),
            (Voter, 1, 0, 1, 1, Barrier),
            // Nobody needs them.
            (Plain, 2, 0, 3, 1, Now),
            (Plain, 2, 0, 1, 1, Now),
            (Evicted, 2, 0, 3, 0, Now),
        ];
        for (who, quorum_count, voters_staying, mounted, leaving, expected) in table {
            let census = Census {
                mounted,
                leaving,
                voters_staying,
                quorum_count,
            };
            assert_eq!(decide(&census, who), expected, "{who:?} with {census:?}");
        }
    }
}
