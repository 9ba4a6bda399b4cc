//! The `ostrakon` command on an image file in a folder that is gone when the test is.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

/// What a step may take before the test fails instead of hanging. Far more than any takes.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A folder without an image.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder with a formatted image.
    pub fn formatted(quorum_count: &str) -> Self {
        let bench = Self::empty();
        let made = bench.run(&[
            "format",
            "IMAGE",
            "--size",
            "8M",
            "--clients-max",
            "100",
            "--quorum-count",
            quorum_count,
        ]);
        assert!(made.status.success(), "{made:?}");
        bench
    }

    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// The command with these arguments; `IMAGE` stands for the image.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostrakon"));
        let image = self.image();
        command
            .env("OSTRAKON_RUNTIME_DIR", self.folder.path())
            .stdin(Stdio::null());
        for &argument in arguments {
            match argument {
                "IMAGE" => command.arg(&image),
                argument => command.arg(argument),
            };
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and expects this exit code; returns what was written to standard output and error.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.expect(0, arguments).0).unwrap()
    }

    pub fn status(&self) -> Value {
        self.json(&["status", "IMAGE", "--json"])
    }

    /// A plain client.
    pub fn client(&self, more: &[&str]) -> Mount {
        Mount::start(self.command(&[&["mount", "IMAGE", "--json"], more].concat()))
    }

    /// A voter on a free port of this machine, with our own fence agent.
    pub fn voter(&self, more: &[&str]) -> Mount {
        let addr = free_addr();
        let own = [
            "mount",
            "IMAGE",
            "--json",
            "--server-addr",
            &addr,
            "--fence",
            "agent:ostrakon fence-kill",
        ];
        Mount::start(self.command(&[&own, more].concat()))
    }
}

/// A port that nobody has, on a loopback address that no other test program has: elsewhere a connection going out may be given
/// it before its voter binds it.
pub fn free_addr() -> String {
    let [_, high, low, _] = (std::process::id() << 8).to_be_bytes();
    TcpListener::bind((Ipv4Addr::new(127, high, low, 3), 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// A mount that is killed when the test is over.
pub struct Mount {
    child: Child,
    lines: Receiver<Value>,
    told: Vec<Value>,
    looked: usize,
}

impl Mount {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        Self::listen(child, out)
    }

    /// One that runs a program: its events are on standard error.
    pub fn start_run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let out = child.stderr.take().unwrap();
        Self::listen(child, out)
    }

    fn listen(child: Child, out: impl Read + Send + 'static) -> Self {
        let out = BufReader::new(out);
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            told: Vec::new(),
            looked: 0,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the next event of this name.
    pub fn wait(&mut self, event: &str) -> Value {
        let begun = Instant::now();
        loop {
            while self.looked < self.told.len() {
                self.looked += 1;
                if self.told[self.looked - 1]["event"] == event {
                    return self.told[self.looked - 1].clone();
                }
            }
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.told.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no event {event:?}; told: {:#?}", self.told)
                }
            }
        }
    }

    pub fn rid(&mut self) -> String {
        if self.told.is_empty() {
            self.wait("started");
        }
        self.told[0]["rid"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of the process.
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the mount does not end; told: {:#?}",
                self.told
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every event told until the end.
    pub fn all(&mut self) -> &[Value] {
        self.told.extend(self.lines.iter());
        &self.told
    }

    /// Is told to leave, leaves cleanly, and nobody had taken over from it.
    pub fn expect_unchallenged_end(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end().code(), Some(0));
        let told = self.all();
        assert!(
            told.iter().all(|event| event["event"] != "superseded"),
            "{told:#?}"
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
