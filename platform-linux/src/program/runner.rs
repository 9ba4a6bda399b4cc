//! The mount's side of a program: starts it when the mount leads, and has it ended when it does not.

use std::io::{self, BufRead, BufReader, IoSlice};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};

use ostrakon_core::bounds::{ASK_TIME, BELL_INTERVAL};
use ostrakon_core::ids::Ballot;
use ostrakon_core::time::{Duration, Instant};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::wire::{Ending, Order, Report, Right};
use super::{KEEPER_ARGUMENT, OnExit, ProgramOptions};

/// How long a program may take to end when its mount is deposed. A successor gives a live predecessor
/// [`ASK_TIME`] to stop; it is heard of after [`BELL_INTERVAL`] at the latest, and the clean stop takes time too.
const DEPOSED_STOP_TIME: Duration = Duration(ASK_TIME.0 - BELL_INTERVAL.0 - 200_000);

/// Under a lease a program is asked to end when this part of the lease is left, and killed when this smaller one is.
const WARN_PART: u64 = 3;
/// See [`WARN_PART`].
const KILL_PART: u64 = 10;

/// Shortest and longest pause before a program that ended is started again.
const RESTART_PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`RESTART_PAUSE_MIN`].
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A program that ran this long has its short pause back.
const RAN_WELL: Duration = Duration::from_secs(60);

/// Something about the program that is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunnerEvent {
    /// It runs, as this process, under this ballot.
    Started(i32, Ballot),
    /// It was told to end: the mount leads no longer, or leaves.
    Stopping(Ballot),
    /// Its first process ended.
    Ended(Ending),
    /// Nothing of it is left.
    Gone,
    /// It could not be started, in the system's words.
    Failed(String),
}

/// What a runner wants of its mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wants {
    /// The ballot is to be held: something of the program may be left.
    pub hold: bool,
    /// The mount is to resign.
    pub resign: bool,
    /// The mount is to leave.
    pub leave: bool,
    /// The keeper is gone, against all rules: this process must end at once.
    pub broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    /// Runs; the keeper was told of this right.
    Runs {
        ballot: Ballot,
        right: Right,
        since: Instant,
    },
    /// Was told to end, or ended by itself.
    Ends {
        ballot: Ballot,
        by_itself: bool,
    },
}

/// A program that runs while its mount leads.
///
/// After each poll of the mount: [`step`](Self::step), then [`poll_event`](Self::poll_event) until it gives nothing.
pub struct Runner {
    options: ProgramOptions,
    /// The lease, if this mount promises one.
    lease: Option<Duration>,
    /// Until it is waited for.
    keeper: Option<Child>,
    socket: UnixStream,
    reports: mpsc::Receiver<Report>,
    phase: Phase,
    /// Told to end for good: the mount leaves.
    leaving: bool,
    restart_at: Instant,
    restart_pause: Duration,
    ending: Option<Ending>,
    events: std::collections::VecDeque<RunnerEvent>,
}

impl Runner {
    /// Starts the keeper, idle. Call it from a thread that lives as long as the mount. `lock` is the mount's lock;
    /// `environment` is for the program; `wake` is called when there is something to [`step`](Self::step) for.
    ///
    /// # Errors
    /// The system's.
    pub fn start(
        options: ProgramOptions,
        lease: Option<Duration>,
        lock: BorrowedFd<'_>,
        environment: &[(&str, String)],
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let keeper = Command::new("/proc/self/exe")
            .arg0("ostrakon")
            .arg(KEEPER_ARGUMENT)
            .args(&options.command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("OSTRAKON_DEVICE", &options.device)
            // What the service manager is told is not the program's to say.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .process_group(0)
            .spawn()?;
        send_lock(&socket, lock)?;
        let (send, reports) = mpsc::channel();
        let incoming = socket.try_clone()?;
        std::thread::Builder::new()
            .name("ostrakon-keeper".to_owned())
            .spawn(move || {
                for line in BufReader::new(incoming).lines().map_while(Result::ok) {
                    // One that cannot be understood is as bad as none: what it said is lost.
                    let Ok(report) = line.parse() else { break };
                    if send.send(report).is_err() {
                        return;
                    }
                    wake();
                }
                drop(send);
                wake();
            })?;
        Ok(Self {
            options,
            lease,
            keeper: Some(keeper),
            socket,
            reports,
            phase: Phase::Idle,
            leaving: false,
            restart_at: Instant(0),
            restart_pause: RESTART_PAUSE_MIN,
            ending: None,
            events: std::collections::VecDeque::new(),
        })
    }

    /// Takes in what the keeper said, and what the mount may do now: the ballot it leads under, and until when it has
    /// the right to.
    pub fn step(&mut self, now: Instant, leads: Option<Ballot>, until: Option<Instant>) -> Wants {
        let mut wants = Wants::default();
        loop {
            match self.reports.try_recv() {
                Ok(report) => self.take(now, report, &mut wants),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    wants.broken = true;
                    break;
                }
            }
        }
        let leads = leads.zip(until).filter(|_| !self.leaving);
        match (self.phase, leads) {
            (Phase::Idle, Some((ballot, until))) => self.start_program(now, ballot, until),
            (Phase::Runs { ballot, since, right }, Some((leads, until))) if leads == ballot => {
                if right.until != until {
                    let right = self.right(until);
                    self.order(Order::Right(right));
                    self.phase = Phase::Runs { ballot, right, since };
                }
            }
            (Phase::Runs { ballot, .. }, _) => self.stop_program(ballot),
            (Phase::Ends { .. }, _) | (Phase::Idle, None) => {}
        }
        wants.hold = self.phase != Phase::Idle;
        wants
    }

    fn take(&mut self, now: Instant, report: Report, wants: &mut Wants) {
        match (report, self.phase) {
            (Report::Started(pid), Phase::Runs { ballot, .. } | Phase::Ends { ballot, .. }) => {
                self.events.push_back(RunnerEvent::Started(pid, ballot));
            }
            (Report::Failed(why), _) => {
                self.events.push_back(RunnerEvent::Failed(why));
                self.ended_by_itself(now);
            }
            (Report::Ended(ending), _) => {
                if matches!(self.phase, Phase::Runs { right, .. } if now < right.warn_at()) {
                    self.ending = Some(ending);
                }
                self.events.push_back(RunnerEvent::Ended(ending));
                self.ended_by_itself(now);
            }
            (Report::Gone, Phase::Ends { by_itself, .. }) => {
                self.phase = Phase::Idle;
                self.events.push_back(RunnerEvent::Gone);
                if by_itself {
                    wants.resign = self.options.on_exit == OnExit::Resign;
                    wants.leave = self.options.on_exit == OnExit::Leave;
                    self.leaving |= wants.leave;
                }
            }
            // Nothing runs that these could be about.
            (Report::Gone | Report::Started(_), _) => {}
        }
    }

    fn ended_by_itself(&mut self, now: Instant) {
        let Phase::Runs { ballot, since, right } = self.phase else {
            return;
        };
        if now >= right.warn_at() {
            // The keeper asked it to, because the right runs out.
            self.phase = Phase::Ends {
                ballot,
                by_itself: false,
            };
            return;
        }
        if now.since(since) >= RAN_WELL {
            self.restart_pause = RESTART_PAUSE_MIN;
        }
        self.restart_at = now + self.restart_pause;
        self.restart_pause = self.restart_pause.times(2).min(RESTART_PAUSE_MAX);
        self.phase = Phase::Ends {
            ballot,
            by_itself: true,
        };
    }

    fn start_program(&mut self, now: Instant, ballot: Ballot, until: Instant) {
        let right = self.right(until);
        if now < self.restart_at || now >= right.warn_at() {
            return;
        }
        self.phase = Phase::Runs {
            ballot,
            right,
            since: now,
        };
        self.order(Order::Right(right));
        self.order(Order::Start(ballot.term));
    }

    fn stop_program(&mut self, ballot: Ballot) {
        let leaving = Duration::from_millis(self.options.stop_time.as_millis() as u64);
        let grace = if self.leaving {
            leaving
        } else {
            leaving.min(DEPOSED_STOP_TIME)
        };
        self.phase = Phase::Ends {
            ballot,
            by_itself: false,
        };
        self.events.push_back(RunnerEvent::Stopping(ballot));
        self.order(Order::Stop(grace));
    }

    fn right(&self, until: Instant) -> Right {
        match self.lease {
            None => Right {
                until,
                ..Right::ENDLESS
            },
            Some(lease) => Right {
                until,
                warn: Duration(lease.0 / WARN_PART),
                kill: Duration(lease.0 / KILL_PART),
            },
        }
    }

    /// Has the program ended for good, because the mount leaves; says whether nothing of it is left already.
    pub fn leave(&mut self) -> bool {
        self.leaving = true;
        self.is_idle()
    }

    /// Has the program killed for good, because the mount is forced out.
    pub fn kill(&mut self) {
        self.leaving = true;
        if let Phase::Runs { ballot, .. } = self.phase {
            self.phase = Phase::Ends {
                ballot,
                by_itself: false,
            };
            self.events.push_back(RunnerEvent::Stopping(ballot));
        }
        if !self.is_idle() {
            self.order(Order::Stop(Duration::ZERO));
        }
    }

    /// Passes a signal on to the program.
    pub fn signal(&mut self, signal: i32) {
        self.order(Order::Signal(signal));
    }

    /// Whether nothing of the program is left.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// How the program ended by itself, if it did.
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// When [`step`](Self::step) has something to do at the latest.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        Some(self.restart_at).filter(|&at| self.is_idle() && at > now)
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<RunnerEvent> {
        self.events.pop_front()
    }

    /// Never waits. A keeper that takes no orders is frozen; if so many are waiting that there is no room for more,
    /// it finds the last right that it was told of run out when it thaws.
    fn order(&self, order: Order) {
        let line = format!("{order}\n");
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let _ = rustix::net::send(&self.socket, line.as_bytes(), flags);
    }
}

impl Drop for Runner {
    /// The keeper sees its orders end, and kills what is left. It may outlive this mount, and then holds its lock.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if let Some(mut keeper) = self.keeper.take() {
            // Off this thread: a keeper that is frozen is not waited for.
            std::thread::spawn(move || keeper.wait());
        }
    }
}

fn send_lock(socket: &UnixStream, lock: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [lock];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&fds)),
        "there is room for one descriptor"
    );
    rustix::net::sendmsg(
        socket.as_fd(),
        &[IoSlice::new(b"L")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}
