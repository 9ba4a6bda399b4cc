//! What a mount has to tell.

use core::net::SocketAddr;

use crate::bounds::PEERS_MAX;
use crate::disk::DiskError;
use crate::format::hello::Offer;
use crate::format::wire::{RequestId, Status};
use crate::ids::{Ballot, BlockNo, Rid};
use crate::superio::SuperError;

/// What a mount has to tell. The binary prints these; a simulator checks them.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The super block was believed; the mount knows its volume.
    Started,
    /// A server answered the greeting: the mount is in the table, durably.
    Connected {
        /// The server's ballot.
        server: Ballot,
        /// Where it was reached; `None` for this mount's own server.
        addr: Option<SocketAddr>,
    },
    /// The connection to the server is gone.
    Disconnected {
        /// The server's ballot.
        server: Ballot,
    },
    /// The server has enough voters already: this mount stays a plain client.
    PlainClient,
    /// A voter's place has become free: this mount, turned down before, is a voter now.
    VoterAfterAll,
    /// No server can be reached: asking whether a quorum would vote for this mount.
    Asking {
        /// Voters that would, this one counted.
        votes: u16,
        /// Votes that elect.
        needed: u16,
    },
    /// This mount won the votes.
    Elected(Ballot),
    /// This mount's ballot is sealed: every collect from now on shows it.
    Sealed(Ballot),
    /// This mount gave its ballot up before it served.
    GaveUp {
        /// The ballot.
        ballot: Ballot,
        /// Why.
        why: GaveUp,
    },
    /// A predecessor is being fenced.
    Fencing {
        /// The predecessor.
        victim: Ballot,
        /// 1 for the first try.
        attempt: u32,
    },
    /// A predecessor is silent.
    Silenced {
        /// The predecessor.
        victim: Ballot,
        /// How that is known.
        how: Silenced,
    },
    /// The fence of a predecessor was refused or not confirmed.
    FenceFailed {
        /// The predecessor.
        victim: Ballot,
        /// Tries so far.
        attempt: u32,
    },
    /// The server listens and its address is published.
    Serving {
        /// Its ballot.
        ballot: Ballot,
        /// Where.
        addr: SocketAddr,
    },
    /// Every client known from before has returned or was evicted.
    Recovered {
        /// Clients mounted.
        clients: u32,
    },
    /// A newer leader takes over; this one stops.
    Superseded {
        /// Its ballot.
        ballot: Ballot,
        /// The newer one.
        by: Ballot,
    },
    /// The server stopped.
    StoppedServing {
        /// Its ballot.
        ballot: Ballot,
        /// Recorded in the super block: nobody needs to fence it.
        clean: bool,
    },
    /// A client did not return in time.
    ClientEvicted(Rid),
    /// This mount was evicted by the server, and has ended; a new mount needs a new rid.
    Evicted,
    /// This mount begins to leave.
    Unmounting,
    /// Leaving needs a server, and there are not enough voters to elect one.
    WaitingForQuorum {
        /// Voters seen, this one counted.
        votes: u16,
        /// Votes that elect.
        needed: u16,
    },
    /// This mount has ended.
    Unmounted(Unmounted),
    /// A request was answered.
    Answered {
        /// The request.
        id: RequestId,
        /// How it ended.
        status: Status,
        /// Bytes of the answer's body that were kept, to be fetched with `Mount::answer`.
        length: usize,
    },
    /// Something is wrong, and goes on being wrong.
    Fault(Fault),
}

/// How a mount ended.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unmounted {
    /// The server answered the farewell.
    Farewell,
    /// The super block's barrier says that it was released.
    Barrier,
    /// It was never admitted by any server: nothing to take back.
    NeverMounted,
    /// It gave up waiting ([`Config::unmount_time_max`](crate::config::Config::unmount_time_max)), and left something behind: its record, which the next
    /// server evicts, or a ballot that counts, which the next leader silences, by a fence perhaps.
    LeftRecord,
    /// It was told to go at once.
    Forced,
    /// It was evicted.
    Evicted,
    /// It led, and could neither stop cleanly nor take its ballot back: whoever leads next silences that ballot. Mount
    /// anew with a fresh rid.
    Superseded,
}

/// Why a ballot was given up before it served.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GaveUp {
    /// Not enough votes in time.
    TooFewVotes,
    /// A higher ballot is live (rule R5).
    Higher(Ballot),
    /// The super block had moved past it (rules R6 and R8).
    Overtaken,
    /// A predecessor could not be silenced.
    FenceRefused(Ballot),
    /// A predecessor promises no lease and this host cannot fence.
    CannotFence(Ballot),
    /// A server was reached.
    ServerReached,
    /// Told to leave.
    Unmounting,
    /// The server could not start.
    ServerFailed,
}

/// How a predecessor was silenced (rule R7).
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Silenced {
    /// Its own block says that it gave the ballot up.
    Void,
    /// It stopped cleanly.
    Stopped,
    /// The platform confirmed its fence.
    Fenced,
    /// An earlier candidate had its fence confirmed, and says so in the log.
    FencedBefore,
    /// Its promised lease ran out.
    LeaseRanOut,
}

/// Something that is wrong.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The super block cannot be read.
    Super(SuperError),
    /// The device does not answer as it should.
    Disk {
        /// Where.
        first: BlockNo,
        /// Whether it was a write.
        write: bool,
        /// How it failed.
        error: DiskError,
    },
    /// A block of the quorum region is damaged; the next write goes there.
    DamagedBlock(BlockNo),
    /// An absurd term stands in the region; it is ignored.
    AbsurdTerm(BlockNo),
    /// The merged log has more entries than a block has room for: nobody can be elected.
    LogFull,
    /// Too many leftover entries to begin another candidacy: some 34 were elected and died before anybody served.
    LogAlmostFull,
    /// More voters are active than the volume admits: this one abstains.
    TooManyVoters {
        /// Voters active, at most [`PEERS_MAX`].
        active: u16,
    },
    /// Both copies of a block of the client table are invalid.
    TableDamaged(BlockNo),
    /// The volume has room for more clients than this server was given memory for.
    TableTooLarge {
        /// Clients the volume has room for.
        volume: u32,
        /// Clients this server has memory for.
        memory: u32,
    },
    /// The server cannot listen at its address.
    CannotListen(SocketAddr),
    /// The server refused the greeting.
    Refused(Status),
    /// The server knows the volume's key and speaks nothing that this mount speaks; it was told the same.
    ServerSpeaks(Offer),
    /// A peer knows the volume's key and speaks nothing that this server speaks; it was told the same.
    PeerSpeaks(Offer),
    /// Whoever answers at the server's address has not shown that it knows the volume's key.
    Unproven(SocketAddr),
    /// The right to act ran out: the server holds its answers back.
    LeaseRanOut,
}

const _: () = assert!(PEERS_MAX <= u16::MAX as usize);
