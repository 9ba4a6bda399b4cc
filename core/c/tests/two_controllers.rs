//! The C example is built as a C programmer would build it, and run: two controllers elect, a Linux mount of the same
//! volume is their client, and the second controller takes over when the first is killed or frozen.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ostrakon_xtask::skipped;

/// Longest time for anything here: detection and a fence take seconds, the rest is room for a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) {
    let status = Command::new(env!("CARGO"))
        .current_dir(folder())
        .args(arguments)
        .status();
    assert!(status.expect("cargo runs").success(), "cargo {arguments:?}");
}

/// The folder of cargo's output: this test lies in `<target>/<profile>/deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors()
        .nth(3)
        .expect("three folders above this test")
        .to_owned()
}

/// A process whose lines are read as they come, and which ends with the test.
struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    name: &'static str,
}

impl Process {
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| {
                // Nobody listens any more when the test is over.
                let _ = sender.send(line);
            });
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            name,
        }
    }

    /// Whether a line that holds `words` has come within `time`, from now on.
    fn says_within(&mut self, words: &str, time: Duration) -> bool {
        let until = Instant::now() + time;
        while let Ok(line) = self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| line.contains(words)) {
                return true;
            }
        }
        false
    }

    fn must_say(&mut self, words: &str) {
        let said = self.says_within(words, PATIENCE);
        assert!(
            said,
            "{} did not say {words:?}, but:\n{}",
            self.name,
            self.seen.join("\n")
        );
    }

    fn has_said(&self, words: &str) -> bool {
        self.seen.iter().any(|line| line.contains(words))
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    }

    /// Waits for its end, and returns whether it ended well.
    fn ends_well(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the static library and the example; `None` without a C compiler.
fn build(scratch: &Path) -> Option<PathBuf> {
    if Command::new("gcc").arg("--version").output().is_err() {
        skipped::note(
            "two_controllers_elect_serve_a_linux_mount_and_take_over",
            "no gcc here, with which the example is built (on Debian: apt-get install gcc)",
        );
        return None;
    }
    cargo(&[
        "rustc",
        "--quiet",
        "--package",
        "ostrakon-c",
        "--profile",
        "firmware",
        "--crate-type",
        "staticlib",
        "--features",
        "panic-handler",
    ]);
    let program = scratch.join("two_controllers");
    let output = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"])
        .arg("-I")
        .arg(folder().join("include"))
        .arg(folder().join("examples/two_controllers.c"))
        .arg(target().join("firmware/libostrakon_c.a"))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("gcc runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    Some(program)
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port().to_string()
}

fn controller(name: &'static str, program: &Path, image: &Path) -> Process {
    let mut command = Command::new(program);
    Process::start(name, command.arg("run").arg(image).arg(free_port()))
}

#[test]
fn two_controllers_elect_serve_a_linux_mount_and_take_over() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let Some(program) = build(scratch.path()) else {
        return;
    };
    cargo(&["build", "--quiet", "--package", "ostrakon-linux"]);
    let ostrakon = target().join("debug/ostrakon");
    let image = scratch.path().join("shared.img");
    let format = Command::new(&program).arg("format").arg(&image).status();
    assert!(format.expect("the example runs").success());

    let mut first = controller("first", &program, &image);
    first.must_say("ACTIVE");
    let mut second = controller("second", &program, &image);
    second.must_say("connected term=1");
    let mut client = Process::start(
        "linux client",
        Command::new(&ostrakon)
            .args(["mount", "--json"])
            .arg(&image)
            .env("OSTRAKON_RUNTIME_DIR", scratch.path()),
    );
    client.must_say("\"event\":\"connected\"");

    // Killed: its process stays a zombie of this test, which the fence must recognize as gone.
    first.signal("-KILL");
    second.must_say("ACTIVE");
    assert!(second.has_said("its fence was confirmed"), "{:?}", second.seen);
    client.must_say("\"event\":\"connected\"");
    assert!(!first.ends_well(), "it was killed");

    // Frozen: it lives, and must be killed by the fence before another is active.
    let mut third = controller("third", &program, &image);
    third.must_say("connected term=2");
    second.signal("-STOP");
    third.must_say("ACTIVE");
    assert!(third.has_said("its fence was confirmed"), "{:?}", third.seen);
    assert!(!second.ends_well(), "the frozen leader was killed");
    client.must_say("\"event\":\"connected\"");

    client.signal("-TERM");
    client.must_say("\"event\":\"unmounted\"");
    assert!(client.ends_well(), "{:?}", client.seen);
    third.signal("-TERM");
    third.must_say("unmounted: ");
    assert!(third.ends_well(), "{:?}", third.seen);

    // What the C program said of its fences stands on the device, with the time of day.
    let status = Command::new(&ostrakon).arg("status").arg(&image).output();
    let status = String::from_utf8(status.expect("ostrakon runs").stdout).expect("text");
    let fences: Vec<_> = status
        .lines()
        .filter(|line| line.contains("fenced (SIGKILL)"))
        .collect();
    assert_eq!(fences.len(), 2, "{status}");
    for fence in fences {
        assert!(fence.trim_start().starts_with("20"), "{status}");
    }
}
