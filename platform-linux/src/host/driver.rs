//! The loop: waits for input, hands all of it to the mount, polls it once, carries out what it asks.

use std::fmt;
use std::io;
use std::sync::Arc;

use mio::{Events, Poll, Token, Waker};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::config::Config;
use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId};
use ostrakon_core::server::Memory;
use ostrakon_core::service::Service;
use ostrakon_core::time::{Duration, Instant};

use super::{Guard, HeapMemory, HookCommands, Hooks, HostEvent, Notice, Order, Orders};
use crate::disk::{BlockIo, Caching, DeviceFile, IoError, Outcome, Pool};
use crate::fence::{Fencer, Means};
use crate::net::{NET_TOKENS, Net, NetSink};
use crate::program::{Ending, ProgramOptions, Runner};
use crate::runtime::MountLock;
use crate::{clock, entropy};

const WAKER: Token = Token(0);
const _: () = assert!(WAKER.0 < NET_TOKENS);

/// Socket events taken from the system at once.
const EVENTS_MAX: usize = 1024;

/// Batches of socket events taken before the mount is polled, beyond what its connections may say at once: with more, those
/// who flood would keep it from looking at the time at all.
const BATCHES_MAX: usize = 8;

/// Messages given to the network in one turn: a crowd that is to be told its keys must not keep the mount from everything else.
const MESSAGES_PER_TURN: usize = 256;

/// How long a mount that is forced out waits until its program, which was killed, is gone. Its keeper goes on alone.
const KILLED_TIME: Duration = Duration::from_secs(1);

/// The longest wait: bounds what a deadline far ahead, or none, makes of a time-out.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Waits of this length are rest: no election is held, nobody comes or goes, and buffers for that are not kept.
const REST_MIN: Duration = Duration::from_millis(250);

/// What a host is started with.
pub struct HostOptions {
    /// The mount's configuration.
    pub config: Config,
    /// The device, open for reading and writing.
    pub device: DeviceFile,
    /// The lock by which this host's other mounts know that this one lives. Released when the last disk request
    /// has ended, even one that outlives the host.
    pub lock: MountLock,
    /// Memory for the clients, if this mount is a voter.
    pub memory: HeapMemory,
    /// What a voter fences with.
    pub means: Option<Means>,
    /// Orders from other threads.
    pub orders: Orders,
    /// A program to run while this mount leads.
    pub program: Option<ProgramOptions>,
    /// What ends a leader that promises a lease before it acts past its right.
    pub guard: Option<Guard>,
    /// Commands that are run when something happens to this mount.
    pub hooks: HookCommands,
    /// To be called by the loop about this often, as a sign that it turns.
    pub heartbeat: Option<Heartbeat>,
}

/// A sign of life: how often, and what is called.
pub type Heartbeat = (Duration, Box<dyn FnMut()>);

/// Why a host could not start.
#[derive(Debug)]
pub struct StartError(io::Error);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system grants no thread or event queue: {}", self.0)
    }
}

impl std::error::Error for StartError {}

/// The device of one mount, and the lock that lives as long as anybody may touch it.
struct LockedDevice {
    device: DeviceFile,
    lock: MountLock,
}

impl BlockIo for LockedDevice {
    fn read(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError> {
        self.device.read_at(first, bytes)
    }
    fn write(&self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<(), IoError> {
        self.device.write_at(first, bytes, durable)
    }
    fn flush(&self) -> Result<(), IoError> {
        self.device.flush()
    }
}

/// One mount on this machine, and the loop that drives it.
pub struct Host<S> {
    mount: Mount<HeapMemory, S>,
    poll: Poll,
    net: Net,
    pool: Pool,
    device: Arc<LockedDevice>,
    fencer: Option<Fencer>,
    runner: Option<Runner>,
    guard: Option<Guard>,
    hooks: Option<Hooks>,
    heartbeat: Option<Heartbeat>,
    heartbeat_at: Instant,
    /// Until when a program that was killed by force is waited for.
    killed_by: Instant,
    /// The program came a step further: the mount is to be polled again at once.
    program_moved: bool,
    /// The mount may have more to say: it is asked again in the next turn, at once.
    unsaid: bool,
    orders: Orders,
    obeyed: Order,
    message: Box<[u8]>,
    /// To be told before core's next events.
    news: Vec<HostEvent>,
    /// Steps of the mount's life that were told already, by whoever noticed first.
    told: Vec<Event>,
    last_disk_error: Option<String>,
    ended: Option<Unmounted>,
}

impl<S: Service> Host<S> {
    /// Begins to mount; nothing happens before [`run`](Self::run).
    ///
    /// # Errors
    /// The system's, if it grants no threads or no event queue.
    pub fn start(options: HostOptions, service: S) -> Result<Self, StartError> {
        let HostOptions {
            config,
            device,
            lock,
            memory,
            means,
            orders,
            program,
            guard,
            hooks,
            heartbeat,
        } = options;
        let poll = Poll::new().map_err(StartError)?;
        let registry = poll.registry().try_clone().map_err(StartError)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError)?;
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            // A full counter has been told already, which is the only way this fails.
            let _ = waker.wake();
        });
        orders.set_wake(Arc::clone(&wake));
        // The volume was read to be given to this host, so its super block is believed already.
        let mut news = vec![HostEvent::Mount(Event::Started)];
        if device.caching() == Caching::PageCache {
            news.push(HostEvent::Notice(Notice::PageCache(device.path().to_owned())));
        }
        let environment = environment(&config, &means);
        let hooks = match hooks.is_empty() {
            true => None,
            false => {
                let started = Hooks::start(hooks, environment.clone(), Arc::clone(&wake));
                Some(started.map_err(StartError)?)
            }
        };
        let runner = match program {
            None => None,
            Some(program) => {
                Some(start_runner(program, &config, &environment, &lock, &wake).map_err(StartError)?)
            }
        };
        let device = Arc::new(LockedDevice { device, lock });
        let io = Arc::clone(&device) as Arc<dyn BlockIo>;
        let pool = Pool::start(io, config.transfer_blocks, Arc::clone(&wake)).map_err(StartError)?;
        Ok(Self {
            mount: Mount::new(clock::now(), config, entropy::bytes(), memory, service),
            poll,
            net: Net::new(registry),
            pool,
            device,
            fencer: means.map(|means| Fencer::new(means, wake)),
            runner,
            guard,
            hooks,
            heartbeat,
            heartbeat_at: Instant(0),
            killed_by: Instant(0),
            program_moved: false,
            unsaid: false,
            orders,
            obeyed: Order::Stay,
            message: vec![0; MESSAGE_BYTES_MAX].into(),
            news,
            told: Vec::new(),
            last_disk_error: None,
            ended: None,
        })
    }

    /// Drives the mount until it has ended, and says how. `tell` must not wait: while it does, the mount stands
    /// still, and a leader that stands still is deposed.
    ///
    /// # Errors
    /// The system's, if waiting for events fails: nothing can be driven then.
    pub fn run(&mut self, mut tell: impl FnMut(HostEvent)) -> io::Result<Unmounted> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut wait = Duration::ZERO;
        loop {
            self.take_inputs(&mut events, wait)?;
            self.mount.poll(clock::now());
            self.keep_program();
            self.tell_guard();
            self.beat();
            self.give_outputs(&mut tell);
            if let Some(how) = self.ended() {
                self.tell_guard();
                return Ok(how);
            }
            wait = self.next_wait();
            if wait >= REST_MIN {
                self.pool.rest();
            }
            self.guard.iter().for_each(Guard::end_round);
        }
    }

    /// Everything that has come in, before the mount may judge that a time has passed.
    fn take_inputs(&mut self, events: &mut Events, wait: Duration) -> io::Result<()> {
        let mut wait = wait;
        let batches = BATCHES_MAX + self.net.connections() / EVENTS_MAX;
        for _ in 0..batches {
            match self.poll.poll(events, Some(clock::std_duration(wait))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let ours = events.iter().filter(|event| event.token() != WAKER);
            ours.for_each(|event| self.net.ready(event));
            if events.iter().count() < EVENTS_MAX {
                break;
            }
            wait = Duration::ZERO;
        }
        self.guard.iter().for_each(Guard::begin_round);
        self.mount.set_unix_time(clock::unix_ms() / 1_000);
        self.take_orders();
        self.take_disk();
        self.take_fences();
        self.net.turn(clock::now(), &mut Sink(&mut self.mount));
        Ok(())
    }

    fn take_orders(&mut self) {
        let order = self.orders.standing();
        if order <= self.obeyed {
            return;
        }
        match order {
            Order::Stay => {}
            Order::Unmount => {
                self.news.push(HostEvent::Mount(Event::Unmounting));
                if !self.program_left() {
                    // Comes back here when the program is gone: until then this mount is needed.
                    return;
                }
                self.mount.unmount(clock::now());
            }
            Order::Force => {
                self.mount.force(clock::now());
                self.killed_by = clock::now() + KILLED_TIME;
                self.runner.iter_mut().for_each(Runner::kill);
            }
        }
        self.obeyed = order;
    }

    /// Has the program ended for good; says whether it is.
    fn program_left(&mut self) -> bool {
        self.runner.as_mut().is_none_or(Runner::leave)
    }

    /// Starts the program, ends it, and holds the ballot while anything of it is left.
    fn keep_program(&mut self) {
        let now = clock::now();
        let leads = self.mount.leads(now);
        let hooked = self.hooks.as_mut().is_some_and(|hooks| hooks.step(leads));
        while let Some(report) = self.hooks.as_mut().and_then(Hooks::poll_report) {
            self.program_moved = true;
            self.news.push(HostEvent::Notice(Notice::Hook(report)));
        }
        let Some(runner) = &mut self.runner else {
            return self.mount.hold_leadership(hooked);
        };
        for signal in self.orders.take_signals() {
            runner.signal(signal);
        }
        let wants = runner.step(now, leads, self.mount.right_until(now));
        while let Some(event) = runner.poll_event() {
            self.program_moved = true;
            self.news.push(HostEvent::Notice(Notice::Program(event)));
        }
        if wants.broken {
            // Whatever it ran is dead or dying, and nobody can say when the last of it is gone. The lock says so to others.
            eprintln!("ostrakon: the keeper of the program is gone; this mount ends with it");
            std::process::abort();
        }
        self.mount.hold_leadership(wants.hold || hooked);
        if wants.resign {
            self.mount.resign(now);
        }
        if wants.leave {
            self.orders.give(Order::Unmount);
        }
    }

    fn beat(&mut self) {
        let now = clock::now();
        if let Some((interval, beat)) = self.heartbeat.as_mut().filter(|_| now >= self.heartbeat_at) {
            self.heartbeat_at = now + *interval;
            beat();
        }
    }

    /// A host that has no right acts no more once nothing that it ran is left.
    fn tell_guard(&mut self) {
        let Some(guard) = &self.guard else { return };
        let until = self.mount.right_until(clock::now());
        let program = self.runner.as_ref().is_some_and(|runner| !runner.is_idle());
        let hooks = self.hooks.as_ref().is_some_and(Hooks::is_holding);
        if until.is_some() || !(program || hooks) {
            guard.acting(until);
        }
    }

    /// How the program ended by itself, if it did.
    pub fn program_ending(&self) -> Option<Ending> {
        self.runner.as_ref().and_then(Runner::ending)
    }

    fn take_disk(&mut self) {
        while let Some(completed) = self.pool.next_completed(clock::now()) {
            let words = match completed.outcome {
                Outcome::Done => None,
                Outcome::Failed(error) => Some(error.to_string()),
                Outcome::TimedOut { begun: true } => Some("the device does not answer".to_owned()),
                Outcome::TimedOut { begun: false } => {
                    Some("not begun in time: earlier requests hang in the device".to_owned())
                }
            };
            self.mount
                .handle_disk(clock::now(), completed.id(), completed.outcome());
            if let Some(words) = words.clone().filter(|_| words != self.last_disk_error) {
                let request = completed.request;
                self.news
                    .push(HostEvent::Notice(Notice::DiskError { request, words }));
            }
            self.last_disk_error = words;
            self.pool.release(completed);
        }
    }

    fn take_fences(&mut self) {
        while let Some(report) = self.fencer.as_mut().and_then(Fencer::next_report) {
            self.mount
                .handle_fence_by(clock::now(), report.victim, report.outcome(), report.method());
            self.news.push(HostEvent::Notice(Notice::Fence(report)));
        }
    }

    /// Step 2 of the order of calls, in its order: events, network, messages, fences, disk.
    fn give_outputs(&mut self, tell: &mut impl FnMut(HostEvent)) {
        for news in std::mem::take(&mut self.news) {
            self.tell_once(news, tell);
        }
        while let Some(event) = self.mount.poll_event() {
            if let (Event::Connected { server, .. }, Some(hooks)) = (&event, &mut self.hooks) {
                hooks.connected(*server);
            }
            if let Event::Unmounted(how) = event {
                self.ended = Some(how);
            }
            self.tell_once(HostEvent::Mount(event), tell);
        }
        self.give_net();
        while let Some(request) = self.mount.poll_fence(clock::now()) {
            match &mut self.fencer {
                Some(fencer) => fencer.start(&request),
                // Core fences for voters only, and a voter has means.
                None => unreachable!("a plain client asked to fence {}", request.victim.ballot),
            }
        }
        self.give_disk();
    }

    /// The host knows before core that a mount has started and that it is to leave; each is told once.
    fn tell_once(&mut self, event: HostEvent, tell: &mut impl FnMut(HostEvent)) {
        if let HostEvent::Mount(step @ (Event::Started | Event::Unmounting)) = &event {
            if self.told.contains(step) {
                return;
            }
            self.told.push(step.clone());
        }
        tell(event);
    }

    fn give_net(&mut self) {
        while let Some(request) = self.mount.poll_net(clock::now()) {
            self.net.request(request);
            if let Some(words) = self.net.take_listen_error() {
                self.news.push(HostEvent::Notice(Notice::CannotListen(words)));
            }
        }
        self.unsaid = false;
        let mut messages = 0;
        while let Some((conn, length)) = self.mount.poll_transmit(clock::now(), &mut self.message) {
            self.net.transmit(conn, &self.message[..length]);
            messages += 1;
            if messages == MESSAGES_PER_TURN {
                self.unsaid = true;
                break;
            }
        }
        self.net.flush();
    }

    fn give_disk(&mut self) {
        loop {
            let mut buffer = self.pool.buffer();
            let now = clock::now();
            match self.mount.poll_disk(now, buffer.bytes_mut()) {
                Some(request) => self.pool.submit(now, request, buffer),
                None => return self.pool.recycle(buffer),
            }
        }
    }

    /// How the mount ended, once it may be dropped.
    fn ended(&self) -> Option<Unmounted> {
        let how = self.ended?;
        // Whoever is told to go at once does not wait for a device that hangs. Its lock goes with its last I/O.
        let lingers = self.runner.as_ref().is_some_and(|runner| !runner.is_idle());
        if lingers && clock::now() < self.killed_by {
            return None;
        }
        let over = how == Unmounted::Forced || self.mount.has_ended();
        if over
            && matches!(
                how,
                Unmounted::Farewell | Unmounted::Barrier | Unmounted::NeverMounted
            )
        {
            self.device.lock.remove();
        }
        over.then_some(how)
    }

    /// How long until something is due.
    fn next_wait(&mut self) -> Duration {
        let moved = std::mem::take(&mut self.program_moved);
        if moved || self.unsaid || self.net.has_work() || !self.news.is_empty() {
            return Duration::ZERO;
        }
        let due = [
            self.mount.next_deadline(),
            self.pool.next_deadline(),
            self.net.next_deadline(),
            self.runner
                .as_ref()
                .and_then(|runner| runner.next_deadline(clock::now())),
        ];
        let now = clock::now();
        // The end of a right is looked at when it comes, not when something else is due.
        let right = self.mount.right_until(now).filter(|_| self.guard.is_some());
        let beat = self.heartbeat.as_ref().map(|_| self.heartbeat_at);
        let killed = Some(self.killed_by).filter(|&at| at > now);
        let due = due.into_iter().chain([right, beat, killed]);
        let waits = due.flatten().map(|deadline: Instant| deadline.since(now));
        waits.min().unwrap_or(WAIT_MAX).min(WAIT_MAX)
    }

    /// The mount, for a service's caller that looks into it between two runs.
    pub fn mount(&mut self) -> &mut Mount<HeapMemory, S> {
        &mut self.mount
    }
}

/// Who the mount is, for the programs that it runs.
fn environment(config: &Config, means: &Option<Means>) -> Vec<(&'static str, String)> {
    let mut environment = vec![("OSTRAKON_RID", config.rid.to_string())];
    if let Some(voter) = config.voter {
        environment.push(("OSTRAKON_SERVER_ADDR", voter.server_addr.to_string()));
    }
    if let Some(means) = means {
        environment.push(("OSTRAKON_VOLUME", means.volume.to_string()));
    }
    environment
}

fn start_runner(
    program: ProgramOptions,
    config: &Config,
    environment: &[(&'static str, String)],
    lock: &MountLock,
    wake: &Arc<dyn Fn() + Send + Sync>,
) -> io::Result<Runner> {
    let lease = config.voter.and_then(|voter| voter.lease);
    Runner::start(program, lease, lock.as_fd(), environment, Arc::clone(wake))
}

/// The mount as the one who is told what came in from the network.
struct Sink<'a, M, S>(&'a mut Mount<M, S>);

impl<M: Memory, S: Service> NetSink for Sink<'_, M, S> {
    fn listening(&mut self, listens: Result<(), CloseReason>) {
        self.0.handle_listening(clock::now(), listens);
    }
    fn may_accept(&mut self) -> bool {
        self.0.may_accept(clock::now())
    }
    fn accept(&mut self) -> Option<ConnId> {
        self.0.handle_accept(clock::now())
    }
    fn connected(&mut self, conn: ConnId) {
        self.0.handle_connected(clock::now(), conn);
    }
    fn closed(&mut self, conn: ConnId, reason: CloseReason) {
        self.0.handle_closed(clock::now(), conn, reason);
    }
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize {
        self.0.handle_bytes(clock::now(), conn, bytes)
    }
}
