//! What a mount tells, flattened for C.

use core::ffi::{CStr, c_char};

use ostrakon_core::event::{Event, Fault, GaveUp, Silenced, Unmounted};
use ostrakon_core::format::wire::Status;
use ostrakon_core::ids::Ballot;

use crate::convert::put;
use crate::memory::enter;
use crate::{ostrakon_address, ostrakon_ballot, ostrakon_error, ostrakon_mount};

/// What happened. The names in the text are fields of `ostrakon_event`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_event_kind {
    /// The super block was believed; the mount knows its volume.
    Started = 0,
    /// A server answered: `ballot` at `address` (family 0: this mount's own server). The mount is in the table, durably.
    Connected = 1,
    /// The connection to the server `ballot` is gone.
    Disconnected = 2,
    /// The server has enough voters already: this mount stays a plain client.
    PlainClient = 3,
    /// No server can be reached: `count` votes of `needed` are in sight.
    Asking = 4,
    /// This mount won the votes for `ballot`.
    Elected = 5,
    /// `ballot` is sealed: every reading of the region shows it from now on.
    Sealed = 6,
    /// This mount gave `ballot` up before it served; `detail` says why, `other` because of whom.
    GaveUp = 7,
    /// The predecessor `ballot` is being fenced, for the `count`th time.
    Fencing = 8,
    /// The predecessor `ballot` is silent; `detail` says how that is known.
    Silenced = 9,
    /// The fence of the predecessor `ballot` was refused or not confirmed, `count` times so far.
    FenceFailed = 10,
    /// The server of `ballot` listens at `address`, which is published.
    Serving = 11,
    /// Every client known from before has returned or was evicted; `count` are mounted.
    Recovered = 12,
    /// `other` takes over from this mount's `ballot`.
    Superseded = 13,
    /// The server of `ballot` stopped; `count` is 1 if that is recorded and nobody needs to fence it.
    StoppedServing = 14,
    /// The client `rid` did not return in time.
    ClientEvicted = 15,
    /// This mount was evicted and ends; a new one needs a new rid.
    Evicted = 16,
    /// This mount begins to leave.
    Unmounting = 17,
    /// Leaving needs a server, and only `count` votes of `needed` are in sight.
    WaitingForQuorum = 18,
    /// This mount has ended; `detail` says how. The last event.
    Unmounted = 19,
    /// Request `request` was answered: `count` is 0 for done, else why not; `length` bytes of the answer were kept.
    Answered = 20,
    /// Something is wrong and goes on being wrong: see `detail`.
    Fault = 21,
    /// Something that this version of the header has no name for.
    Other = 22,
    /// A voter's place has become free: this mount, turned down before, is a voter now.
    VoterAfterAll = 23,
}

/// How, why or what.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_detail {
    /// Nothing to add.
    None = 0,
    /// GAVE_UP: not enough votes in time.
    TooFewVotes = 1,
    /// GAVE_UP: the higher ballot `other` is live.
    Higher = 2,
    /// GAVE_UP: the super block had moved past it.
    Overtaken = 3,
    /// GAVE_UP: the predecessor `other` could not be silenced.
    FenceRefused = 4,
    /// GAVE_UP: the predecessor `other` promises no lease and this host cannot fence.
    CannotFence = 5,
    /// GAVE_UP: a server was reached.
    ServerReached = 6,
    /// GAVE_UP: told to leave.
    ToldToLeave = 7,
    /// GAVE_UP: the server could not start.
    ServerFailed = 8,
    /// SILENCED: its own block says that it gave the ballot up.
    Void = 9,
    /// SILENCED: it stopped cleanly.
    Stopped = 10,
    /// SILENCED: its fence was confirmed.
    Fenced = 11,
    /// SILENCED: its promised lease ran out. FAULT: the own right to act ran out.
    LeaseRanOut = 12,
    /// UNMOUNTED: the server answered the farewell.
    Farewell = 13,
    /// UNMOUNTED: the super block says that it was released.
    Barrier = 14,
    /// UNMOUNTED: it was never admitted by any server.
    NeverMounted = 15,
    /// UNMOUNTED: it gave up waiting; the next server evicts its record, or silences the ballot that it leaves.
    LeftRecord = 16,
    /// UNMOUNTED: it was told to go at once.
    Forced = 17,
    /// UNMOUNTED: it was evicted.
    WasEvicted = 18,
    /// FAULT: the super block cannot be read or is damaged in both copies.
    SuperDamaged = 19,
    /// FAULT: the device does not answer as it should; `block` says where, `count` is 1 for a write.
    Disk = 20,
    /// FAULT: `block` of the quorum region is damaged; the next write goes there.
    DamagedBlock = 21,
    /// FAULT: an absurd term stands in `block`; it is ignored.
    AbsurdTerm = 22,
    /// FAULT: the election log has no room; fences must be confirmed first.
    LogFull = 23,
    /// FAULT: too many leftover entries to begin another candidacy.
    LogAlmostFull = 24,
    /// FAULT: `count` voters are active, more than the volume admits: this one abstains.
    TooManyVoters = 25,
    /// FAULT: both copies of `block` of the client table are invalid.
    TableDamaged = 26,
    /// FAULT: the volume has room for `needed` clients, this mount memory for `count`.
    TableTooLarge = 27,
    /// FAULT: the server cannot listen at `address`.
    CannotListen = 28,
    /// FAULT: the server refused the greeting; `count` says why.
    Refused = 29,
    /// FAULT: something that this version of the header has no name for.
    OtherFault = 30,
    /// UNMOUNTED: it led, and could neither stop cleanly nor take its ballot back; mount anew with a new rid.
    WasSuperseded = 31,
    /// FAULT: the server knows the volume's key and speaks nothing that this build speaks; `count` and `of` are the oldest
    /// and the newest wire version that it speaks.
    ServerSpeaks = 32,
    /// FAULT: the same of a client of this server.
    PeerSpeaks = 33,
    /// FAULT: whoever answers at `address` has not shown that it knows the volume's key.
    Unproven = 34,
    /// SILENCED: an earlier candidate had its fence confirmed, and says so in the log.
    FencedBefore = 35,
}

/// What a mount has to tell. Fields that a kind does not name are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_event {
    /// What happened.
    pub kind: ostrakon_event_kind,
    /// How, why or what.
    pub detail: ostrakon_detail,
    /// Whose candidacy.
    pub ballot: ostrakon_ballot,
    /// Who else's.
    pub other: ostrakon_ballot,
    /// Where.
    pub address: ostrakon_address,
    /// Who.
    pub rid: u64,
    /// Where on the device.
    pub block: u64,
    /// Which request.
    pub request: u64,
    /// How many, or how often.
    pub count: u32,
    /// Of how many.
    pub needed: u32,
    /// Bytes.
    pub length: u32,
    /// 0.
    pub reserved: u32,
}

const KIND_TEXTS: [&CStr; 23] = [
    c"mounting",
    c"connected",
    c"disconnected",
    c"stays a plain client",
    c"asking for votes",
    c"elected",
    c"sealed",
    c"gave the ballot up",
    c"fencing a predecessor",
    c"a predecessor is silent",
    c"a fence failed",
    c"serving",
    c"recovered",
    c"superseded",
    c"stopped serving",
    c"a client was evicted",
    c"evicted",
    c"unmounting",
    c"waiting for a quorum to leave",
    c"unmounted",
    c"a request was answered",
    c"fault",
    c"something new",
];

const DETAIL_TEXTS: [&CStr; 36] = [
    c"nothing to add",
    c"too few votes",
    c"a higher ballot is live",
    c"overtaken",
    c"a predecessor could not be silenced",
    c"cannot fence a predecessor without a lease",
    c"a server was reached",
    c"told to leave",
    c"the server could not start",
    c"it gave its ballot up",
    c"it stopped cleanly",
    c"its fence was confirmed",
    c"the lease ran out",
    c"the server answered the farewell",
    c"the unmount barrier released it",
    c"it was never mounted",
    c"it left its record behind",
    c"forced",
    c"it was evicted",
    c"the super block cannot be read",
    c"the disk fails",
    c"a block of the quorum region is damaged",
    c"an absurd term",
    c"the election log is full",
    c"the election log is almost full",
    c"too many voters",
    c"the client table is damaged",
    c"the client table needs more memory",
    c"cannot listen",
    c"the server refuses",
    c"a new kind of fault",
    c"it could neither stop cleanly nor take its ballot back",
    c"the server speaks no wire version of this build",
    c"a client speaks no wire version of this build",
    c"who answers has not shown the volume's key",
    c"its fence was confirmed before",
];

const _: () = assert!(KIND_TEXTS.len() == ostrakon_event_kind::Other as usize + 1);
const _: () = assert!(DETAIL_TEXTS.len() == ostrakon_detail::FencedBefore as usize + 1);

/// Text of an event's kind and of its detail, for any values: constants that end with a zero. Null is allowed.
///
/// # Safety
/// `kind_text` and `detail_text` are null or lead to a `const char *`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_event_text(
    kind: u32,
    detail: u32,
    kind_text: *mut *const c_char,
    detail_text: *mut *const c_char,
) {
    let find = |texts: &[&'static CStr], code: u32| {
        let text = usize::try_from(code).ok().and_then(|code| texts.get(code));
        text.copied().unwrap_or(c"unknown").as_ptr()
    };
    // SAFETY: passed on; null is answered with nothing.
    unsafe {
        let _ = put(kind_text, find(&KIND_TEXTS, kind));
        let _ = put(detail_text, find(&DETAIL_TEXTS, detail));
    }
}

/// The next thing to tell. UNMOUNTED is the last.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `event` is null or leads to an `ostrakon_event`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll_event(
    mount: *mut ostrakon_mount,
    event: *mut ostrakon_event,
) -> ostrakon_error {
    if event.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let told = mount.poll_event().ok_or(ostrakon_error::Nothing)?;
            put(event, (&told).into())
        })
    }
}

impl ostrakon_event {
    const fn new(kind: ostrakon_event_kind) -> Self {
        Self {
            kind,
            detail: ostrakon_detail::None,
            ballot: ostrakon_ballot { term: 0, rid: 0 },
            other: ostrakon_ballot { term: 0, rid: 0 },
            address: ostrakon_address {
                ip: [0; 16],
                scope: 0,
                port: 0,
                family: 0,
                reserved: 0,
            },
            rid: 0,
            block: 0,
            request: 0,
            count: 0,
            needed: 0,
            length: 0,
            reserved: 0,
        }
    }

    fn of(kind: ostrakon_event_kind, ballot: Ballot) -> Self {
        Self {
            ballot: ballot.into(),
            ..Self::new(kind)
        }
    }

    const fn counted(self, count: u32, needed: u32) -> Self {
        Self {
            count,
            needed,
            ..self
        }
    }
}

impl From<&Event> for ostrakon_event {
    fn from(told: &Event) -> Self {
        use ostrakon_event_kind as Kind;
        match told {
            Event::Started => Self::new(Kind::Started),
            Event::Connected { server, addr } => Self {
                address: addr.map_or_else(ostrakon_address::default, Into::into),
                ..Self::of(Kind::Connected, *server)
            },
            Event::Disconnected { server } => Self::of(Kind::Disconnected, *server),
            Event::PlainClient => Self::new(Kind::PlainClient),
            Event::VoterAfterAll => Self::new(Kind::VoterAfterAll),
            &Event::Asking { votes, needed } => Self::new(Kind::Asking).counted(votes.into(), needed.into()),
            Event::Elected(ballot) => Self::of(Kind::Elected, *ballot),
            Event::Sealed(ballot) => Self::of(Kind::Sealed, *ballot),
            &Event::GaveUp { ballot, why } => gave_up(ballot, why),
            &Event::Fencing { victim, attempt } => Self::of(Kind::Fencing, victim).counted(attempt, 0),
            &Event::Silenced { victim, how } => Self {
                detail: how.into(),
                ..Self::of(Kind::Silenced, victim)
            },
            &Event::FenceFailed { victim, attempt } => {
                Self::of(Kind::FenceFailed, victim).counted(attempt, 0)
            }
            Event::Serving { ballot, addr } => Self {
                address: (*addr).into(),
                ..Self::of(Kind::Serving, *ballot)
            },
            &Event::Recovered { clients } => Self::new(Kind::Recovered).counted(clients, 0),
            Event::Superseded { ballot, by } => Self {
                other: (*by).into(),
                ..Self::of(Kind::Superseded, *ballot)
            },
            &Event::StoppedServing { ballot, clean } => {
                Self::of(Kind::StoppedServing, ballot).counted(clean.into(), 0)
            }
            Event::ClientEvicted(rid) => Self {
                rid: rid.value(),
                ..Self::new(Kind::ClientEvicted)
            },
            Event::Evicted => Self::new(Kind::Evicted),
            Event::Unmounting => Self::new(Kind::Unmounting),
            &Event::WaitingForQuorum { votes, needed } => {
                Self::new(Kind::WaitingForQuorum).counted(votes.into(), needed.into())
            }
            &Event::Unmounted(how) => Self {
                detail: how.into(),
                ..Self::new(Kind::Unmounted)
            },
            &Event::Answered { id, status, length } => Self {
                request: id.0,
                length: length as u32,
                ..Self::new(Kind::Answered).counted(refusal(status), 0)
            },
            Event::Fault(fault) => fault.into(),
            _ => Self::new(Kind::Other),
        }
    }
}

const fn refusal(status: Status) -> u32 {
    status as u32
}

fn gave_up(ballot: Ballot, why: GaveUp) -> ostrakon_event {
    use ostrakon_detail as Detail;
    let (detail, other) = match why {
        GaveUp::TooFewVotes => (Detail::TooFewVotes, None),
        GaveUp::Higher(other) => (Detail::Higher, Some(other)),
        GaveUp::Overtaken => (Detail::Overtaken, None),
        GaveUp::FenceRefused(other) => (Detail::FenceRefused, Some(other)),
        GaveUp::CannotFence(other) => (Detail::CannotFence, Some(other)),
        GaveUp::ServerReached => (Detail::ServerReached, None),
        GaveUp::Unmounting => (Detail::ToldToLeave, None),
        GaveUp::ServerFailed => (Detail::ServerFailed, None),
    };
    ostrakon_event {
        detail,
        other: other.map_or_else(ostrakon_ballot::default, Into::into),
        ..ostrakon_event::of(ostrakon_event_kind::GaveUp, ballot)
    }
}

impl From<Silenced> for ostrakon_detail {
    fn from(how: Silenced) -> Self {
        match how {
            Silenced::Void => Self::Void,
            Silenced::Stopped => Self::Stopped,
            Silenced::Fenced => Self::Fenced,
            Silenced::FencedBefore => Self::FencedBefore,
            Silenced::LeaseRanOut => Self::LeaseRanOut,
        }
    }
}

impl From<Unmounted> for ostrakon_detail {
    fn from(how: Unmounted) -> Self {
        match how {
            Unmounted::Farewell => Self::Farewell,
            Unmounted::Barrier => Self::Barrier,
            Unmounted::NeverMounted => Self::NeverMounted,
            Unmounted::LeftRecord => Self::LeftRecord,
            Unmounted::Forced => Self::Forced,
            Unmounted::Evicted => Self::WasEvicted,
            Unmounted::Superseded => Self::WasSuperseded,
        }
    }
}

impl From<&Fault> for ostrakon_event {
    fn from(fault: &Fault) -> Self {
        use ostrakon_detail as Detail;
        let new = Self::new(ostrakon_event_kind::Fault);
        let with = |detail| Self { detail, ..new };
        match fault {
            Fault::Super(_) => with(Detail::SuperDamaged),
            Fault::Disk { first, write, .. } => Self {
                block: first.0,
                count: (*write).into(),
                ..with(Detail::Disk)
            },
            Fault::DamagedBlock(at) => Self {
                block: at.0,
                ..with(Detail::DamagedBlock)
            },
            Fault::AbsurdTerm(at) => Self {
                block: at.0,
                ..with(Detail::AbsurdTerm)
            },
            Fault::LogFull => with(Detail::LogFull),
            Fault::LogAlmostFull => with(Detail::LogAlmostFull),
            &Fault::TooManyVoters { active } => with(Detail::TooManyVoters).counted(active.into(), 0),
            Fault::TableDamaged(at) => Self {
                block: at.0,
                ..with(Detail::TableDamaged)
            },
            &Fault::TableTooLarge { volume, memory } => with(Detail::TableTooLarge).counted(memory, volume),
            Fault::CannotListen(addr) => Self {
                address: (*addr).into(),
                ..with(Detail::CannotListen)
            },
            &Fault::Refused(status) => with(Detail::Refused).counted(refusal(status), 0),
            &Fault::ServerSpeaks(offer) => {
                with(Detail::ServerSpeaks).counted(offer.oldest.into(), offer.newest.into())
            }
            &Fault::PeerSpeaks(offer) => {
                with(Detail::PeerSpeaks).counted(offer.oldest.into(), offer.newest.into())
            }
            Fault::Unproven(addr) => Self {
                address: (*addr).into(),
                ..with(Detail::Unproven)
            },
            Fault::LeaseRanOut => with(Detail::LeaseRanOut),
            _ => with(Detail::OtherFault),
        }
    }
}
