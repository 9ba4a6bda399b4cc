//! Commands that are run when something happens to a mount, for those who have a supervisor of their own.
//!
//! They are run one after another, by a thread of their own, in the order of what happened. From the start of
//! `elected` until `deposed` has ended the ballot is held, as it is for a program: a successor that may not fence
//! waits, and one that may fences a host whose `deposed` does not end.

use std::collections::VecDeque;
use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use ostrakon_core::ids::Ballot;

/// What hooks there are, as command lines for the shell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HookCommands {
    /// When this mount serves.
    pub elected: Option<String>,
    /// When it leads no longer.
    pub deposed: Option<String>,
    /// When it is connected to a server, its own or another.
    pub connected: Option<String>,
}

/// A hook that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookReport {
    /// Which: elected, deposed or connected.
    pub hook: &'static str,
    /// What went wrong, in words.
    pub error: Option<String>,
}

struct Job {
    hook: &'static str,
    command: String,
    environment: Vec<(&'static str, String)>,
}

/// Runs the hooks of one mount.
pub struct Hooks {
    commands: HookCommands,
    environment: Vec<(&'static str, String)>,
    jobs: mpsc::Sender<Job>,
    ended: mpsc::Receiver<HookReport>,
    /// Under which ballot `elected` was run, until `deposed` was begun.
    leads: Option<Ballot>,
    /// Runs of `elected` and `deposed` that have not ended.
    holding: usize,
    reports: VecDeque<HookReport>,
}

impl HookCommands {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.elected.is_none() && self.deposed.is_none() && self.connected.is_none()
    }
}

impl Hooks {
    /// Starts the thread. `environment` is for the commands; `wake` is called when there is something to
    /// [`step`](Self::step) for.
    ///
    /// # Errors
    /// The system's, if it grants no thread.
    pub fn start(
        commands: HookCommands,
        environment: Vec<(&'static str, String)>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let (jobs, due) = mpsc::channel::<Job>();
        let (send, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("ostrakon-hooks".to_owned())
            .spawn(move || {
                for job in due {
                    let hook = job.hook;
                    let error = run(job);
                    if send.send(HookReport { hook, error }).is_err() {
                        return;
                    }
                    wake();
                }
            })?;
        Ok(Self {
            commands,
            environment,
            jobs,
            ended,
            leads: None,
            holding: 0,
            reports: VecDeque::new(),
        })
    }

    /// Takes in what has ended, and under which ballot the mount leads now; says whether the ballot is to be held.
    pub fn step(&mut self, leads: Option<Ballot>) -> bool {
        while let Ok(report) = self.ended.try_recv() {
            self.holding -= usize::from(report.hook != "connected");
            self.reports.push_back(report);
        }
        if self.leads != leads {
            if let Some(before) = self.leads {
                self.begin("deposed", self.commands.deposed.clone(), before);
            }
            if let Some(now) = leads {
                self.begin("elected", self.commands.elected.clone(), now);
            }
            self.leads = leads;
        }
        self.leads.is_some() || self.holding > 0
    }

    /// The mount is connected to this server.
    pub fn connected(&mut self, server: Ballot) {
        self.begin("connected", self.commands.connected.clone(), server);
    }

    fn begin(&mut self, hook: &'static str, command: Option<String>, ballot: Ballot) {
        let Some(command) = command else { return };
        let mut environment = self.environment.clone();
        environment.push(("OSTRAKON_HOOK", hook.to_owned()));
        environment.push(("OSTRAKON_TERM", ballot.term.0.to_string()));
        environment.push(("OSTRAKON_SERVER_RID", ballot.rid.to_string()));
        let job = Job {
            hook,
            command,
            environment,
        };
        match self.jobs.send(job) {
            Ok(()) => self.holding += usize::from(hook != "connected"),
            Err(_) => self.reports.push_back(HookReport {
                hook,
                error: Some("the thread that runs hooks is gone".to_owned()),
            }),
        }
    }

    /// Whether one that holds the ballot has not ended.
    pub const fn is_holding(&self) -> bool {
        self.leads.is_some() || self.holding > 0
    }

    /// The next hook that has ended.
    pub fn poll_report(&mut self) -> Option<HookReport> {
        self.reports.pop_front()
    }
}

fn run(job: Job) -> Option<String> {
    let ended = Command::new("/bin/sh")
        .args(["-c", &job.command])
        .envs(job.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(format!("/bin/sh cannot be run: {error}")),
    }
}
