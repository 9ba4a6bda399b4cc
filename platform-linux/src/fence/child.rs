//! A child process with a time limit: fed, waited for, and killed with everything it started.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal};

/// Bytes of standard error that are kept for the message.
const STDERR_BYTES_MAX: u64 = 1024;

/// How long to wait for the rest of standard error once the child has ended. A grandchild may hold it open for ever.
const STDERR_PATIENCE: Duration = Duration::from_millis(100);

/// How long a killed child may take to go before it is left to a thread of its own.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// How a child ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exited { status: ExitStatus, stderr: String },
    /// It took too long, and was killed with its process group.
    TimedOut { stderr: String },
}

/// Runs `command` with `input` on standard input for `limit` at most.
///
/// # Errors
/// The system's, if the program cannot be started.
pub(super) fn run(mut command: Command, input: &str, limit: Duration) -> io::Result<Ended> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stderr = read_stderr(&mut child);
    if let Some(mut stdin) = child.stdin.take() {
        // Far less than a pipe holds, so this never waits. An agent that does not read it is judged by how it ends.
        let _ = stdin.write_all(input.as_bytes());
    }
    let pid = Pid::from_child(&child);
    // The child is not waited for yet, so its pid cannot be anybody else's.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    if wait_for_end(&pidfd, limit)? {
        let status = child.wait()?;
        let stderr = stderr.recv_timeout(STDERR_PATIENCE).unwrap_or_default();
        return Ok(Ended::Exited { status, stderr });
    }
    // The group has the number of its leader, which is not waited for yet either.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    if wait_for_end(&pidfd, KILL_PATIENCE)? {
        child.wait()?;
    } else {
        std::thread::spawn(move || child.wait());
    }
    let stderr = stderr.recv_timeout(STDERR_PATIENCE).unwrap_or_default();
    Ok(Ended::TimedOut { stderr })
}

/// Reads all of standard error, so that the child never waits for us, and keeps its beginning.
fn read_stderr(child: &mut Child) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    if let Some(mut pipe) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = pipe.by_ref().take(STDERR_BYTES_MAX).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
            let _ = send.send(String::from_utf8_lossy(&kept).trim().to_owned());
        });
    }
    receive
}

/// Waits until the process has ended; `false` when the limit has passed first.
pub(super) fn wait_for_end(pidfd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// An exit status in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => format!("{status}"),
    }
}
