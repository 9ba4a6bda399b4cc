//! Quorum blocks: a vote, and the election log.

use core::mem::offset_of;
use core::net::SocketAddr;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::field::{self, AddrBytes, BadField, check, zero, zero_array};
use super::header::{self, Header};
use super::{BlockError, Kind};
use crate::bounds::{BLOCK_BYTES, FENCE_PARAM_BYTES, LOG_ENTRIES_MAX, QUIET_MS_MAX};
use crate::checksum::{Checksum, PaddedChecksum, Zeros, padded};
use crate::ids::{Ballot, BlockNo, BootId, HostId, Rid, Term, VolumeId, WriteNr};
use crate::time::Duration;

/// What a voter publishes for those who may have to fence it; UTF-8 by convention, zero-padded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FenceParam(pub [u8; FENCE_PARAM_BYTES]);

impl Default for FenceParam {
    fn default() -> Self {
        Self([0; FENCE_PARAM_BYTES])
    }
}

/// A leader that was elected and is not yet known to be gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogEntry {
    /// Its ballot.
    pub ballot: Ballot,
    /// The machine it runs on.
    pub host: HostId,
    /// The boot of that machine.
    pub boot: BootId,
    /// Where it will listen.
    pub addr: SocketAddr,
    /// Milliseconds after which it is silent without a fence (lease + W), [`QUIET_MS_MAX`] at most; 0 promises nothing.
    pub quiet_ms: u32,
    /// A candidate that was sealed had its fence confirmed: no later one needs to fence it again.
    pub fenced: bool,
    /// How to fence it.
    pub fence_param: FenceParam,
}

/// What the writer of a quorum block is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum VoteKind {
    /// Votes for `vote_for` in `term` (for itself: a candidate), or has not voted.
    Vote = 1,
    /// Asks whether a quorum would vote for it (pre-vote).
    Ask = 2,
    /// Would vote for `vote_for`.
    Yes = 3,
    /// Leads: was elected and fences, starts or serves.
    Leader = 4,
}

/// A leader's answer to the doorbell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// Voters that answered a ping sent after the bell, the leader counted.
    pub voters: u16,
    /// It answers again within this time.
    pub interval: Duration,
}

/// Everything in a quorum block but its log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuorumHead {
    /// The voter.
    pub writer: Rid,
    /// Its machine.
    pub host: HostId,
    /// The boot of its machine.
    pub boot: BootId,
    /// Its how-manyeth region write this is.
    pub write_nr: WriteNr,
    /// The term it is in.
    pub term: Term,
    /// What it is doing.
    pub kind: VoteKind,
    /// Whom it votes for, or would.
    pub vote_for: Option<Rid>,
    /// Its ballot that is neither void nor stopped cleanly; the rid is the writer's.
    pub own: Option<Ballot>,
    /// Its ballots up to this term are void.
    pub void_term: Term,
    /// Its own ballot won the votes.
    pub won: bool,
    /// Its own ballot is sealed.
    pub sealed: bool,
    /// Yielded for want of remote clients, and has had none since.
    pub barren: bool,
    /// Number of its pre-vote; a `Yes` repeats the asker's.
    pub round: u32,
    /// A leader's answer to the doorbell.
    pub answer: Option<Answer>,
    /// Its measured cycle time.
    pub cycle: Duration,
}

#[cfg(test)]
impl QuorumHead {
    /// The first write of somebody who says nothing yet, in term 1.
    pub(crate) fn first_of(writer: Rid) -> Self {
        Self {
            writer,
            host: HostId(900),
            boot: BootId([9; 16]),
            write_nr: WriteNr(1),
            term: Term(1),
            kind: VoteKind::Vote,
            vote_for: None,
            own: None,
            void_term: Term(0),
            won: false,
            sealed: false,
            barren: false,
            round: 0,
            answer: None,
            cycle: Duration(1_000),
        }
    }
}

/// A quorum block as read.
#[derive(Clone, Copy, Debug)]
pub enum RegionBlock<'a> {
    /// Formatted and never written since.
    Empty,
    /// Somebody's vote and log.
    Written(QuorumHead, RegionEntries<'a>),
}

/// The log of a verified quorum block: every entry was checked when the block was decoded.
/// Yields the entries sorted by rid, without those whose term is absurd.
#[derive(Clone, Copy, Debug)]
pub struct RegionEntries<'a> {
    entries: &'a [PackedEntry],
    rest: &'a [PackedEntry],
    absurd: usize,
    repeats: bool,
}

const FLAG_WON: u8 = 1;
const FLAG_SEALED: u8 = 2;
const FLAG_BARREN: u8 = 4;
const FLAG_ANSWER: u8 = 8;
const FLAGS_KNOWN: u8 = FLAG_WON | FLAG_SEALED | FLAG_BARREN | FLAG_ANSWER;

/// The bit of `quiet` that says that the fence of this leader was confirmed; the others are milliseconds.
const FENCED: u32 = QUIET_MS_MAX + 1;

/// A log entry as it stands on the device; all zero behind the last. Comes from a verified block or from a [`LogEntry`].
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Debug,
)]
#[repr(C)]
pub struct PackedEntry {
    term: U64,
    rid: U64,
    host: U64,
    boot: [u8; 16],
    addr: AddrBytes,
    quiet: U32,
    fence_param: [u8; FENCE_PARAM_BYTES],
}

const _: () = assert!(size_of::<PackedEntry>() == 108);
const _: () = assert!(offset_of!(PackedEntry, rid) == 8);
const _: () = assert!(offset_of!(PackedEntry, host) == 16);
const _: () = assert!(offset_of!(PackedEntry, boot) == 24);
const _: () = assert!(offset_of!(PackedEntry, addr) == 40);
const _: () = assert!(offset_of!(PackedEntry, quiet) == 64);
const _: () = assert!(offset_of!(PackedEntry, fence_param) == 68);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadBytes {
    writer: U64,
    host: U64,
    boot: [u8; 16],
    write_nr: U64,
    term: U64,
    vote_for: U64,
    own_term: U64,
    void_term: U64,
    cycle_us: U64,
    answer_interval_us: U64,
    round: U32,
    answer_voters: U16,
    kind: u8,
    flags: u8,
    log_count: U16,
    reserved_162: [u8; 46],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct QuorumBytes {
    header: Header,
    head: HeadBytes,
    log: [PackedEntry; LOG_ENTRIES_MAX],
}

const _: () = assert!(size_of::<QuorumBytes>() == BLOCK_BYTES);
const _: () = assert!(offset_of!(QuorumBytes, head) == 64);
const _: () = assert!(offset_of!(HeadBytes, host) == 72 - 64);
const _: () = assert!(offset_of!(HeadBytes, boot) == 80 - 64);
const _: () = assert!(offset_of!(HeadBytes, write_nr) == 96 - 64);
const _: () = assert!(offset_of!(HeadBytes, term) == 104 - 64);
const _: () = assert!(offset_of!(HeadBytes, vote_for) == 112 - 64);
const _: () = assert!(offset_of!(HeadBytes, own_term) == 120 - 64);
const _: () = assert!(offset_of!(HeadBytes, void_term) == 128 - 64);
const _: () = assert!(offset_of!(HeadBytes, cycle_us) == 136 - 64);
const _: () = assert!(offset_of!(HeadBytes, answer_interval_us) == 144 - 64);
const _: () = assert!(offset_of!(HeadBytes, round) == 152 - 64);
const _: () = assert!(offset_of!(HeadBytes, answer_voters) == 156 - 64);
const _: () = assert!(offset_of!(HeadBytes, kind) == 158 - 64);
const _: () = assert!(offset_of!(HeadBytes, flags) == 159 - 64);
const _: () = assert!(offset_of!(HeadBytes, log_count) == 160 - 64);
const _: () = assert!(offset_of!(HeadBytes, reserved_162) == 162 - 64);
const _: () = assert!(offset_of!(QuorumBytes, log) == 208);

impl<'a> RegionBlock<'a> {
    /// Believes a block read at `at`.
    ///
    /// # Errors
    /// The first thing that shows the bytes to be no quorum block of this volume; every log entry is judged.
    pub fn decode(
        bytes: &'a [u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        Self::decode_after(bytes, at, volume, checksum, padded, None)
    }

    /// The same, where most logs are alike: one whose bytes are those of `before`, a log that was judged already, is
    /// not judged again.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode).
    pub fn decode_after(
        bytes: &'a [u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
        padded: PaddedChecksum,
        before: Option<&RegionEntries<'a>>,
    ) -> Result<Self, BlockError> {
        // It is known if the log is followed by nothing but zeros.
        let sum = sum_of_padded(bytes, checksum, padded);
        let block = header::verify_summed(bytes, at, Kind::Quorum, Some(volume), checksum, sum)?;
        let bytes: &QuorumBytes = transmute_ref!(block);
        let Some(writer) = Rid::new(bytes.head.writer.get()) else {
            zero("head", bytes.head.as_bytes())?;
            // It counts none: the zeros are those of all of it.
            if sum.is_none() {
                zero("log", bytes.log.as_bytes())?;
            }
            return Ok(Self::Empty);
        };
        let head = bytes.head.read(writer)?;
        let count = bytes.head.log_count.get();
        let log = bytes.log.get(..usize::from(count)).unwrap_or(&[]);
        let alike = before.filter(|before| sum.is_some() && before.entries.as_bytes() == log.as_bytes());
        let entries = match alike {
            Some(before) => RegionEntries {
                repeats: true,
                rest: before.entries,
                ..*before
            },
            None => read_log(&bytes.log, count, sum.is_some())?,
        };
        Ok(Self::Written(head, entries))
    }
}

/// The checksum of a block that nothing is known of yet, if nothing but zeros stands behind its log.
fn sum_of_padded(bytes: &[u8], checksum: Checksum, padded: PaddedChecksum) -> Option<u32> {
    let block: &[u8; BLOCK_BYTES] = bytes.try_into().ok()?;
    let QuorumBytes { head, log, .. } = transmute_ref!(block);
    let unused = log.len().checked_sub(usize::from(head.log_count.get()))?;
    padded(header::covered(block), UNUSED[unused], checksum)
}

/// The zeros of so many entries that a log has room for, and does not have.
const UNUSED: [Zeros; LOG_ENTRIES_MAX + 1] = {
    let mut unused = [Zeros::NONE; LOG_ENTRIES_MAX + 1];
    let mut entries = 1;
    while entries <= LOG_ENTRIES_MAX {
        unused[entries] = unused[entries - 1].and(size_of::<PackedEntry>());
        entries += 1;
    }
    unused
};

impl HeadBytes {
    fn read(&self, writer: Rid) -> Result<QuorumHead, BadField> {
        zero_array("reserved_162", &self.reserved_162)?;
        field::flags("flags", u64::from(self.flags), u64::from(FLAGS_KNOWN))?;
        let own_term = field::term("own_term", self.own_term)?;
        Ok(QuorumHead {
            writer,
            host: HostId(self.host.get()),
            boot: BootId(self.boot),
            write_nr: WriteNr(self.write_nr.get()),
            term: field::term("term", self.term)?,
            kind: self.vote_kind()?,
            vote_for: Rid::new(self.vote_for.get()),
            own: (own_term > Term(0)).then_some(Ballot {
                term: own_term,
                rid: writer,
            }),
            void_term: field::term("void_term", self.void_term)?,
            won: self.flags & FLAG_WON != 0,
            sealed: self.flags & FLAG_SEALED != 0,
            barren: self.flags & FLAG_BARREN != 0,
            round: self.round.get(),
            answer: self.answer()?,
            cycle: Duration(self.cycle_us.get()),
        })
    }

    fn vote_kind(&self) -> Result<VoteKind, BadField> {
        const KINDS: [VoteKind; 4] = [VoteKind::Vote, VoteKind::Ask, VoteKind::Yes, VoteKind::Leader];
        KINDS
            .into_iter()
            .find(|&kind| kind as u8 == self.kind)
            .ok_or(BadField {
                name: "kind",
                found: u64::from(self.kind),
            })
    }

    fn answer(&self) -> Result<Option<Answer>, BadField> {
        if self.flags & FLAG_ANSWER == 0 {
            zero("answer_voters", self.answer_voters.as_bytes())?;
            zero("answer_interval_us", self.answer_interval_us.as_bytes())?;
            return Ok(None);
        }
        // The leader counts itself.
        check(self.answer_voters.get() > 0, "answer_voters", 0)?;
        Ok(Some(Answer {
            voters: self.answer_voters.get(),
            interval: Duration(self.answer_interval_us.get()),
        }))
    }
}

impl From<&QuorumHead> for HeadBytes {
    fn from(head: &QuorumHead) -> Self {
        let mut flags = 0;
        for (set, flag) in [
            (head.won, FLAG_WON),
            (head.sealed, FLAG_SEALED),
            (head.barren, FLAG_BARREN),
            (head.answer.is_some(), FLAG_ANSWER),
        ] {
            if set {
                flags |= flag;
            }
        }
        Self {
            writer: head.writer.value().into(),
            host: head.host.0.into(),
            boot: head.boot.0,
            write_nr: head.write_nr.0.into(),
            term: head.term.0.into(),
            vote_for: head.vote_for.map_or(0, Rid::value).into(),
            own_term: head.own.map_or(0, |own| own.term.0).into(),
            void_term: head.void_term.0.into(),
            cycle_us: head.cycle.0.into(),
            answer_interval_us: head.answer.map_or(0, |answer| answer.interval.0).into(),
            round: head.round.into(),
            answer_voters: head.answer.map_or(0, |answer| answer.voters).into(),
            kind: head.kind as u8,
            flags,
            log_count: 0.into(),
            reserved_162: [0; 46],
        }
    }
}

/// Judges a whole log: the entries counted, their order, and, unless that is known, that nothing stands behind them.
fn read_log(
    log: &[PackedEntry; LOG_ENTRIES_MAX],
    count: u16,
    nothing_behind: bool,
) -> Result<RegionEntries<'_>, BadField> {
    let Some((entries, unused)) = log.split_at_checked(usize::from(count)) else {
        return Err(BadField {
            name: "log_count",
            found: u64::from(count),
        });
    };
    if !nothing_behind {
        zero("log", unused.as_bytes())?;
    }
    let mut absurd = 0;
    let mut last_rid = 0;
    for bytes in entries {
        bytes.judge()?;
        let rid = bytes.rid.get();
        check(rid > last_rid, "log.rid", rid)?;
        last_rid = rid;
        absurd += usize::from(field::is_absurd(bytes.term));
    }
    Ok(RegionEntries {
        entries,
        rest: entries,
        absurd,
        repeats: false,
    })
}

impl PackedEntry {
    /// Its ballot.
    pub fn ballot(&self) -> Ballot {
        Ballot {
            term: Term(self.term.get()),
            rid: field::verified_rid(self.rid),
        }
    }

    /// The quiet time that it promises.
    pub const fn quiet_ms(&self) -> u32 {
        self.quiet.get() & !FENCED
    }

    /// Whether its fence was confirmed.
    pub const fn is_fenced(&self) -> bool {
        self.quiet.get() & FENCED != 0
    }

    /// Its fence was confirmed.
    pub fn mark_fenced(&mut self) {
        self.quiet = (self.quiet.get() | FENCED).into();
    }

    /// The entry.
    pub fn unpack(&self) -> LogEntry {
        LogEntry {
            ballot: self.ballot(),
            host: HostId(self.host.get()),
            boot: BootId(self.boot),
            addr: self.addr.verified(),
            quiet_ms: self.quiet_ms(),
            fenced: self.is_fenced(),
            fence_param: FenceParam(self.fence_param),
        }
    }

    /// Judges an entry of a block whose checksum is right; its term may be absurd.
    fn judge(&self) -> Result<(), BadField> {
        check(self.term.get() > 0, "log.term", 0)?;
        field::rid("log.rid", self.rid)?;
        self.addr.read_some()?;
        Ok(())
    }
}

impl From<&Self> for PackedEntry {
    fn from(entry: &Self) -> Self {
        *entry
    }
}

impl From<&LogEntry> for PackedEntry {
    fn from(entry: &LogEntry) -> Self {
        let fenced = if entry.fenced { FENCED } else { 0 };
        Self {
            term: entry.ballot.term.0.into(),
            rid: entry.ballot.rid.value().into(),
            host: entry.host.0.into(),
            boot: entry.boot.0,
            addr: entry.addr.into(),
            quiet: (entry.quiet_ms.min(QUIET_MS_MAX) | fenced).into(),
            fence_param: entry.fence_param.0,
        }
    }
}

impl<'a> RegionEntries<'a> {
    /// Entries of the whole block that are ignored because their term is above [`crate::bounds::TERM_MAX`]:
    /// to be reported, never to be adopted.
    pub const fn absurd(&self) -> usize {
        self.absurd
    }

    /// The entries as they stand in the block.
    pub fn packed(&self) -> impl Iterator<Item = &'a PackedEntry> + use<'a> {
        self.rest.iter().filter(|entry| !field::is_absurd(entry.term))
    }

    /// The log is, byte for byte, the one that [`RegionBlock::decode_after`] was given.
    pub const fn repeats(&self) -> bool {
        self.repeats
    }
}

impl Iterator for RegionEntries<'_> {
    type Item = LogEntry;

    fn next(&mut self) -> Option<LogEntry> {
        while let Some((first, rest)) = self.rest.split_first() {
            self.rest = rest;
            if !field::is_absurd(first.term) {
                return Some(first.unpack());
            }
        }
        None
    }
}

/// Writes an empty quorum block for block `at` into `block`.
///
/// # Panics
/// If `block` is not one whole block long.
pub fn encode_empty(at: BlockNo, volume: VolumeId, checksum: Checksum, block: &mut [u8]) {
    finish(header::begin(block), 0, at, volume, checksum);
}

/// Writes a vote and a log of at most [`crate::bounds::LOG_ENTRIES_MAX`] entries, sorted by rid, for block `at`.
///
/// # Panics
/// If `block` is not one whole block long, if the log is too long, not sorted, or has two entries of one rid, or
/// if the writer's own ballot has another's rid. All of these are the writer's mistakes, never the device's.
pub fn encode_quorum<E>(
    head: &QuorumHead,
    log: &[E],
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    block: &mut [u8],
) where
    for<'a> PackedEntry: From<&'a E>,
{
    assert!(log.len() <= LOG_ENTRIES_MAX, "a log longer than a block can hold");
    assert!(
        head.own.is_none_or(|own| own.rid == head.writer),
        "an own ballot of another rid"
    );
    let block = header::begin(block);
    let bytes: &mut QuorumBytes = transmute_mut!(&mut *block);
    bytes.head = head.into();
    bytes.head.log_count = (log.len() as u16).into();
    for (bytes, entry) in bytes.log.iter_mut().zip(log) {
        *bytes = entry.into();
    }
    assert!(
        bytes.log[..log.len()].is_sorted_by(|a, b| a.rid.get() < b.rid.get()),
        "a log sorted by rid, one entry for each"
    );
    finish(block, log.len(), at, volume, checksum);
}

/// Makes it a block with so many entries in its log, and zeros behind them.
fn finish(block: &mut [u8; BLOCK_BYTES], entries: usize, at: BlockNo, volume: VolumeId, checksum: Checksum) {
    let zeros = UNUSED[LOG_ENTRIES_MAX - entries];
    header::finish_padded(block, Kind::Quorum, at, volume, checksum, zeros);
}
