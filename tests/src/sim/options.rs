//! The options of a random run, all drawn from its seed: a swarm, so that each run is extreme in its own way.

mod show;

use super::clock::Time;
use super::core_first::CoreFirst;
use super::dice::Dice;
use super::machine::Rules;

/// A range of times in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Time, pub Time);

impl Span {
    /// A time from this range.
    pub fn draw(self, dice: &mut Dice) -> Time {
        dice.between(self.0, self.1)
    }
}

/// How the disk behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskProfile {
    /// Time of an ordinary request.
    pub latency: Span,
    /// Requests that stall, in parts per million.
    pub stall_ppm: u32,
    /// For how long.
    pub stall: Span,
    /// Requests that fail.
    pub error_ppm: u32,
    /// Writes that land, and reads that look, in pieces.
    pub split_ppm: u32,
    /// Acknowledged region writes that never land.
    pub lost_ppm: u32,
    /// Region writes that land elsewhere in the region.
    pub misdirected_ppm: u32,
    /// Failing region writes that are torn.
    pub torn_error_ppm: u32,
    /// A write that is torn leaves garbage in a sector, which A1 rules out: only stories of devices worse than that want it.
    pub spoils_sectors: bool,
}

impl DiskProfile {
    /// Nothing goes wrong.
    pub const fn healthy(latency: Span) -> Self {
        Self {
            latency,
            stall_ppm: 0,
            stall: Span(0, 0),
            error_ppm: 0,
            split_ppm: 200_000,
            lost_ppm: 0,
            misdirected_ppm: 0,
            torn_error_ppm: 0,
            spoils_sectors: false,
        }
    }
}

/// How the network behaves while no link is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetProfile {
    /// One way.
    pub delay: Span,
    /// Messages that arrive in pieces.
    pub split_ppm: u32,
}

/// What a confirmed fence does to its victim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FenceKind {
    /// The process is killed.
    KillProcess,
    /// The machine is powered off, whatever boot of it is running.
    PowerOff,
    /// The process is cut from the disk and goes on running.
    CutDisk,
}

/// How the fence service behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FenceProfile {
    /// What it does.
    pub kind: FenceKind,
    /// Until it has acted.
    pub delay: Span,
    /// From having acted to saying so.
    pub report: Span,
    /// Requests that are refused.
    pub refuse_ppm: u32,
    /// Requests that act but report a failure.
    pub false_alarm_ppm: u32,
    /// Requests that are not answered before the time-out, whether they act or not.
    pub hang_ppm: u32,
}

impl FenceProfile {
    /// Always acts, and says so.
    pub const fn reliable(kind: FenceKind, delay: Span) -> Self {
        Self {
            kind,
            delay,
            report: Span(0, 1_000),
            refuse_ppm: 0,
            false_alarm_ppm: 0,
            hang_ppm: 0,
        }
    }
}

/// How leaders are silenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// Every host can fence, nobody promises a lease.
    Fence,
    /// Nobody can fence, every host promises a lease of so many milliseconds.
    Lease(u64),
    /// Every host promises a lease, and every other one can fence.
    Both(u64),
}

impl Silence {
    /// Whether anybody relies on time.
    pub const fn has_lease(self) -> bool {
        !matches!(self, Self::Fence)
    }
}

/// Things that chaos does, in the order of [`Chaos::weights`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names are the verbs of `World`")]
pub enum Mischief {
    Crash,
    CrashLeader,
    CrashInWrite,
    PowerOff,
    Restart,
    Pause,
    PauseLeader,
    FreezeInWrite,
    Resume,
    Isolate,
    IsolateLeader,
    CutLink,
    Heal,
    ResetConnection,
    LoseDisk,
    FindDisk,
    RotRegion,
    RotSuper,
    RotTable,
    BadMedium,
    JumpClock,
    Stranger,
    Flood,
    Unmount,
    Force,
    Request,
    Impostor,
}

impl Mischief {
    /// All of them, in the order of [`Chaos::weights`].
    pub const ALL: [Self; 27] = [
        Self::Crash,
        Self::CrashLeader,
        Self::CrashInWrite,
        Self::PowerOff,
        Self::Restart,
        Self::Pause,
        Self::PauseLeader,
        Self::FreezeInWrite,
        Self::Resume,
        Self::Isolate,
        Self::IsolateLeader,
        Self::CutLink,
        Self::Heal,
        Self::ResetConnection,
        Self::LoseDisk,
        Self::FindDisk,
        Self::RotRegion,
        Self::RotSuper,
        Self::RotTable,
        Self::BadMedium,
        Self::JumpClock,
        Self::Stranger,
        Self::Flood,
        Self::Unmount,
        Self::Force,
        Self::Request,
        Self::Impostor,
    ];

    /// Those that every run draws a weight for. The others came later, and only some runs have them, one at a time: see [`Options::draw_extras`].
    const USUAL: usize = 26;
}

impl Mischief {
    /// Whether it may end a leader that has not served yet, and leave its entry in the log.
    pub const fn kills(self) -> bool {
        matches!(
            self,
            Self::Crash | Self::CrashLeader | Self::CrashInWrite | Self::PowerOff | Self::Force
        )
    }
}

/// How often chaos strikes, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chaos {
    /// From one strike to the next.
    pub every: Span,
    /// How likely each mischief is, beside the others.
    pub weights: [u32; Mischief::ALL.len()],
}

/// Chaos is longer in one run of so many. More of them would see more successions, and make the whole slower.
const LONGER_ONE_IN: u64 = 8;

/// By the time of so many successions.
const SUCCESSIONS: u64 = 2;

/// In larger worlds a second of chaos costs too much.
const LONGER_HOSTS_MAX: usize = 6;

/// Chaos ends after so many events: on a fast disk there is no end of them, and a tenth of the runs took a third of the time.
pub(super) const CHAOS_EVENTS: u64 = 15_000;

/// Except in one run of so many.
const ENDLESS_ONE_IN: u64 = 16;

/// One run of so many has a mischief that is not usual.
const RARE_ONE_IN: u64 = 8;

/// Makes another seed of a seed.
const EXTRAS: u64 = 0x65_78_74_72_61_73;

/// Everything that is decided before a run begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whose rules the mounts follow.
    pub rules: Rules,
    /// Hosts that are voters; they have the lowest numbers.
    pub voters: usize,
    /// Hosts that are plain clients.
    pub clients: usize,
    /// Votes that elect, right or foolish.
    pub quorum_count: u16,
    /// Clients that the volume has room for.
    pub clients_max: u32,
    /// W, and every request's limit.
    pub write_time_max_ms: u64,
    /// Blocks in a request.
    pub transfer_blocks: u32,
    /// A peer not heard for this long is disconnected.
    pub silence_max_ms: u64,
    /// A known client that does not return in time is evicted.
    pub recovery_ms: u64,
    /// An unmount that waits longer for a quorum leaves its record behind, if that is not to wait for ever.
    pub unmount_time_max_ms: Option<u64>,
    /// One fence time-out.
    pub fence_time_max_ms: u64,
    /// How leaders are silenced.
    pub silence: Silence,
    /// The disk.
    pub disk: DiskProfile,
    /// The network.
    pub net: NetProfile,
    /// The fence service.
    pub fence: FenceProfile,
    /// Clocks run at rates up to so far from the true one, either way.
    pub drift_ppm_max: u64,
    /// A host that listens where nobody can reach it.
    pub unreachable: Option<usize>,
    /// Hosts start within this time.
    pub start_within_ms: u64,
    /// A dead host is restarted after a time in this range, if any.
    pub restart_after: Option<Span>,
    /// Chaos, while it lasts.
    pub chaos: Chaos,
    /// How long it lasts.
    pub chaos_ms: u64,
    /// Of that, what was added so that several successions fit.
    pub longer_ms: u64,
    /// It ends after so many events, however much of its time is left.
    pub chaos_events: u64,
    /// Faults stop for a core quorum first.
    pub core_first: Option<CoreFirst>,
}

impl Options {
    /// Draws everything. Most runs are small and short, so that there are many of them: what goes wrong at all goes
    /// wrong between few hosts. Some are as large and as long as the design allows.
    pub fn draw(dice: &mut Dice) -> Self {
        let voters = match dice.below(80) {
            0..=3 => 1,
            4..=31 => 2,
            32..=69 => 3,
            70..=78 => dice.between(4, 6) as usize,
            _ => dice.between(7, 16) as usize,
        };
        let clients = match dice.below(400) {
            0..=219 => 0,
            220..=379 => dice.between(1, 4) as usize,
            380..=396 => dice.between(5, 12) as usize,
            397..=398 => dice.between(20, 80) as usize,
            _ => dice.between(100, 300) as usize,
        };
        let chaos_ms = match dice.below(12) {
            0 => dice.scattered(8_000, 40_000),
            _ => dice.scattered(500, 8_000),
        };
        let majority = voters as u64 / 2 + 1;
        let quorum_count = match dice.below(10) {
            0..=5 => majority,
            6..=7 => 1,
            8 => dice.between(1, voters as u64),
            _ => dice.between(1, voters as u64 + 1),
        } as u16;
        let write_time_max_ms = dice.scattered(400, 6_000);
        let disk = draw_disk(dice, write_time_max_ms * 1_000);
        let transfer_blocks = dice.pick(&[64, 64, 64, 16, 8, 1]).unwrap_or(64);
        // A lease that is shorter than a few looks at the region is never held: nobody would choose it.
        let look_ms = disk.latency.1 * (64 / u64::from(transfer_blocks) + 4) / 1_000;
        let lease_ms = dice.scattered(400, 8_000) + 8 * look_ms;
        let silence = match dice.below(10) {
            0..=6 => Silence::Fence,
            7..=8 => Silence::Lease(lease_ms),
            _ => Silence::Both(lease_ms),
        };
        Self {
            rules: Rules::Ours,
            voters,
            clients,
            quorum_count,
            clients_max: (voters + clients) as u32 + dice.between(40, 160) as u32,
            write_time_max_ms,
            transfer_blocks,
            silence_max_ms: dice.between(1_000, 5_000),
            recovery_ms: dice.between(4_000, 12_000),
            unmount_time_max_ms: None,
            fence_time_max_ms: dice.between(2_000, 20_000),
            silence,
            disk,
            net: draw_net(dice),
            fence: draw_fence(dice),
            drift_ppm_max: dice.pick(&[0, 50, 450]).unwrap_or(0),
            unreachable: (voters > 1 && dice.one_in(20)).then(|| dice.below(voters as u64) as usize),
            start_within_ms: dice.scattered(1, 3_000),
            restart_after: dice
                .one_in(2)
                .then(|| Span(dice.between(1_000, 100_000), dice.between(100_000, 5_000_000))),
            chaos: draw_chaos(dice),
            // Long enough for a lease to run out, and for another one to be waited for.
            chaos_ms: chaos_ms
                + match silence {
                    Silence::Fence => 0,
                    Silence::Lease(ms) | Silence::Both(ms) => 2 * (ms + write_time_max_ms),
                },
            longer_ms: 0,
            chaos_events: CHAOS_EVENTS,
            core_first: None,
        }
    }

    /// Draws what only some runs have. The dice are others than those of the run itself: whatever is added here, a run that gets
    /// nothing of it stays what it was.
    pub fn draw_extras(&mut self, seed: u64) {
        let mut dice = Dice::new(seed ^ EXTRAS);
        let core_first = dice.one_in(4);
        let plan = CoreFirst::draw(&mut dice, self.voters);
        self.core_first = core_first.then_some(plan);
        if dice.one_in(LONGER_ONE_IN) && self.hosts() <= LONGER_HOSTS_MAX {
            self.longer_ms = SUCCESSIONS * self.succession_ms();
            self.chaos_ms += self.longer_ms;
        }
        if dice.one_in(ENDLESS_ONE_IN) {
            self.chaos_events = u64::MAX;
        }
        if dice.one_in(RARE_ONE_IN) {
            let weight = dice.scattered(5, 60) as u32;
            // Mounts of 2019 believe whoever answers, and never promised more.
            if self.rules == Rules::Ours {
                self.chaos.weights[Mischief::Impostor as usize] = weight;
            }
        }
        if dice.one_in(RARE_ONE_IN) {
            self.unmount_time_max_ms = Some(dice.scattered(100, 30_000));
        }
    }

    /// Time that a succession takes if little goes wrong: the leader is missed, silenced and followed.
    fn succession_ms(&self) -> u64 {
        let lease = match self.silence {
            Silence::Fence => 0,
            Silence::Lease(ms) | Silence::Both(ms) => ms,
        };
        self.silence_max_ms + 2 * self.write_time_max_ms + self.fence.delay.1 / 1_000 + lease
    }

    /// Every host, voters first.
    pub const fn hosts(&self) -> usize {
        self.voters + self.clients
    }
}

fn draw_disk(dice: &mut Dice, write_time_max: Time) -> DiskProfile {
    let fast = dice.scattered(20, 4_000);
    let slow = (fast * dice.between(1, 10))
        .min(40_000)
        .min(write_time_max / 10)
        .max(fast);
    let sometimes = |dice: &mut Dice, most: u64| {
        if dice.one_in(2) {
            0
        } else {
            dice.scattered(10, most) as u32
        }
    };
    DiskProfile {
        latency: Span(fast, slow),
        stall_ppm: sometimes(dice, 20_000),
        stall: Span(slow, dice.scattered(10_000, 2 * write_time_max).max(slow)),
        error_ppm: sometimes(dice, 5_000),
        split_ppm: dice.scattered(1_000, 700_000) as u32,
        lost_ppm: sometimes(dice, 10_000),
        misdirected_ppm: sometimes(dice, 10_000),
        torn_error_ppm: sometimes(dice, 10_000),
        spoils_sectors: false,
    }
}

fn draw_net(dice: &mut Dice) -> NetProfile {
    let fast = dice.scattered(20, 5_000);
    NetProfile {
        delay: Span(fast, fast * dice.between(1, 20)),
        split_ppm: dice.between(0, 600_000) as u32,
    }
}

fn draw_fence(dice: &mut Dice) -> FenceProfile {
    let fast = dice.scattered(1_000, 3_000_000);
    let sometimes = |dice: &mut Dice| {
        if dice.one_in(2) {
            0
        } else {
            dice.between(0, 400_000) as u32
        }
    };
    FenceProfile {
        kind: dice
            .pick(&[FenceKind::KillProcess, FenceKind::PowerOff, FenceKind::CutDisk])
            .unwrap_or(FenceKind::KillProcess),
        delay: Span(fast / 2, fast),
        report: Span(0, dice.scattered(100, 1_000_000)),
        refuse_ppm: sometimes(dice),
        false_alarm_ppm: sometimes(dice),
        hang_ppm: sometimes(dice),
    }
}

fn draw_chaos(dice: &mut Dice) -> Chaos {
    let fast = dice.scattered(20_000, 2_000_000);
    let mut weights = [0; Mischief::ALL.len()];
    for (weight, mischief) in weights.iter_mut().zip(Mischief::ALL).take(Mischief::USUAL) {
        *weight = match mischief {
            // What has been broken has to come back some time, or the run is over early.
            Mischief::Restart | Mischief::Resume | Mischief::Heal | Mischief::FindDisk => {
                dice.between(20, 100) as u32
            }
            // Ends processes for good: rarely.
            Mischief::Unmount | Mischief::Force => dice.between(0, 15) as u32,
            _ if dice.one_in(2) => 0,
            _ => dice.scattered(1, 60) as u32,
        };
    }
    Chaos {
        every: Span(fast / 4, fast),
        weights,
    }
}
