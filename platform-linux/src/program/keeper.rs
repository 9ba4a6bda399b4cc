//! The keeper: the process between a mount and its program.
//!
//! It has one thread and waits for three things at once: orders, children that end, and the moment when the right
//! to run is over. It kills only its own children, which nobody but itself waits for: their numbers cannot have
//! passed on to others. A child's children become its own when the child dies, so that after as many rounds as the
//! tree is deep nothing is left.

use std::ffi::OsString;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ostrakon_core::ids::Term;
use ostrakon_core::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, FdFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts;

use super::EXEC_ARGUMENT;
use super::tree::Tree;
use super::wire::{Ending, Lines, Order, Report, Right};
use crate::clock;

/// Pause between two rounds of killing: the time that a killed process takes to go.
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// Longest wait, where nothing is due.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// A right that is over: what a program has that was given none.
const NO_RIGHT: Right = Right {
    until: Instant(0),
    ..Right::ENDLESS
};

/// What stops others must not stop the keeper: it ends when its mount does.
const OUTLIVED: [i32; 6] = [
    consts::SIGTERM,
    consts::SIGINT,
    consts::SIGHUP,
    consts::SIGQUIT,
    consts::SIGUSR1,
    consts::SIGUSR2,
];

struct Keeper {
    command: Vec<OsString>,
    orders: OwnedFd,
    lines: Lines,
    signals: UnixStream,
    right: Right,
    program: Option<Program>,
    /// The mount is gone.
    orphaned: bool,
    // Held, never read: the lock of the mount is free only when the keeper is gone too.
    _lock: OwnedFd,
}

struct Program {
    /// Its first process, which leads its group, until that was waited for.
    first: Option<Pid>,
    asked: bool,
    kill_at: Instant,
}

/// Keeps a program for the mount at the other end of standard input. Returns the exit code.
pub fn run(command: Vec<OsString>) -> u8 {
    match Keeper::start(command).and_then(|mut keeper| keeper.keep()) {
        Ok(()) => 0,
        Err(error) => {
            // The program, if there is one, dies with this process.
            eprintln!("ostrakon: the keeper of the program fails: {error}");
            1
        }
    }
}

impl Keeper {
    fn start(command: Vec<OsString>) -> io::Result<Self> {
        let (signals, written) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        for signal in OUTLIVED.into_iter().chain([consts::SIGCHLD]) {
            signal_hook::low_level::pipe::register(signal, written.try_clone()?)?;
        }
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let orders = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let lock = receive_lock(&orders)?;
        // The program inherits it, and whatever the program starts.
        rustix::io::fcntl_setfd(&lock, FdFlags::empty())?;
        Ok(Self {
            command,
            orders,
            lines: Lines::default(),
            signals,
            right: NO_RIGHT,
            program: None,
            orphaned: false,
            _lock: lock,
        })
    }

    fn keep(&mut self) -> io::Result<()> {
        loop {
            self.wait_for_children()?;
            self.watch_time();
            if self.orphaned && self.program.is_none() {
                return Ok(());
            }
            self.wait()?;
            self.take_orders();
        }
    }

    /// Takes in everybody who ended; the program is gone when nobody is left.
    fn wait_for_children(&mut self) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.ended(pid, status),
                Ok(None) => return Ok(()),
                Err(Errno::CHILD) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if self.program.take().is_some() {
            self.right = NO_RIGHT;
            self.report(&Report::Gone);
        }
        Ok(())
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus) {
        let Some(program) = self.program.as_mut().filter(|program| program.first == Some(pid)) else {
            return;
        };
        let ending = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ending::Code(code),
            (None, Some(signal)) => Ending::Signal(signal),
            (None, None) => return,
        };
        // What it leaves behind has nobody to answer to.
        program.first = None;
        program.kill_at = Instant(0);
        self.report(&Report::Ended(ending));
    }

    fn watch_time(&mut self) {
        let now = clock::now();
        let (warn_at, kill_at, orphaned) = (self.right.warn_at(), self.right.kill_at(), self.orphaned);
        let Some(program) = &mut self.program else { return };
        if orphaned || now >= program.kill_at.min(kill_at) {
            program.kill_at = Instant(0);
            program.kill();
        } else if now >= warn_at {
            program.ask();
        }
    }

    /// Waits for orders, signals, and what is due.
    fn wait(&self) -> io::Result<()> {
        let now = clock::now();
        let due = match &self.program {
            None => WAIT_MAX,
            Some(program) if program.kill_at == Instant(0) => KILL_PAUSE,
            Some(program) if program.asked => program.kill_at.min(self.right.kill_at()).since(now),
            Some(_) => self.right.warn_at().since(now),
        };
        let due = due.min(WAIT_MAX);
        let timeout = Timespec {
            tv_sec: (due.0 / 1_000_000) as i64,
            // Never early: one that is early by less than a tick would go round and round.
            tv_nsec: (due.0 % 1_000_000 * 1_000) as i64,
        };
        let mut fds = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.orders, PollFlags::IN),
        ];
        let watched = if self.orphaned {
            &mut fds[..1]
        } else {
            &mut fds[..]
        };
        match rustix::event::poll(watched, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // What the signals were does not matter: children are looked at in each round.
        let _ = (&self.signals).read(&mut [0; 64]);
        Ok(())
    }

    fn take_orders(&mut self) {
        let mut bytes = [0; 1024];
        while !self.orphaned {
            match rustix::net::recv(&self.orders, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.orphaned = true,
                Ok((length, _)) => self.lines.add(&bytes[..length]),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.orphaned = true,
            }
        }
        while let Some(line) = self.lines.next_line() {
            match line.parse() {
                Ok(order) => self.obey(order),
                Err(why) => eprintln!("ostrakon: {why}"),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match (order, &mut self.program) {
            (Order::Right(right), _) => self.right = right,
            (Order::Start(term), None) if !self.orphaned => self.start_program(term),
            (Order::Start(_), _) => {}
            (Order::Stop(grace), Some(program)) => {
                program.ask();
                program.kill_at = program.kill_at.min(clock::now() + grace);
            }
            (Order::Signal(signal), Some(program)) => program.pass_on(signal),
            (Order::Stop(_) | Order::Signal(_), None) => {}
        }
    }

    fn start_program(&mut self, term: Term) {
        let own = std::process::id();
        // Between fork and the program stands this program once more: only a process itself can bind its life to
        // that of its parent.
        let spawned = Command::new("/proc/self/exe")
            .arg0("ostrakon")
            .arg(EXEC_ARGUMENT)
            .arg(own.to_string())
            .args(&self.command)
            .env("OSTRAKON_TERM", term.0.to_string())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn();
        match spawned {
            Ok(child) => {
                let first = Pid::from_child(&child);
                self.program = Some(Program {
                    first: Some(first),
                    asked: false,
                    kill_at: Instant::NEVER,
                });
                self.report(&Report::Started(first.as_raw_nonzero().get()));
            }
            Err(error) => {
                self.report(&Report::Failed(error.to_string()));
                self.right = NO_RIGHT;
                self.report(&Report::Gone);
            }
        }
    }

    fn report(&self, report: &Report) {
        let line = format!("{report}\n");
        // One line fits where few were sent; a mount that is gone or frozen for ever needs no report.
        let _ = rustix::net::send(
            &self.orders,
            line.as_bytes(),
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
    }
}

impl Program {
    /// Asks it to end, once.
    fn ask(&mut self) {
        if !std::mem::replace(&mut self.asked, true)
            && let Some(first) = self.first
        {
            // One that is gone already is waited for in the next round.
            let _ = rustix::process::kill_process_group(first, Signal::TERM);
        }
    }

    fn pass_on(&self, signal: i32) {
        if let (Some(first), Some(signal)) = (self.first, Signal::from_named_raw(signal)) {
            let _ = rustix::process::kill_process(first, signal);
        }
    }

    /// Kills its group, which keeps its number while its first process was not waited for, and every child.
    fn kill(&self) {
        if let Some(first) = self.first {
            let _ = rustix::process::kill_process_group(first, Signal::KILL);
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        for child in Tree::look().living_children(own) {
            if let Some(child) = Pid::from_raw(child) {
                let _ = rustix::process::kill_process(child, Signal::KILL);
            }
        }
    }
}

/// The mount's first message carries its lock.
fn receive_lock(orders: &OwnedFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        let mut into = [IoSliceMut::new(&mut byte)];
        match rustix::net::recvmsg(orders, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let lock = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    lock.filter(|_| received.bytes == 1)
        .ok_or_else(|| io::Error::other("not started by a mount: no lock on standard input"))
}
