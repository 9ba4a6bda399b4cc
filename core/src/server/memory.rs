//! Memory of a server, supplied by the platform: firmware picks eight clients, Linux tens of thousands.

use crate::bounds::{STRANGERS_LIMIT, STRANGERS_MAX};
use crate::format::ClientRecord;
use crate::format::wire::{RequestId, Status};
use crate::noise::Responder;
use crate::session::Window;
use crate::time::Instant;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Standing {
    /// The slot is free.
    #[default]
    Free,
    /// Greeted; its record is not durable yet.
    Arriving,
    /// Its record is durable. It may be connected or away.
    Mounted,
    /// Evicted, but its voter's place stays taken.
    Ghost,
    /// Gone; that its record is gone is not durable yet.
    Leaving,
}

/// What the server keeps for one client. Slot `i` is place `i` of the client table.
#[derive(Clone, Debug, Default)]
pub struct ClientSlot {
    pub(super) record: Option<ClientRecord>,
    pub(super) window: Window,
    /// The number of its farewell; 0 while it has not said it.
    pub(super) farewell: RequestId,
    /// Since when it has no connection.
    pub(super) away_since: Instant,
    /// Its connection's slot, or [`NONE`].
    pub(super) conn: u32,
    pub(super) standing: Standing,
    /// Known from before this server began, and not heard of yet.
    pub(super) expected: bool,
    /// Its change is in the group that is being written.
    pub(super) in_this_group: bool,
    /// Its change waits for the next group.
    pub(super) in_next_group: bool,
    /// What is known of the table block that begins with this slot; unused in the others.
    pub(super) block: BlockMarks,
    /// Where the search for a client begins: see `index`.
    pub(super) links: Links,
}

/// The links of the index of clients by rid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// First client whose rid falls on this slot, or [`NONE`]. It belongs to the slot, not to the client in it.
    pub(super) bucket: u32,
    /// The next client that falls on the same slot as this one, or [`NONE`].
    pub(super) next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            bucket: NONE,
            next: NONE,
        }
    }
}

/// What is known of a block of the client table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockMarks {
    /// It is in the group that is being written.
    pub(super) in_this_group: bool,
    /// It waits for the next group.
    pub(super) in_next_group: bool,
    /// The copy to write first is the second one: the first one is the newer.
    pub(super) second_first: bool,
}

impl ClientSlot {
    /// Whether it counts as mounted, for everyone who unmounts.
    pub(super) const fn is_mounted(&self) -> bool {
        matches!(self.standing, Standing::Arriving | Standing::Mounted)
    }

    /// What belongs on the device for it.
    pub(super) fn durable(&self) -> Option<ClientRecord> {
        match self.standing {
            Standing::Free | Standing::Leaving => None,
            Standing::Arriving | Standing::Mounted | Standing::Ghost => self.record,
        }
    }

    /// Takes up a record; a block that begins here keeps its marks, and the index its links.
    pub(super) fn fill(&mut self, record: Option<ClientRecord>, standing: Standing) {
        *self = Self {
            record,
            standing,
            conn: NONE,
            block: self.block,
            links: self.links,
            ..Self::default()
        };
    }

    /// Forgets the client.
    pub(super) fn clear(&mut self) {
        self.fill(None, Standing::Free);
    }

    /// Whether it takes part in an election when it loses this server: as a voter, or, if it was turned down, by the gate.
    pub(super) fn is_elector(&self) -> bool {
        self.record
            .is_some_and(|record| record.voter || record.addr.is_some())
    }

    /// Wanted to be a voter, and found no place: only greetings of voters have an address.
    pub(super) fn was_turned_down(&self) -> bool {
        let plain = self
            .record
            .is_some_and(|record| !record.voter && record.addr.is_some());
        plain && self.standing == Standing::Mounted && self.conn != NONE && self.farewell == RequestId(0)
    }

    /// Whether it may be told that it is a voter: not while the place that it was given is not durable yet. If the power failed,
    /// the next server would give it to somebody else.
    pub(super) fn may_vote(&self) -> bool {
        let changing = self.in_this_group || self.in_next_group;
        self.has_voters_place() && !(changing && self.standing == Standing::Mounted)
    }

    pub(super) fn has_voters_place(&self) -> bool {
        self.record.is_some_and(|record| record.voter)
    }
}

/// What a connection is to the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Role {
    /// None.
    #[default]
    Free,
    /// Has not shown that it knows the volume's key.
    Stranger,
    /// Knows the key; has not greeted, or was refused.
    Guest,
    /// Belongs to a client.
    Client,
    /// Belonged to a client that is gone; it may fetch its answer.
    Leaver,
    /// To be closed.
    Closing,
}

/// The queues that a connection can stand in, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Queue {
    #[default]
    None,
    Free,
    /// It was welcomed, and has something to hear.
    Inside,
    /// It has something to hear, and is at the door.
    Ready,
    /// It waits for the costly half of the handshake.
    Keyless,
    Closing,
}

/// Messages that are due on a connection. Each kind at most once, so that nobody can make the server keep more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Due {
    pub(super) challenge: bool,
    pub(super) reply: bool,
    pub(super) refusal: bool,
    pub(super) welcome: bool,
    pub(super) farewell: bool,
    pub(super) answers: bool,
    pub(super) ping: bool,
    pub(super) pong: bool,
    pub(super) resigning: bool,
}

/// What the server keeps for one connection.
#[derive(Clone, Debug, Default)]
pub struct ConnSlot {
    /// Since when it is open; of a client's or guest's connection, when it was last heard.
    pub(super) heard: Instant,
    /// The number of the farewell that is answered on it.
    pub(super) farewell: RequestId,
    /// Its client's slot, or [`NONE`].
    pub(super) client: u32,
    pub(super) previous: u32,
    pub(super) next: u32,
    /// Its neighbours among the strangers, while it is one.
    pub(super) older: u32,
    /// See `older`.
    pub(super) younger: u32,
    pub(super) role: Role,
    pub(super) queue: Queue,
    pub(super) due: Due,
    /// What a refusal says.
    pub(super) refusal: Option<Status>,
    /// Whether its welcome says that the client was known.
    pub(super) known: bool,
    /// After how much silence it was told to ping; 0 before it was told.
    pub(super) ping_ms: u16,
    /// What makes of bytes messages, and the other way round.
    pub(super) line: Responder,
}

const _: () = assert!(
    size_of::<ClientSlot>() + size_of::<ConnSlot>() <= 512,
    "the memory of one client stays within half a kilobyte"
);

/// Memory of a server. A volume formatted for more clients than there are slots is refused when it starts.
pub trait Memory {
    /// The slots for clients and for connections. Neither their lengths nor their contents ever change but
    /// through the server. The last slot for a connection is kept for the server's own mount. Not called before this
    /// mount leads for the first time: memory may be found then.
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]);
}

/// Connections that may be there without having shown that they know the key, where memory is no matter: after a fail-over
/// all clients come at once, and each takes a place for a round trip.
pub const fn strangers_for(clients: usize) -> usize {
    match clients / 8 {
        few if few < STRANGERS_MAX => STRANGERS_MAX,
        many if many > STRANGERS_LIMIT => STRANGERS_LIMIT,
        some => some,
    }
}

/// Memory of a size known at compile time. `CONNS` should be `CLIENTS` and [`crate::bounds::STRANGERS_MAX`] more: more
/// than that where many may come at once, fewer where memory is short. So many connections wait at once until they have
/// shown that they know the key; with fewer, clients that come at once come in one after the other, and slower while
/// strangers crowd the door. The last slot is kept for the server's own mount.
#[derive(Clone, Debug)]
pub struct FixedMemory<const CLIENTS: usize, const CONNS: usize> {
    clients: [ClientSlot; CLIENTS],
    conns: [ConnSlot; CONNS],
}

impl<const CLIENTS: usize, const CONNS: usize> Default for FixedMemory<CLIENTS, CONNS> {
    fn default() -> Self {
        Self {
            clients: core::array::from_fn(|_| ClientSlot::default()),
            conns: core::array::from_fn(|_| ConnSlot::default()),
        }
    }
}

impl<const CLIENTS: usize, const CONNS: usize> Memory for FixedMemory<CLIENTS, CONNS> {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut self.clients, &mut self.conns)
    }
}

/// Memory of a plain client: it never serves.
impl Memory for () {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (&mut [], &mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FenceParam;
    use crate::ids::{BootId, HostId, Rid};

    /// A client that wants to vote, or not, and has a voter's place, or not.
    fn client(wants: bool, voter: bool) -> ClientSlot {
        let mut client = ClientSlot::default();
        let record = ClientRecord {
            rid: Rid::new(7).unwrap(),
            barrier: 0,
            voter,
            evicted: false,
            host: HostId(0),
            boot: BootId::default(),
            addr: wants.then(|| core::net::SocketAddr::from(([10, 0, 0, 7], 7000))),
            fence_param: FenceParam::default(),
        };
        client.fill(Some(record), Standing::Mounted);
        client
    }

    #[test]
    fn whoever_wants_to_vote_takes_part_in_elections_with_a_place_or_without() {
        // Wants to vote, has a place => takes part.
        for (wants, voter, elects) in [
            (false, false, false),
            (true, false, true),
            (true, true, true),
            (false, true, true),
        ] {
            assert_eq!(client(wants, voter).is_elector(), elects, "{wants} {voter}");
        }
        assert!(!ClientSlot::default().is_elector());
    }

    #[test]
    fn a_place_is_offered_to_one_who_wants_it_is_there_and_stays() {
        let here = |wants, voter| ClientSlot {
            conn: 3,
            ..client(wants, voter)
        };
        assert!(here(true, false).was_turned_down());
        assert!(!here(false, false).was_turned_down(), "it never asked");
        assert!(!here(true, true).was_turned_down(), "it has one");
        assert!(!client(true, false).was_turned_down(), "it is away");
        let leaves = ClientSlot {
            farewell: RequestId(9),
            ..here(true, false)
        };
        assert!(!leaves.was_turned_down());
        for standing in [Standing::Arriving, Standing::Leaving] {
            let comes_or_goes = ClientSlot {
                standing,
                ..here(true, false)
            };
            assert!(!comes_or_goes.was_turned_down(), "{standing:?}");
        }
    }

    #[test]
    fn a_place_may_be_told_of_when_it_is_durable() {
        // Changes in this group, in the next one => may be told.
        for (this, next, told) in [
            (false, false, true),
            (true, false, false),
            (false, true, false),
            (true, true, false),
        ] {
            let given = ClientSlot {
                in_this_group: this,
                in_next_group: next,
                ..client(true, true)
            };
            assert_eq!(given.may_vote(), told, "{this} {next}");
            // That one goes takes no place from it: it may still vote.
            let goes = ClientSlot {
                standing: Standing::Ghost,
                ..given
            };
            assert!(goes.may_vote());
        }
        assert!(!client(true, false).may_vote());
    }
}
