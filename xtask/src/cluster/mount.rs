//! One `ostrakon mount` as a process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::event::Event;
use super::log::Log;
use super::reaper::Reaper;
use super::sandbox::Sandbox;
use super::tool::Tool;
use crate::failure::{During, Failure, Result};

/// How often the end of a process is looked for.
const EXIT_INTERVAL: Duration = Duration::from_millis(5);

/// Number of a mount within its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MountId(pub(super) usize);

/// How a voter silences its predecessors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fence {
    /// `ostrakon fence-kill`, which kills the victim's process.
    Kill,
    /// The read lease.
    Lease,
    /// Any other value of `--fence`.
    Other(String),
}

/// What a mount is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where a voter serves; `None` for a plain client.
    pub server_addr: Option<SocketAddr>,
    /// How it fences.
    pub fence: Option<Fence>,
    /// Further arguments.
    pub more: Vec<String>,
}

impl Options {
    /// A plain client.
    pub fn client() -> Self {
        Self::default()
    }

    /// A voter that fences by killing.
    pub fn voter(addr: SocketAddr) -> Self {
        Self {
            server_addr: Some(addr),
            fence: Some(Fence::Kill),
            more: Vec::new(),
        }
    }

    /// With further arguments.
    #[must_use]
    pub fn with(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|&argument| argument.to_owned()));
        self
    }
}

/// One mount. It is killed when this value goes.
pub struct Mount {
    name: String,
    options: Options,
    child: Child,
    ended: Option<ExitStatus>,
    stderr: PathBuf,
    reaper: Reaper,
}

impl Mount {
    /// Starts the process and a thread that follows its output.
    pub(super) fn start(
        id: MountId,
        name: &str,
        options: Options,
        tool: &Tool,
        sandbox: &Sandbox,
        log: &Log,
        reaper: &Reaper,
    ) -> Result<Self> {
        let stderr = sandbox.folder().join(format!("{name}.stderr"));
        let file = File::options().create(true).append(true).open(&stderr);
        let file = file.during(format!("making {}", stderr.display()))?;
        let mut command = tool.mount_command(&options);
        // Out of reach of the terminal's Ctrl-C: the reaper ends it, or whoever started it.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut child = command.spawn().during(format!("starting {command:?}"))?;
        let output = child.stdout.take();
        let mount = Self {
            name: name.to_owned(),
            options,
            child,
            ended: None,
            stderr,
            reaper: reaper.clone(),
        };
        reaper.watch(mount.pid())?;
        if let Some(output) = output {
            let (name, log) = (name.to_owned(), log.clone());
            thread::spawn(move || follow(id, &name, output, &log));
        }
        Ok(mount)
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves cleanly (SIGTERM).
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Dies at once (SIGKILL). The process is not collected yet.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Freezes (SIGSTOP).
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Thaws (SIGCONT). A process that was fenced meanwhile is dead but not collected yet, so its pid is still
    /// its own.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended {
            return Err(Failure::new(format!("{} has ended already: {status}", self.name)));
        }
        // Never collected before `ended` is set, so the pid cannot belong to a stranger.
        kill_process(Pid::from_child(&self.child), signal)
            .during(format!("sending {signal:?} to {}", self.name))
    }

    /// How it ended, if it has. Collects the process.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() && !self.is_running() {
            self.reaper.forget(self.pid());
            self.ended = Some(self.child.wait().during(format!("collecting {}", self.name))?);
        }
        Ok(self.ended)
    }

    /// Whether the process runs or is frozen; a dead one that nobody collected does not.
    pub fn is_running(&self) -> bool {
        self.ended.is_none() && !matches!(self.state(), None | Some('Z' | 'X'))
    }

    /// The letter of its state in `/proc`, `None` when it is gone.
    pub fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The name in brackets before it may hold anything.
        stat.rsplit(") ").next()?.chars().next()
    }

    /// Bytes it has read from and written to storage, as the kernel counts them.
    pub fn storage_bytes(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/io", self.pid());
        let text = std::fs::read_to_string(&path).during(format!("reading {path}"))?;
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.ok_or_else(|| Failure::new(format!("no {name} in {path}")))
        };
        Ok((field("read_bytes:")?, field("write_bytes:")?))
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                return Err(Failure::new(format!(
                    "waited {} s for the end of {}, in vain",
                    limit.as_secs_f32(),
                    self.name
                )));
            }
            thread::sleep(EXIT_INTERVAL);
        }
    }

    /// Whether it was killed by SIGKILL; waits for its end.
    pub fn was_killed(&mut self, limit: Duration) -> Result<bool> {
        Ok(self.wait_exit(limit)?.signal() == Some(Signal::KILL.as_raw()))
    }

    /// The last lines that it wrote to stderr, each with its name in front.
    pub fn stderr_tail(&self, count: usize) -> String {
        let text = self.stderr();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(count);
        lines[first..]
            .iter()
            .map(|line| format!("  {} on stderr: {line}\n", self.name))
            .collect()
    }

    /// All that it wrote to stderr.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(&self.stderr).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.kill();
            self.reaper.forget(self.pid());
            let _ = self.child.wait();
        }
    }
}

/// Reads a mount's output to its end.
fn follow(id: MountId, name: &str, output: ChildStdout, log: &Log) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        match Event::parse(&line) {
            Ok(event) => log.add(id, event),
            Err(error) => eprintln!("{name}: {error}"),
        }
    }
}
