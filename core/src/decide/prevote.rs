//! The pre-vote: may an asker become a candidate (election rules "Pre-vote" and "The living are not deposed by fewer").

use crate::format::Answer;

/// What an asker knows of the leader that the super block names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LeaderSeen {
    /// None is named that has not stopped.
    None,
    /// It has answered since the bell was rung.
    Answers(Answer),
    /// It has not answered, and may yet.
    MayAnswer,
    /// It has not answered for so long that it is taken for dead.
    Dead,
}

/// What the asker does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Becomes a candidate.
    Stand,
    /// Goes on asking.
    GoOnAsking,
    /// An answering leader has as many voters or more: leaves it alone for a while.
    Outvoted,
}

/// Judges a pre-vote. `votes` counts the asker.
pub const fn judge(votes: u16, quorum_count: u16, leader: LeaderSeen) -> Verdict {
    match leader {
        LeaderSeen::MayAnswer => Verdict::GoOnAsking,
        LeaderSeen::Answers(answer) if votes >= quorum_count && votes > answer.voters => Verdict::Stand,
        LeaderSeen::Answers(_) => Verdict::Outvoted,
        LeaderSeen::None | LeaderSeen::Dead if votes >= quorum_count => Verdict::Stand,
        LeaderSeen::None | LeaderSeen::Dead => Verdict::GoOnAsking,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn answers(voters: u16) -> LeaderSeen {
        LeaderSeen::Answers(Answer {
            voters,
            interval: Duration::ZERO,
        })
    }

    #[test]
    fn judges() {
        use Verdict::{GoOnAsking, Outvoted, Stand};
        for (votes, quorum, leader, verdict) in [
            (1, 2, LeaderSeen::None, GoOnAsking),
            (2, 2, LeaderSeen::None, Stand),
            (2, 2, LeaderSeen::MayAnswer, GoOnAsking),
            (2, 2, LeaderSeen::Dead, Stand),
            (1, 2, LeaderSeen::Dead, GoOnAsking),
            // Two controllers with a severed link, quorum 1: the leader stays.
            (1, 1, answers(1), Outvoted),
            // A leader cut off from the majority goes.
            (2, 2, answers(1), Stand),
            (2, 2, answers(2), Outvoted),
            (2, 3, answers(1), Outvoted),
        ] {
            assert_eq!(
                judge(votes, quorum, leader),
                verdict,
                "{votes} of {quorum}, {leader:?}"
            );
        }
    }
}
