//! `ostrakon mount`.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::ids::Rid;
use ostrakon_core::service::NoService;
use rustix::process::Resource;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use super::metrics::Metrics;
use super::mount_args::{Args, Plan};
use super::notify::{self, Notify};
use super::printer::Printer;
use super::{Exit, Narrator};
use crate::disk::{Access, DeviceFile, Hold};
use crate::fence::{Means, Reservation};
use crate::host::{
    Guard, HeapMemory, Heartbeat, HookCommands, Host, HostEvent, HostOptions, Notice, Order, Orders, Watchdog,
};
use crate::offline::{OfflineError, Volume};
use crate::program::{Ending, ProgramOptions};
use crate::runtime::RuntimeDir;
use crate::{clock, entropy};

/// Between an eviction and the next mount: one that is evicted at once must not turn into a flood.
const REMOUNT_PAUSE: Duration = Duration::from_secs(1);

/// How many I/O time-outs opening the volume may take: it reads a few blocks, some of them twice.
const OPEN_TIMEOUTS: u32 = 8;

/// How often the orders are looked at while there is no loop yet that they could wake.
const ORDER_INTERVAL: Duration = Duration::from_millis(50);

/// Signals that are the program's, if there is one.
const PASSED_ON: [i32; 5] = [SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH];

pub(super) fn run(args: &Args) -> Exit {
    let printer = match Printer::stdout() {
        Ok(printer) => printer,
        Err(error) => return Exit::Failed.because(format_args!("no thread to print from: {error}")),
    };
    run_with(args, None, printer).0
}

/// Mounts, with a program to run while this mount leads if one is given; also says how that ended last.
pub(super) fn run_with(
    args: &Args,
    program: Option<ProgramOptions>,
    printer: Printer,
) -> (Exit, Option<Ending>) {
    let mut plan = match args.plan() {
        Ok(plan) => plan,
        Err(why) => return (Exit::Usage.because(why), None),
    };
    if let Err(why) = plan.server_addr().map_or(Ok(()), is_of_this_host) {
        return (Exit::Failed.because(why), None);
    }
    let watchdog = match plan.start_watchdog() {
        Ok(watchdog) => watchdog.map(|watchdog| Arc::new(Mutex::new(watchdog))),
        Err(error) => return (Exit::Usage.because(error), None),
    };
    let result = run_guarded(args, &mut plan, program, printer, watchdog.clone());
    if let (Some(watchdog), true) = (watchdog, plan.guard.as_ref().is_none_or(Guard::is_quiet)) {
        watchdog.lock().unwrap_or_else(PoisonError::into_inner).disarm();
    }
    result
}

fn run_guarded(
    args: &Args,
    plan: &mut Plan,
    program: Option<ProgramOptions>,
    printer: Printer,
    watchdog: Option<Arc<Mutex<Watchdog>>>,
) -> (Exit, Option<Ending>) {
    if let Some(lease) = plan.config.voter.and_then(|voter| voter.lease) {
        match Guard::start(lease, watchdog) {
            Ok(guard) => plan.guard = Some(guard),
            Err(error) => {
                let exit = Exit::Failed.because(format_args!("no thread to guard the lease: {error}"));
                return (exit, None);
            }
        }
    }
    let metrics = match args.metrics_file.as_deref().map(Metrics::start).transpose() {
        Ok(metrics) => metrics,
        Err(error) => {
            let exit = Exit::Failed.because(format_args!("--metrics-file cannot be written: {error}"));
            return (exit, None);
        }
    };
    let mut ears = Ears {
        json: args.json,
        printer,
        notify: Notify::from_environment(),
        metrics,
    };
    let orders = Orders::default();
    if let Err(error) = obey_signals(orders.clone(), program.is_some()) {
        let exit = Exit::Failed.because(format_args!("cannot listen to signals: {error}"));
        return (exit, None);
    }
    raise_file_limit();
    let mut ending = None;
    loop {
        let exit = match mount_once(args, plan, &program, &orders, &mut ears, &mut ending) {
            Ok(Unmounted::Evicted | Unmounted::Superseded) if orders.standing() == Order::Stay => {
                std::thread::sleep(REMOUNT_PAUSE);
                continue;
            }
            Ok(
                Unmounted::Farewell
                | Unmounted::Barrier
                | Unmounted::NeverMounted
                | Unmounted::Evicted
                | Unmounted::Superseded,
            ) => Exit::Done,
            Ok(Unmounted::LeftRecord | Unmounted::Forced) => Exit::NotClean,
            Err(exit) => exit,
        };
        return (exit, ending);
    }
}

/// A wrong address would be noticed when this host is elected: too late. One that is in use now may be free by then.
fn is_of_this_host(addr: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(addr) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(format!(
            "--server-addr {addr}: this host has no such address; expected one of its own, by which all other hosts reach it"
        )),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(format!(
            "--server-addr {addr}: this user may not listen there ({error}); expected a port of 1024 or more"
        )),
        _ => Ok(()),
    }
}

/// The first signal leaves cleanly, the second by force, the third does not wait for anything. Others are passed on to
/// the program.
fn obey_signals(orders: Orders, has_program: bool) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    if has_program {
        PASSED_ON
            .iter()
            .try_for_each(|&signal| signals.add_signal(signal))?;
    }
    std::thread::Builder::new()
        .name("ostrakon-signal".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if PASSED_ON.contains(&signal) {
                    orders.pass_on(signal);
                    continue;
                }
                if orders.standing() == Order::Force {
                    std::process::exit(Exit::NotClean as i32);
                }
                orders.escalate();
            }
        })
        .map(drop)
}

/// A server has a descriptor for each client; where the limit cannot be raised, fewer are accepted.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

fn mount_once(
    args: &Args,
    plan: &Plan,
    program: &Option<ProgramOptions>,
    orders: &Orders,
    ears: &mut Ears,
    ending: &mut Option<Ending>,
) -> Result<Unmounted, Exit> {
    let Some(volume) = open(args, plan, orders)? else {
        return Ok(Unmounted::NeverMounted);
    };
    let rid = entropy::rid();
    let barrier = volume.state().unmount_barrier;
    let mut narrator = Narrator::new(rid, volume.state().volume, plan.server_addr());
    if let Some(metrics) = &mut ears.metrics {
        metrics.begin(rid, volume.state().volume);
    }
    let options = HostOptions {
        program: program.clone(),
        hooks: args.hooks(),
        heartbeat: heartbeat(),
        ..options(plan, volume, rid, orders)?
    };
    let reservation = options.means.as_ref().and_then(|means| means.reservation.clone());
    let mut host = Host::start(options, NoService).map_err(|error| Exit::Failed.because(error))?;
    let ended = host.run(|event| {
        tell(&event, &mut narrator, ears);
        if let (HostEvent::Mount(Event::Started), Some(silencing)) = (&event, plan.silencing) {
            let notice = HostEvent::Notice(Notice::Silencing(silencing));
            tell(&notice, &mut narrator, ears);
        }
    });
    *ending = host.program_ending().or(*ending);
    if let (Some(reservation), Ok(how)) = (&reservation, &ended) {
        unregister(args, reservation, *how, barrier);
    }
    ended.map_err(|error| Exit::Failed.because(format_args!("waiting for events fails: {error}")))
}

/// Registers a voter at a device whose reservation bars victims, before it writes there.
fn register(plan: &Plan, volume: &Volume, rid: Rid) -> Result<Option<Arc<Reservation>>, Exit> {
    if !plan.scsi {
        return Ok(None);
    }
    let id = volume.state().volume;
    let neighbour = RuntimeDir::candidates()
        .iter()
        .find_map(|dir| dir.neighbour(id, rid));
    if let Some(neighbour) = neighbour {
        return Err(Exit::Refused.because(format_args!(
            "--fence scsi: mount {neighbour} of this volume lives on this host, and a reservation knows hosts, not processes: \
             end that first"
        )));
    }
    let limit = clock::std_duration(plan.config.write_time_max);
    match Reservation::take(volume.device().path(), rid, limit) {
        Ok(reservation) => Ok(Some(Arc::new(reservation))),
        Err(why) => Err(Exit::Usage.because(why)),
    }
}

/// A mount that leaves while others stay takes its key away. The last ones leave theirs, so that the reservation goes on
/// keeping out whoever was barred.
fn unregister(args: &Args, reservation: &Reservation, how: Unmounted, barrier: u64) {
    let left = matches!(how, Unmounted::Farewell | Unmounted::NeverMounted);
    let others_stay = || {
        let volume = Volume::open(&args.device, Access::Read);
        volume.is_ok_and(|volume| volume.state().unmount_barrier == barrier)
    };
    if left && others_stay() {
        reservation.leave();
    }
}

fn heartbeat() -> Option<Heartbeat> {
    let interval = notify::heartbeat_interval()?;
    let notify = Notify::from_environment();
    let interval = ostrakon_core::time::Duration(interval.as_micros() as u64);
    Some((interval, Box::new(move || notify.tell("WATCHDOG=1"))))
}

/// Where events go.
struct Ears {
    json: bool,
    printer: Printer,
    notify: Notify,
    metrics: Option<Metrics>,
}

fn tell(event: &HostEvent, narrator: &mut Narrator, ears: &mut Ears) {
    let description = narrator.describe(event);
    ears.notify.event(description.event, &description.text);
    if let Some(metrics) = &mut ears.metrics {
        metrics.count(&description);
    }
    let at_ms = clock::unix_ms();
    let line = if ears.json {
        narrator.json_line(&description, at_ms)
    } else {
        narrator.text_line(&description, at_ms)
    };
    let lost = ears.printer.line(line);
    if lost > 0 {
        eprintln!("ostrakon: {lost} events were lost: nobody read them");
    }
}

/// Opens the volume in a thread of its own, so that a device that hangs is told and can be left.
/// `None` if the order to leave came first.
fn open(args: &Args, plan: &Plan, orders: &Orders) -> Result<Option<Volume>, Exit> {
    let (send, opened) = mpsc::channel();
    let (path, delay) = (args.device.clone(), Duration::from_millis(args.io_delay_ms));
    let stall = args.io_stall_file.clone();
    std::thread::spawn(move || {
        // Nobody listens any more once the limit has passed.
        let _ = send.send(open_now(&path, delay, stall));
    });
    let limit = clock::std_duration(plan.config.write_time_max) * OPEN_TIMEOUTS;
    let begun = std::time::Instant::now();
    loop {
        match opened.recv_timeout(ORDER_INTERVAL) {
            Ok(Ok(Some(volume))) => return Ok(Some(volume)),
            Ok(Ok(None)) => {
                return Err(Exit::Refused.because(format_args!(
                    "{} is held by a tool that rewrites it (format, set-quorum-count): wait for its end",
                    args.device.display()
                )));
            }
            Ok(Err(error)) => return Err(Exit::of(&error).because(error)),
            Err(RecvTimeoutError::Timeout) if orders.standing() != Order::Stay => return Ok(None),
            Err(RecvTimeoutError::Timeout) if begun.elapsed() < limit => {}
            Err(_) => {
                return Err(Exit::Failed.because(format_args!(
                    "{} does not answer within {} ms",
                    args.device.display(),
                    limit.as_millis()
                )));
            }
        }
    }
}

/// Takes its place among the mounts of this host first, so that what is read is not rewritten meanwhile;
/// `None` while a tool does that.
fn open_now(path: &Path, delay: Duration, stall: Option<PathBuf>) -> Result<Option<Volume>, OfflineError> {
    let mut device = DeviceFile::open(path, Access::ReadWrite)?;
    device.set_delay(delay);
    device.set_stall(stall);
    let held = device.hold(Hold::Shared).map_err(|error| OfflineError::Io {
        path: path.to_owned(),
        block: 0,
        error,
    })?;
    if !held {
        return Ok(None);
    }
    Volume::on(device).map(Some)
}

fn options(plan: &Plan, volume: Volume, rid: Rid, orders: &Orders) -> Result<HostOptions, Exit> {
    let (id, geometry) = (volume.state().volume, volume.state().geometry);
    let runtime = RuntimeDir::default_dir();
    let lock = runtime
        .lock(id, rid)
        .map_err(|error| Exit::Failed.because(format_args!("cannot take the lock of this mount: {error}")))?;
    // After the lock: of two that begin at once, one sees the other.
    let reservation = register(plan, &volume, rid)?;
    let config = plan.config_for(rid);
    let means = config.voter.map(|voter| Means {
        agents: plan.agents.clone(),
        reservation,
        map: plan.map.clone(),
        time_max: clock::std_duration(voter.fence_time_max),
        write_time_max: clock::std_duration(config.write_time_max),
        host: config.host,
        boot: config.boot,
        ip: voter.server_addr.ip(),
        volume: id,
        runtime,
    });
    Ok(HostOptions {
        config,
        device: volume.into_device(),
        lock,
        memory: match config.voter {
            Some(_) => HeapMemory::clients(geometry.clients_max),
            None => HeapMemory::none(),
        },
        means,
        orders: orders.clone(),
        program: None,
        guard: plan.guard.clone(),
        hooks: HookCommands::default(),
        heartbeat: None,
    })
}
