//! One state of the model: the device, what is in flight, and every process. Bytes only, so that millions fit.

use zerocopy::{Immutable, IntoBytes};

/// Processes that a state has room for.
pub const PROCESSES_MAX: usize = 3;
/// Region blocks that a state has room for.
pub const BLOCKS_MAX: usize = 5;
/// Ballots that a state has room for; ballot numbers begin at 1, so that sets of them fit in a byte.
pub const BALLOTS_MAX: usize = 7;
/// Late writes of dead processes that may be in flight at once.
pub const GHOSTS_MAX: usize = 2;

/// A set of ballots, one bit for each number.
pub type Ballots = u8;

/// A region block: a torn one is empty once W has passed (R10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct Block {
    /// Ballots of its log.
    pub log: Ballots,
    /// Those of them whose fence was confirmed.
    pub marks: Ballots,
    /// Ballots that its writer declares void.
    pub voids: Ballots,
    /// The writer's term; only under the 2019 rules, else 0.
    pub term: u8,
}

/// One copy of the super block. `fenced` is 0 for nothing, `2b - 1` for below ballot b, `2b` for up to b.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct Super {
    /// Sequence number; 0 stands for a copy that is not valid.
    pub seq: u8,
    /// Everything up to here is silent.
    pub fenced: u8,
    /// The ballot named as server, or 0.
    pub server: u8,
}

/// What a process is about to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(u8)]
pub enum Step {
    /// Reads the super block before a collect.
    #[default]
    Begin,
    /// Reads the region.
    Collect,
    /// Has merged, and chooses what to write where.
    Collected,
    /// Its region write is under way.
    Writing,
    /// Sealed: reads the super block (R6).
    AfterSeal,
    /// Silences its victims (R7).
    Press,
    /// Reads the super block again (R8).
    BeforeClaim,
    /// A write of the super block is under way.
    Update,
    /// Leads, and does nothing in the region.
    Idle,
    /// Reads the super block at the end of a look.
    EndLook,
    /// Stops, or failed to claim: reads the super block (R9, R3).
    Stopping,
}

/// Where a process stands with its ballot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(u8)]
pub enum Stage {
    /// Has none.
    #[default]
    Follow,
    /// Spreads it until it is sealed.
    Seal,
    /// Sealed; silences the predecessors.
    Silence,
    /// They are silent; claims the super block.
    Claim,
    /// Leads.
    Lead,
    /// Leads no longer.
    Stop,
}

/// What a process knows of one region block.
pub mod seen {
    /// Read in the collect under way.
    pub const READ: u8 = 1;
    /// Carried the own ballot in the collect before.
    pub const BEFORE: u8 = 2;
    /// Carries it in this one.
    pub const NOW: u8 = 4;
    /// Was not written between the two.
    pub const SAME: u8 = 8;
    /// Was written since it was last read.
    pub const CHANGED: u8 = 16;
    /// Holds the own last write.
    pub const MINE: u8 = 32;
    /// Held the own last write when it was read.
    pub const MINE_READ: u8 = 64;
}

/// One process: its memory is gone after a crash, and its slot is a new mount then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct Process {
    /// What it does next.
    pub step: Step,
    /// Where it stands.
    pub stage: Stage,
    /// Its identity, once it had a ballot: the number of its first.
    pub rid: u8,
    /// Its live ballot.
    pub own: u8,
    /// Its ballots up to this one are void.
    pub voided: u8,
    /// R8 was issued for `own`.
    pub claimed: bool,
    /// A whole collect that looked for `own` has completed.
    pub looked: bool,
    /// Under a lease: may act.
    pub right: bool,
    /// Under a lease: the look under way began too long ago.
    pub look_expired: bool,
    /// The second write of an update is still to come.
    pub second_due: bool,
    /// Everything up to here is trimmed, as last read.
    pub trimmed: u8,
    /// The merged log, or what the collect under way has shown.
    pub log: Ballots,
    /// Ballots whose fence it knows to be confirmed.
    pub marks: Ballots,
    /// Voids that the collect under way has shown.
    pub voids: Ballots,
    /// Predecessors to silence.
    pub victims: Ballots,
    /// The update under way, or the reading kept for one if R8 is switched off.
    pub update: Super,
    /// The copy that it goes to.
    pub copy: u8,
    /// The copy that this pass has read: 0 none, else its number plus 1.
    pub found_copy: u8,
    /// What it said.
    pub found: Super,
    /// The newest sequence number on the device when this reading began.
    pub newest: u8,
    /// The only valid copy of the pass before: 0 none, else its number plus 1.
    pub only_copy: u8,
    /// What it said.
    pub only: Super,
    /// Processes whose sealing collect ended after the look that gave the right began.
    pub right_before: u8,
    /// The same for the look under way.
    pub look_before: u8,
    /// Blocks left out of the collect under way.
    pub left_out: u8,
    /// Block that is being written, plus 1.
    pub writing: u8,
    /// Region writes with the own ballot in the log; only under the 2019 rules.
    pub cycles: u8,
    /// Highest term seen; only under the 2019 rules.
    pub term: u8,
    /// Readings in a row that did not name the ballot (R3).
    pub unnamed: u8,
    /// What it knows of each block.
    pub seen: [u8; BLOCKS_MAX],
}

/// A region write that outlives its process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct LateWrite {
    /// Block plus 1; 0 for none.
    pub at: u8,
    /// Who sent it.
    pub rid: u8,
    /// What it writes.
    pub block: Block,
}

/// A super block write that outlives its process, or that its process takes for failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct LateUpdate {
    /// Copy plus 1; 0 for none.
    pub at: u8,
    /// Under which ballot.
    pub ballot: u8,
    /// What it writes.
    pub update: Super,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct State {
    /// The processes.
    pub processes: [Process; PROCESSES_MAX],
    /// The region.
    pub blocks: [Block; BLOCKS_MAX],
    /// The copies of the super block.
    pub supers: [Super; 2],
    /// The rid of each ballot by its number; 0 if the ballot was never used.
    pub rids: [u8; BALLOTS_MAX + 1],
    /// Region writes that outlived their process.
    pub late: [LateWrite; GHOSTS_MAX],
    /// A super block write that did.
    pub late_update: LateUpdate,
    /// Torn region writes that may still happen.
    pub torn_left: u8,
    /// Late region writes that may still happen.
    pub late_left: u8,
    /// Torn writes of the super block that may still happen.
    pub torn_updates_left: u8,
    /// Super block writes that may still fail, or outlive their process.
    pub failing_updates_left: u8,
}

impl State {
    /// An empty device and processes that have just come.
    pub fn new(torn: u8, late: u8, torn_updates: u8, failing_updates: u8) -> Self {
        let first = Super {
            seq: 1,
            ..Super::default()
        };
        Self {
            processes: [Process::default(); PROCESSES_MAX],
            blocks: [Block::default(); BLOCKS_MAX],
            supers: [first; 2],
            rids: [0; BALLOTS_MAX + 1],
            late: [LateWrite::default(); GHOSTS_MAX],
            late_update: LateUpdate::default(),
            torn_left: torn,
            late_left: late,
            torn_updates_left: torn_updates,
            failing_updates_left: failing_updates,
        }
    }

    /// The newest valid state of the super block.
    pub fn newest(&self) -> Super {
        self.supers[0].max(self.supers[1])
    }
}

/// The numbers in a set of ballots.
pub fn members(ballots: Ballots) -> impl DoubleEndedIterator<Item = u8> {
    (1..=BALLOTS_MAX as u8).filter(move |&ballot| ballots & (1 << ballot) != 0)
}
