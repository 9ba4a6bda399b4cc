//! Linux mounts beside the images: the same volume, the same messages, the same power switch.
//!
//! Their fence agent is this very program: it passes the request on to the power switch of the fleet, by a Unix socket.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::thread;

use ostrakon_xtask::cluster::tool::Tool;
use ostrakon_xtask::failure::{During, Failure, Result};
use serde_json::Value;

/// The hidden command of this program that is the fence agent.
pub(crate) const AGENT_COMMAND: &str = "run-qemu-fence-agent";

/// The same times as those of the images.
const TIMES: [&str; 8] = [
    "--silence-ms",
    "2000",
    "--recovery-ms",
    "4000",
    "--io-timeout-ms",
    "2000",
    "--fence-timeout-ms",
    "10000",
];

/// How Linux voters silence earlier leaders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fence {
    /// By the power switch.
    Switch,
    /// By a lease as long as the images'.
    Lease,
}

/// The same lease as that of the images.
const LEASE: [&str; 4] = ["--fence", "lease", "--lease-ms", "1500"];

/// Longest request of an agent.
const REQUEST_BYTES_MAX: u64 = 4096;

fn socket(folder: &Path) -> PathBuf {
    folder.join("power.socket")
}

/// Starts a mount. A voter fences by the power switch.
pub(super) fn mount(
    tool: &Tool,
    folder: &Path,
    number: usize,
    addr: Option<SocketAddr>,
    fence: Fence,
) -> Result<Child> {
    let mut command = tool.command(&["mount", "--json"]);
    command.args(&TIMES[..6]);
    if let Some(addr) = addr.filter(|_| fence == Fence::Lease) {
        command.args(["--server-addr", &addr.to_string()]).args(LEASE);
    } else if let Some(addr) = addr {
        let own = std::env::current_exe().during("looking for this program")?;
        let agent = format!(
            "agent:{} {AGENT_COMMAND} {} {number}",
            own.display(),
            socket(folder).display()
        );
        command
            .args(&TIMES[6..])
            .args(["--server-addr", &addr.to_string(), "--fence", &agent]);
    }
    command.arg(tool.image()).process_group(0).stdout(Stdio::piped());
    command.spawn().during("starting ostrakon mount")
}

/// What a Linux mount says, in the words of the images.
pub(super) struct Event {
    pub(super) name: String,
    pub(super) rid: String,
    pub(super) words: Vec<String>,
}

/// Reads a line of JSON.
pub(super) fn event(line: &str) -> Option<Event> {
    let object: Value = serde_json::from_str(line).ok()?;
    let name = object["event"].as_str()?.to_owned();
    let fields: &[&str] = match name.as_str() {
        "connected" => &["term", "server_rid", "server_addr"],
        "disconnected" => &["term", "server_rid"],
        "serving" => &["term", "server_addr"],
        "fencing" | "fenced" | "silenced" | "fence_failed" => &["victim_term", "victim_rid", "how"],
        "error" => &["message"],
        "unmounted" => &["how"],
        _ => &["term"],
    };
    let words = fields.iter().filter_map(|field| match &object[*field] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    Some(Event {
        words: words.collect(),
        rid: object["rid"].as_str()?.to_owned(),
        name,
    })
}

/// Answers agents for as long as this program runs. `silence` is given who asks, the victim's rid and its address.
pub(super) fn serve_agents(
    folder: &Path,
    silence: impl Fn(usize, &str, &str) -> bool + Send + 'static,
) -> Result<()> {
    let path = socket(folder);
    let listener = UnixListener::bind(&path).during(format!("making {}", path.display()))?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            // An agent that says nothing useful, or is gone, gets no confirmation.
            let _ = BufReader::new(&stream)
                .take(REQUEST_BYTES_MAX)
                .read_line(&mut line);
            if let [asker, rid, addr] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let done = asker.parse().is_ok_and(|asker| silence(asker, rid, addr));
                let _ = stream.write_all(if done { b"done\n" } else { b"failed\n" });
            }
        }
    });
    Ok(())
}

/// The agent: `key=value` lines on standard input, exit code 0 only if the power switch says that it is done.
pub(crate) fn agent(arguments: &[OsString]) -> Result<ExitCode> {
    let [socket, asker] = arguments else {
        return Err(Failure::new(
            "expected the socket of the power switch and the number of who asks",
        ));
    };
    let mut input = String::new();
    std::io::stdin()
        .take(REQUEST_BYTES_MAX)
        .read_to_string(&mut input)
        .during("reading standard input")?;
    let field = |key: &str| {
        let value = input
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        value.ok_or_else(|| Failure::new(format!("no {key}= on standard input")))
    };
    let action = field("action")?;
    if !["off", "reboot"].contains(&action) {
        return Err(Failure::new(format!("action={action}: expected off or reboot")));
    }
    let mut stream = UnixStream::connect(socket).during("connecting to the power switch")?;
    let request = format!(
        "{} {} {}\n",
        asker.display(),
        field("ostrakon_rid")?,
        field("ostrakon_addr")?
    );
    stream
        .write_all(request.as_bytes())
        .during("asking the power switch")?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .during("waiting for the power switch")?;
    if answer.trim() == "done" {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new("the power switch does not confirm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linux_mount_is_told_in_the_words_of_the_images() {
        let line = r#"{"event":"connected","rid":"0a","at_ms":1,"term":3,"server_rid":"0b","server_addr":"127.0.0.1:7"}"#;
        let event = event(line).expect("an event");
        assert_eq!((event.name.as_str(), event.rid.as_str()), ("connected", "0a"));
        assert_eq!(event.words, ["3", "0b", "127.0.0.1:7"]);
    }

    #[test]
    fn what_is_no_event_is_none() {
        for line in ["", "{}", r#"{"event":"started"}"#, "started"] {
            assert!(event(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn the_agent_exits_cleanly_only_for_a_confirmed_fence() {
        let folder = std::env::temp_dir().join(format!("ostrakon-agent-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        serve_agents(&folder, |asker, rid, addr| {
            (asker, rid, addr) == (2, "0a", "127.0.0.1:7")
        })
        .expect("listens");
        let ask = |request: &str| {
            let mut stream = UnixStream::connect(socket(&folder)).expect("connected");
            stream.write_all(request.as_bytes()).expect("asked");
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer).expect("answered");
            answer
        };
        assert_eq!(ask("2 0a 127.0.0.1:7\n"), "done\n");
        assert_eq!(ask("2 0b 127.0.0.1:7\n"), "failed\n");
        assert_eq!(ask("x 0a 127.0.0.1:7\n"), "failed\n");
        assert_eq!(ask("nonsense\n"), "", "no confirmation");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
