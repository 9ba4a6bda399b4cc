//! Identities and the orders between them. Two bare `u64`s never stand side by side in this crate.

use core::fmt;

/// Random identity of a volume, drawn when it is formatted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(pub [u8; 16]);

/// Random 64-bit identity of one mount instance. Never 0; a new one for each mount.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid(core::num::NonZeroU64);

impl Rid {
    /// The rid with this value; `None` for 0, which means "nobody" on the device.
    pub const fn new(value: u64) -> Option<Self> {
        match core::num::NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The value as it stands in a block or a message.
    pub const fn value(self) -> u64 {
        self.0.get()
    }
}

/// Identity of a machine across its boots; 0 where the platform has none.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HostId(pub u64);

/// Identity of one boot of a machine; all zero where the platform has none.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BootId(pub [u8; 16]);

/// Number of an election. Grows only; 0 means that none was ever held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Term(pub u64);

impl Term {
    /// The next term. Saturates far above [`crate::bounds::TERM_MAX`], where terms are no longer believed.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One candidacy: ordered by term, then rid, and used once (rule R3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ballot {
    /// Term the candidate raised.
    pub term: Term,
    /// The candidate.
    pub rid: Rid,
}

/// "Everything up to here": the super block's `fenced`. Unlike a [`Ballot`] it may lie between two of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mark {
    /// Term of the highest ballot covered.
    pub term: Term,
    /// Highest rid covered in that term; 0 covers none of them.
    pub rid: u64,
}

impl Mark {
    /// Covers nothing.
    pub const NONE: Self = Self {
        term: Term(0),
        rid: 0,
    };

    /// Whether `ballot` is at or below this mark.
    pub const fn covers(self, ballot: Ballot) -> bool {
        ballot.term.0 < self.term.0 || (ballot.term.0 == self.term.0 && ballot.rid.value() <= self.rid)
    }

    /// The mark that covers `ballot` and everything below it.
    pub const fn at(ballot: Ballot) -> Self {
        Self {
            term: ballot.term,
            rid: ballot.rid.value(),
        }
    }

    /// The mark that covers everything below `ballot`, but not `ballot` itself.
    pub const fn below(ballot: Ballot) -> Self {
        Self {
            term: ballot.term,
            rid: ballot.rid.value() - 1,
        }
    }
}

/// Number of a 4 KiB block from the start of the device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BlockNo(pub u64);

/// Counts the region writes of one rid; never repeats for a rid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct WriteNr(pub u64);

/// Secret of a volume, drawn when it is formatted. Never printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VolumeKey(pub [u8; 32]);

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VolumeKey(..)")
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! show {
    ($($name:ty: |$this:ident, $f:ident| $body:expr;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                $body
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

show! {
    VolumeId: |this, f| hex(&this.0, f);
    Rid: |this, f| write!(f, "{:016x}", this.value());
    HostId: |this, f| write!(f, "{:016x}", this.0);
    BootId: |this, f| hex(&this.0, f);
    Term: |this, f| write!(f, "{}", this.0);
    Ballot: |this, f| write!(f, "{}.{}", this.term, this.rid);
    Mark: |this, f| write!(f, "{}.{:016x}", this.term, this.rid);
    BlockNo: |this, f| write!(f, "{}", this.0);
    WriteNr: |this, f| write!(f, "{}", this.0);
}
