//! What one process, or what is in flight, does in one step; and what must never happen.

use std::fmt;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Reads the super block; `Some` names a copy, and whether it was read while it was written.
    ReadSuper(u8, Option<(u8, bool)>),
    /// Reads a block.
    Read(u8, u8),
    /// Leaves a block out of its collect, because it does not verify.
    LeaveOut(u8, u8),
    /// Takes a block for empty because it does not verify.
    TakeForEmpty(u8, u8),
    /// Writes a block; and with it the entry of a ballot it declares itself elected with.
    Write(u8, u8, Option<u8>),
    /// Begins to write a block.
    BeginWrite(u8, u8, Option<u8>),
    /// The write completes.
    EndWrite(u8),
    /// The write tears, and fails.
    Tear(u8, u8),
    /// Dies while its write is in flight.
    DieWriting(u8, u8),
    /// Dies, and comes back as a new mount.
    Crash(u8),
    /// Gives its ballot up.
    GiveUp(u8, u8),
    /// Fences a predecessor.
    Fence(u8, u8, bool),
    /// Marks a predecessor as fenced before that is confirmed.
    MarkEarly(u8, u8),
    /// Has waited out the leases of its predecessors.
    WaitedOut(u8),
    /// Its write of the super block completes.
    EndUpdate(u8),
    /// Its write of the super block fails.
    FailUpdate(u8, bool),
    /// Dies during a write of the super block.
    DieUpdating(u8, bool),
    /// Begins to stop.
    Stop(u8),
    /// Begins a cycle.
    Cycle(u8),
    /// A write of somebody dead lands.
    LateWrite(u8),
    /// A write of the super block lands late.
    LateUpdate,
    /// It is dropped instead.
    DropUpdate,
}

/// A violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A ballot can still write outside the region though the super block names a higher one.
    NotSilent(u8),
    /// Two ballots can write outside the region at once.
    TwoLeaders,
    /// `fenced` or the server in the newest state went back.
    WentBack,
    /// An update was overwritten by one that did not know it.
    LostUpdate,
    /// Too few blocks carry a ballot that is sealed and live, so that a collect may miss it.
    Forgotten(u8),
    /// A reading of the super block was believed that is older than what stood there when it began.
    Stale,
}

fn name(process: u8) -> char {
    char::from(b'A' + process)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ReadSuper(p, None) => write!(f, "{} reads the super block", name(p)),
            Self::ReadSuper(p, Some((copy, false))) => write!(f, "{} reads super copy {copy}", name(p)),
            Self::ReadSuper(p, Some((copy, true))) => {
                write!(
                    f,
                    "{} reads super copy {copy} while it is written: invalid",
                    name(p)
                )
            }
            Self::Read(p, at) => write!(f, "{} reads block {at}", name(p)),
            Self::LeaveOut(p, at) => write!(f, "{} leaves block {at} out", name(p)),
            Self::TakeForEmpty(p, at) => write!(f, "{} takes invalid block {at} for empty", name(p)),
            Self::Write(p, at, None) => write!(f, "{} writes block {at}", name(p)),
            Self::Write(p, at, Some(ballot)) => {
                write!(
                    f,
                    "{} is elected with ballot {ballot} and writes block {at}",
                    name(p)
                )
            }
            Self::BeginWrite(p, at, None) => write!(f, "{} begins to write block {at}", name(p)),
            Self::BeginWrite(p, at, Some(ballot)) => {
                write!(
                    f,
                    "{} is elected with ballot {ballot} and begins to write block {at}",
                    name(p)
                )
            }
            Self::EndWrite(p) => write!(f, "the write of {} lands", name(p)),
            Self::Tear(p, at) => write!(f, "the write of {} to block {at} tears", name(p)),
            Self::DieWriting(p, at) => write!(f, "{} dies, its write to block {at} in flight", name(p)),
            Self::Crash(p) => write!(f, "{} dies; its slot is a new mount", name(p)),
            Self::GiveUp(p, ballot) => write!(f, "{} gives ballot {ballot} up", name(p)),
            Self::Fence(p, ballot, false) => write!(f, "{} fences ballot {ballot}", name(p)),
            Self::Fence(p, ballot, true) => {
                write!(
                    f,
                    "{} fences ballot {ballot}, whose super block write tears",
                    name(p)
                )
            }
            Self::MarkEarly(p, ballot) => {
                write!(f, "{} marks ballot {ballot}, whose fence is under way", name(p))
            }
            Self::WaitedOut(p) => write!(f, "{} has waited out the leases", name(p)),
            Self::EndUpdate(p) => write!(f, "the super block write of {} lands", name(p)),
            Self::FailUpdate(p, false) => {
                write!(f, "the super block write of {} fails and never lands", name(p))
            }
            Self::FailUpdate(p, true) => {
                write!(
                    f,
                    "the super block write of {} fails, and is still in flight",
                    name(p)
                )
            }
            Self::DieUpdating(p, false) => write!(f, "{} dies, its super block write tears", name(p)),
            Self::DieUpdating(p, true) => write!(f, "{} dies, its super block write in flight", name(p)),
            Self::Stop(p) => write!(f, "{} stops leading", name(p)),
            Self::Cycle(p) => write!(f, "{} begins a cycle", name(p)),
            Self::LateWrite(at) => write!(f, "a late write lands in block {at}"),
            Self::LateUpdate => f.write_str("a late super block write lands"),
            Self::DropUpdate => f.write_str("a late super block write is dropped"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSilent(ballot) => write!(
                f,
                "ballot {ballot} can still write though the super block names a higher one"
            ),
            Self::TwoLeaders => f.write_str("two ballots can write at once"),
            Self::WentBack => f.write_str("fenced or the server went back"),
            Self::Forgotten(ballot) => {
                write!(
                    f,
                    "too few blocks carry ballot {ballot}, which is sealed and live"
                )
            }
            Self::Stale => {
                f.write_str("a reading of the super block was believed that was stale when it began")
            }
            Self::LostUpdate => f.write_str("an update of the super block was lost"),
        }
    }
}
