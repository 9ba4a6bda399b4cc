//! The atlas of faults: what the design promises to survive, so that no fault is excused and no impossible one
//! is demanded. Each row says what the simulator may do, how often, and which assumption of the design document
//! (A1 to A5) or which number (P, T, D, K, W) it comes from.
//!
//! # How the budgets are kept
//!
//! T torn (or rotten, misdirected, unreadable) and D late region writes are allowed *in one scrub period*.
//! The simulator sees the whole device, so it ends a period at the first moment when it wants another such fault
//! and every ballot that stands live in any log is carried by at least N blocks, and no block is damaged any more:
//! then the count begins anew, which is exactly what the proof needs ("at some instant N blocks carry b; after that at most T torn, D late").
//! It is never kinder: a ballot that only a few blocks carry keeps the count from being reset.
//!
//! # What is not in it, and why
//!
//! A freeze *between* looking at the clock and writing, under a lease: only a watchdog covers it, as the design
//! document says. Loss of an acknowledged write of the super block or of the client table: A2 excludes it.
//! Rot of the newest copy of a client table block: the table is kept twice to survive torn writes, not rot.
//! A clock that jumps while a write is under way: W is measured by clocks. A jump under a lease: the lease is, too.

use ostrakon_core::bounds::{LATE_MAX, LEFT_OUT_MAX, SEAL_BLOCKS, TORN_MAX, VOTERS_MAX};

/// How often a fault may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// As often as the dice say.
    Unlimited,
    /// At most so many in one scrub period, together with every other row that names the same number.
    Torn,
    /// At most so many in one scrub period.
    Late,
    /// Only while the other copy is valid, both agree and nothing is being written to either.
    OtherCopyIntact,
    /// Never.
    Never,
}

/// A row of the atlas.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The fault.
    pub fault: &'static str,
    /// Where it strikes.
    pub place: &'static str,
    /// How often.
    pub limit: Limit,
    /// Where the promise comes from.
    pub source: &'static str,
}

const fn row(fault: &'static str, place: &'static str, limit: Limit, source: &'static str) -> Row {
    Row {
        fault,
        place,
        limit,
        source,
    }
}

/// Every fault of the simulated disk.
pub const DISK: &[Row] = &[
    row(
        "a read that overlaps a write returns a mixture of sectors",
        "any block",
        Limit::Unlimited,
        "A1",
    ),
    row(
        "latency up to the time limit of a request",
        "any request",
        Limit::Unlimited,
        "A3",
    ),
    row(
        "no answer within the limit; the write lands within W, or never",
        "any write",
        Limit::Unlimited,
        "A3, R2",
    ),
    row(
        "an error; the write lands within W, or never",
        "any write",
        Limit::Unlimited,
        "A3, R2",
    ),
    row(
        "a read error, once or for a time",
        "any read",
        Limit::Unlimited,
        "R10",
    ),
    row(
        "the device vanishes for one host: errors, or no answers",
        "a host",
        Limit::Unlimited,
        "A3",
    ),
    row(
        "a write of a dead process is dropped",
        "any block",
        Limit::Unlimited,
        "A3",
    ),
    row(
        "a write of a dead process lands within W",
        "super, table, doorbell, fence records",
        Limit::Unlimited,
        "A3, R7",
    ),
    row(
        "a write of a dead process lands within W",
        "region",
        Limit::Late,
        "A3, D",
    ),
    row(
        "a write is torn by the death or the fencing of its process",
        "super, table, doorbell, fence records",
        Limit::Unlimited,
        "R8, R10",
    ),
    row(
        "a write is torn by the death or the fencing of its process",
        "region",
        Limit::Torn,
        "T",
    ),
    row(
        "a write is torn and reported as an error",
        "region",
        Limit::Torn,
        "T",
    ),
    row(
        "an acknowledged write never lands",
        "region, doorbell",
        Limit::Unlimited,
        "R4 believes only what it reads",
    ),
    row(
        "an acknowledged write never lands",
        "super, table, fence records",
        Limit::Never,
        "A2",
    ),
    row(
        "a write lands in another block of the region",
        "region",
        Limit::Torn,
        "T: the block that it falls on is lost",
    ),
    row(
        "a write that stood there and was overwritten comes again before it is answered",
        "region",
        Limit::Unlimited,
        "R2: it is outstanding until then",
    ),
    row(
        "a write that stood there and was overwritten comes again before it is answered",
        "super, table, fence records",
        Limit::Never,
        "A2: a successor believes a clean stop that it sees (R7)",
    ),
    row("bit rot", "region", Limit::Torn, "T"),
    row(
        "bit rot",
        "one copy of the super block",
        Limit::OtherCopyIntact,
        "R10",
    ),
    row(
        "bit rot",
        "the older copy of a table block",
        Limit::OtherCopyIntact,
        "format of the table",
    ),
    row(
        "a medium error until the block is written again",
        "region",
        Limit::Torn,
        "T, R10",
    ),
    row(
        "a medium error until the block is written again",
        "one copy of the super block",
        Limit::OtherCopyIntact,
        "R10",
    ),
];

/// Every other fault.
pub const ELSEWHERE: &[Row] = &[
    row(
        "delay, splitting, reset in the middle of a message",
        "connection",
        Limit::Unlimited,
        "none: safety never rests on the network",
    ),
    row(
        "one-way and two-way partition, half-open connection",
        "link",
        Limit::Unlimited,
        "none",
    ),
    row(
        "garbage, silence, floods of connections",
        "listener",
        Limit::Unlimited,
        "hole 12",
    ),
    row(
        "somebody else answers at an address: with garbage, with what servers said, not at all, or for half a greeting",
        "listener",
        Limit::Unlimited,
        "none: nobody is believed who does not know the key",
    ),
    row(
        "crash at any step, restart with a new rid",
        "process",
        Limit::Unlimited,
        "R3; its region write is one of D or T",
    ),
    row(
        "crash while the log has hardly any room for another leader that never serves",
        "process",
        Limit::Never,
        "log room: the volume has to be formatted anew",
    ),
    row(
        "power cut: silence instead of resets, a new boot",
        "host",
        Limit::Unlimited,
        "R7",
    ),
    row(
        "pause for any time, also between deciding on a write and issuing it",
        "process with a fence",
        Limit::Unlimited,
        "P: a paused process is one of them",
    ),
    row(
        "pause for any time between two inputs",
        "process under a lease",
        Limit::Unlimited,
        "lease: the clock is looked at again",
    ),
    row(
        "clock rate within the configured error",
        "host",
        Limit::Unlimited,
        "lease",
    ),
    row(
        "clock jumps forward while no write is under way",
        "host, if nobody promises a lease",
        Limit::Unlimited,
        "A3",
    ),
    row(
        "fence slow, refused, unanswered, done but reported as failed, reported late",
        "fence",
        Limit::Unlimited,
        "A4",
    ),
    row("fence reported as done that was not", "fence", Limit::Never, "A4"),
    row("more than P voters alive at once", "world", Limit::Never, "A5"),
];

const _: () = assert!(
    SEAL_BLOCKS == VOTERS_MAX + TORN_MAX + LATE_MAX + LEFT_OUT_MAX,
    "the budgets below are those that the seal was sized for"
);

/// What is left of T and D in the present scrub period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    torn: usize,
    late: usize,
}

impl Budget {
    /// A block of the region may be lost.
    pub const fn may_tear(&self) -> bool {
        self.torn < TORN_MAX
    }

    /// A region write may outlive its process.
    pub const fn may_be_late(&self) -> bool {
        self.late < LATE_MAX
    }

    /// A block of the region was lost.
    pub fn tear(&mut self) {
        assert!(self.may_tear(), "the budget of torn writes is spent");
        self.torn += 1;
    }

    /// A region write outlives its process.
    pub fn be_late(&mut self) {
        assert!(self.may_be_late(), "the budget of late writes is spent");
        self.late += 1;
    }

    /// Every live ballot is carried by N blocks at this moment: a new scrub period begins.
    pub const fn renew(&mut self) {
        *self = Self { torn: 0, late: 0 };
    }
}
