//! The stages of a voter: from taking no part to leading and stopping.

use crate::bounds::LOG_ENTRIES_MAX;
use crate::event::GaveUp;
use crate::ids::Ballot;
use crate::time::{Duration, Instant};

/// Where a voter stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Stage {
    /// Takes no part and does no I/O.
    Off,
    /// Not admitted by any server yet: looks twice before its first write (A5).
    Gate { wait_until: Option<Instant> },
    /// Takes part, and waits for its election timer.
    Follow(Timer),
    /// Asks whether a quorum would vote for it.
    Ask(Ask),
    /// Outvoted by a leader that answers: leaves it alone for a while.
    Rest {
        until: Instant,
        backoff: Duration,
        leader: Ballot,
    },
    /// Raised the term and voted for itself.
    Candidate { ballot: Ballot, timer: Timer },
    /// Won the votes; its ballot is in its log, and spreads.
    Seal { ballot: Ballot },
    /// Sealed; silences every lower ballot (R7).
    Silence(Silence),
    /// All predecessors are silent: reads the super block again and names itself there (R8).
    Claim { ballot: Ballot },
    /// Gives its ballot up as soon as the fences it fired were answered (R3).
    Withdraw { why: GaveUp },
    /// Leads.
    Lead(Lead),
    /// Leads no longer; wants to say so in the super block (R9).
    Stop(Stop),
}

/// An election timer: how long it runs is judged anew each time, because the pace of the disk changes under it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Timer {
    pub(super) since: Instant,
    /// What its length is drawn with.
    pub(super) random: u32,
    pub(super) kind: TimerKind,
}

/// What an election timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum TimerKind {
    /// The first one since this mount lost its server.
    Fresh,
    /// Any later one.
    Plain,
    /// The long timer of one that was beaten or has just stopped.
    StandsBack,
}

/// A pre-vote.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ask {
    /// Since when this leader is asked about (or the absence of one).
    pub(super) since: Instant,
    /// The leader that the super block names.
    pub(super) leader: Option<Ballot>,
    /// When the bell was first rung, and last.
    pub(super) rang: Option<(Instant, Instant)>,
    /// Since when the leader is known to have as many voters or more.
    pub(super) outvoted: Option<Instant>,
    /// Since when the pre-vote passes.
    pub(super) passed: Option<Instant>,
    /// Pause after being outvoted.
    pub(super) backoff: Duration,
    /// Voters in sight, this one counted.
    pub(super) votes: u16,
}

/// Silencing the predecessors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Silence {
    pub(super) ballot: Ballot,
    /// When the sealing collect ended: a promised lease is waited out from here.
    pub(super) sealed_at: Instant,
    /// When this is given up.
    pub(super) until: Instant,
    /// When the bell was last rung for a predecessor that is asked to stop.
    pub(super) rang: Option<Instant>,
}

/// A predecessor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Victim {
    pub(super) ballot: Ballot,
    /// What its entry promises; the rest of the entry stays in the log alone.
    pub(super) quiet_ms: u32,
    pub(super) state: VictimState,
    /// Until when it is given time to stop by itself, or before when it is not fenced (again).
    pub(super) due: Instant,
}

/// Every predecessor of the own ballot, from its seal until the next one.
pub(super) type Victims = heapless::Vec<Victim, LOG_ENTRIES_MAX>;

/// How far a predecessor is silenced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum VictimState {
    /// Is given time to stop by itself.
    Asked,
    /// Is to be fenced.
    FenceDue { attempt: u16 },
    /// The platform was told to fence it.
    Fencing { attempt: u16 },
    /// Its lease is waited out.
    Waiting,
    /// Its fence was confirmed: no write of its mount reaches the device any more.
    Fenced,
    /// Silent for good, without that.
    Silent,
}

/// Leading.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Lead {
    pub(super) ballot: Ballot,
    /// Since when.
    pub(super) since: Instant,
    /// The last ring seen: asker and number.
    pub(super) bell: Option<(u64, u64)>,
    /// Since when it rings, while it does.
    pub(super) bell_since: Option<Instant>,
    /// Until when it counts as ringing.
    pub(super) ringing_until: Instant,
    /// When the bell was last looked at.
    pub(super) bell_looked: Instant,
    /// When the last cycle began.
    pub(super) looked: Instant,
    /// When the seal is to be made whole again.
    pub(super) scrub_at: Instant,
    /// Reads that failed in a row.
    pub(super) reads_failed: u32,
}

/// Stopping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stop {
    pub(super) ballot: Ballot,
    /// Since when.
    pub(super) since: Instant,
    /// Readings of both copies in a row that do not name the ballot.
    pub(super) unnamed: u8,
    /// The server is off, and nothing that was read before that is used: its last writes came after.
    pub(super) fresh: bool,
}

impl VictimState {
    /// Whether nothing more is to be done about it.
    pub(super) const fn is_silent(self) -> bool {
        matches!(self, Self::Fenced | Self::Silent)
    }
}

impl Stage {
    /// Whether fences of predecessors may still be under way.
    pub(super) const fn awaits_fences(&self) -> bool {
        matches!(self, Self::Silence(_) | Self::Withdraw { .. })
    }
}
