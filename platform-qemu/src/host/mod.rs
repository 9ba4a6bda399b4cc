//! The host: one loop that polls a mount, carries out what it asks, and halts while there is nothing to do.

mod words;

use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::config::Config;
use ostrakon_core::disk::DiskRequest;
use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId};
use ostrakon_core::noise::SEED_BYTES;
use ostrakon_core::server::{ClientSlot, ConnSlot, Memory};
use ostrakon_core::service::NoService;
use ostrakon_core::time::Instant;
use ostrakon_devices::{Exit, Net, NetSink, Room, TakeOnce};

use crate::control::{Control, Order};
use crate::disk::Disk;
use crate::fence::Fencer;
use crate::log::{Debug, debug, error, info, trace, warning};
use crate::machine::boot::stack_used;
use crate::machine::clock::Clock;
use crate::machine::exit::reset;
use crate::machine::interrupts;
use crate::machine::watchdog::Watchdog;

/// Clients that this node can serve: an appliance's few.
const CLIENTS: usize = 64;
/// Their connections, a few strangers and the node's own mount.
const CONNS: usize = CLIENTS + ostrakon_core::bounds::STRANGERS_MAX;

/// TCP sockets: connections, those that listen, and those that linger after they were closed.
pub(crate) const SOCKETS: usize = 40;

/// Their memory.
pub(crate) static SOCKET_ROOM: Room<SOCKETS> = Room::new();

/// Bytes offered to core at once.
const SCRATCH_BYTES: usize = 2 * MESSAGE_BYTES_MAX;

/// Looks at the control line before the end: whoever listens there wants the last words.
const LAST_WORDS_ATTEMPTS: u32 = 100_000;

static CLIENT_SLOTS: TakeOnce<[ClientSlot; CLIENTS]> = TakeOnce::new();
static CONN_SLOTS: TakeOnce<[ConnSlot; CONNS]> = TakeOnce::new();
static MOUNT: TakeOnce<Mount<StaticMemory, NoService>> = TakeOnce::new();

/// A server's memory, in statics.
struct StaticMemory {
    clients: &'static mut [ClientSlot; CLIENTS],
    conns: &'static mut [ConnSlot; CONNS],
}

impl Memory for StaticMemory {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        (self.clients, self.conns)
    }
}

/// Bytes of static memory that core needs here, its mount and its server's slots.
pub(crate) const CORE_BYTES: usize = size_of::<Mount<StaticMemory, NoService>>()
    + size_of::<[ClientSlot; CLIENTS]>()
    + size_of::<[ConnSlot; CONNS]>();

/// One mount on this machine, and the loop that drives it.
pub(crate) struct Host {
    clock: Clock,
    config: Config,
    mount: &'static mut Mount<StaticMemory, NoService>,
    disk: Disk,
    net: Net<SOCKETS>,
    control: Control,
    fencer: Fencer,
    watchdog: Option<Watchdog>,
    ended: Option<Unmounted>,
}

impl Host {
    /// Begins to mount; nothing happens before [`run`](Self::run). `seed` is drawn from the platform's entropy.
    pub(crate) fn start(
        clock: Clock,
        config: Config,
        seed: [u8; SEED_BYTES],
        disk: Disk,
        net: Net<SOCKETS>,
        control: Control,
        fencer: Fencer,
    ) -> Self {
        let memory = StaticMemory {
            clients: CLIENT_SLOTS.fill_each(ClientSlot::default),
            conns: CONN_SLOTS.fill_each(ConnSlot::default),
        };
        Self {
            mount: MOUNT.fill(|| Mount::new(clock.now(), config, seed, memory, NoService)),
            clock,
            config,
            disk,
            net,
            control,
            fencer,
            watchdog: None,
            ended: None,
        }
    }

    /// Lets a watchdog that runs reset this machine if the loop does not come round.
    pub(crate) fn guard_by(&mut self, watchdog: Watchdog) {
        self.watchdog = Some(watchdog);
    }

    /// Drives the mount until it has ended or cannot be driven any more.
    pub(crate) fn run(&mut self) -> Exit {
        loop {
            self.feed_watchdog();
            self.take_inputs();
            self.mount.poll(self.clock.now());
            self.give_outputs();
            if let Some(exit) = self.over() {
                let stack = stack_used();
                self.control.say(format_args!("event exit {exit:?} {stack}"));
                self.control.drain(LAST_WORDS_ATTEMPTS);
                info!(
                    "ends: {}; {} bytes of stack were used at most",
                    Debug(&exit),
                    stack
                );
                return exit;
            }
            let deadline = self.next_deadline();
            interrupts::sleep_until(&self.clock, deadline);
        }
    }

    /// Between two rounds nothing is decided that has not been given out, so that whoever comes round may be fed, with or
    /// without the right to act: a step that outlasts the right it was decided under is still within one round.
    fn feed_watchdog(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.turn(self.clock.now());
        }
    }

    /// Everything that has come in, before the mount may judge that a time has passed. Interrupts are acknowledged
    /// first: what comes after that interrupts anew.
    fn take_inputs(&mut self) {
        self.disk.acknowledge();
        self.net.acknowledge();
        self.take_orders();
        let (mount, clock) = (&mut *self.mount, self.clock);
        self.disk.turn(clock.now(), |id, outcome| {
            mount.handle_disk(clock.now(), id, outcome)
        });
        self.fencer.turn(clock.now(), |victim, outcome| {
            debug!("fence: {} {}", victim, Debug(&outcome));
            mount.handle_fence(clock.now(), victim, outcome);
        });
        let mut scratch = [0; SCRATCH_BYTES];
        self.net
            .turn(clock.now(), &mut scratch, &mut Sink { mount, clock });
    }

    fn take_orders(&mut self) {
        self.control.pump();
        while let Some(order) = self.control.next_order() {
            debug!("control: {}", Debug(&order));
            match order {
                Order::Unmount => self.mount.unmount(self.clock.now()),
                Order::Force => self.mount.force(self.clock.now()),
                Order::Panic => panic!("ordered on the control line"),
                Order::Hang => {
                    warning!("stands still: ordered on the control line");
                    loop {
                        interrupts::halt_for_good();
                    }
                }
                answer => self.fencer.hear(answer),
            }
        }
    }

    /// Step 2 of the order of calls, in its order: events, network, messages, fences, disk.
    fn give_outputs(&mut self) {
        while let Some(event) = self.mount.poll_event() {
            if let Event::Unmounted(how) = event {
                self.ended = Some(how);
            }
            words::tell(&event, &mut self.control);
        }
        self.give_net();
        while let Some(request) = self.mount.poll_fence(self.clock.now()) {
            self.fencer.begin(self.clock.now(), &request, &mut self.control);
        }
        while let Some(buffer) = self.disk.buffer() {
            let now = self.clock.now();
            match self.mount.poll_disk(now, buffer) {
                Some(request) => self.disk.submit(now, request),
                None => break,
            }
        }
        self.control.pump();
    }

    fn give_net(&mut self) {
        let clock = self.clock;
        // A connection that could not even be begun is told when all requests were taken.
        let mut refused: Option<(ConnId, CloseReason)> = None;
        while let Some(request) = self.mount.poll_net(clock.now()) {
            self.net
                .request(request, |conn, reason| refused = Some((conn, reason)));
            if let Some((conn, reason)) = refused.take() {
                self.mount.handle_closed(clock.now(), conn, reason);
            }
        }
        let mut message = [0; MESSAGE_BYTES_MAX];
        while let Some((conn, length)) = self.mount.poll_transmit(clock.now(), &mut message) {
            trace!("net: {} bytes for {}", length, Debug(&conn));
            if !self.net.transmit(conn, &message[..length]) {
                warning!("net: {} takes nothing any more", Debug(&conn));
                self.mount.handle_closed(clock.now(), conn, CloseReason::Failed);
            }
        }
        self.net.flush(clock.now());
    }

    fn over(&mut self) -> Option<Exit> {
        let now = self.clock.now();
        if self.disk.is_lost(now, self.config.write_time_max) {
            error!(
                "the disk is lost: a request is not answered, or all fail, for longer than a write may take"
            );
            return Some(Exit::DiskLost);
        }
        if self.net.is_lost(now) {
            error!("the network is lost: the card has been of no use for too long");
            return Some(Exit::NetworkLost);
        }
        let begins_anew = matches!(self.ended, Some(Unmounted::Evicted | Unmounted::Superseded));
        if begins_anew && self.mount.has_ended() {
            // Others go on without what this mount knew: it takes part again as another one.
            info!("begins anew");
            self.control.drain(LAST_WORDS_ATTEMPTS);
            reset();
        }
        let clean = match self.ended? {
            Unmounted::Farewell | Unmounted::Barrier | Unmounted::NeverMounted => Exit::Left,
            Unmounted::LeftRecord | Unmounted::Forced | Unmounted::Evicted | Unmounted::Superseded => {
                Exit::NotClean
            }
        };
        self.mount.has_ended().then_some(clean)
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        let due = [
            self.mount.next_deadline(),
            self.disk.next_deadline(self.config.write_time_max),
            self.net.next_deadline(now),
            self.fencer.next_deadline(),
            self.watchdog.as_ref().map(Watchdog::next_deadline),
        ];
        due.into_iter().flatten().min()
    }
}

/// The mount as the one who is told what came in from the network.
struct Sink<'a> {
    mount: &'a mut Mount<StaticMemory, NoService>,
    clock: Clock,
}

impl NetSink for Sink<'_> {
    fn listening(&mut self, listens: Result<(), CloseReason>) {
        self.mount.handle_listening(self.clock.now(), listens);
    }
    fn accept(&mut self) -> Option<ConnId> {
        self.mount.handle_accept(self.clock.now())
    }
    fn connected(&mut self, conn: ConnId) {
        self.mount.handle_connected(self.clock.now(), conn);
    }
    fn closed(&mut self, conn: ConnId, reason: CloseReason) {
        self.mount.handle_closed(self.clock.now(), conn, reason);
    }
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize {
        let consumed = self.mount.handle_bytes(self.clock.now(), conn, bytes);
        trace!(
            "net: {} takes {} of {} bytes",
            Debug(&conn),
            consumed,
            bytes.len()
        );
        consumed
    }
}

const _: () = assert!(
    size_of::<DiskRequest>() <= 64,
    "requests are copied into the table of those under way"
);
