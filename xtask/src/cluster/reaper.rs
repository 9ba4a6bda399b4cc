//! Ends the mounts and removes the folder of a cluster whose owner died, in whatever way it died.
//!
//! A destructor does not run on Ctrl-C, nor on SIGKILL. So a small shell, out of reach of the terminal's Ctrl-C in a
//! process group of its own, reads the pids of the mounts from a pipe. The kernel closes the pipe when its owner
//! dies; the shell then kills the pids that are left, and no others.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::{During, Failure, Result};

/// `+ PID` notes a mount, `- PID` forgets one that ended, `keep` spares the folder. A process group is a negative pid.
const SCRIPT: &str = r#"
folder=$1
pids=
while read -r verb pid; do
    case $verb in
        +) pids="$pids $pid" ;;
        -) left=
           for other in $pids; do [ "$other" = "$pid" ] || left="$left $other"; done
           pids=$left ;;
        keep) folder= ;;
    esac
done
[ -z "$pids" ] || kill -s KILL -- $pids
[ -z "$folder" ] || rm -rf -- "$folder"
"#;

/// The shell, and the pipe to it.
#[derive(Clone)]
pub struct Reaper(Arc<Mutex<Shell>>);

struct Shell {
    child: Child,
    /// `None` once closed, which is the signal to reap.
    orders: Option<ChildStdin>,
}

impl Reaper {
    /// Starts the shell.
    pub fn start(folder: &Path) -> Result<Self> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("ostrakon-reaper")
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .during("starting sh, which ends the mounts if this process dies")?;
        let orders = child.stdin.take();
        Ok(Self(Arc::new(Mutex::new(Shell { child, orders }))))
    }

    /// Notes a process that must not outlive its owner.
    pub fn watch(&self, pid: u32) -> Result<()> {
        self.order(&format!("+ {pid}\n"))
    }

    /// Notes the leader of a process group, of which nobody may outlive the owner.
    pub fn watch_group(&self, leader: u32) -> Result<()> {
        self.order(&format!("+ -{leader}\n"))
    }

    /// Forgets a process group. To be called *before* its leader is collected, like [`forget`](Self::forget).
    pub fn forget_group(&self, leader: u32) {
        // A shell that is gone has nothing to forget.
        let _ = self.order(&format!("- -{leader}\n"));
    }

    /// Forgets a process. To be called *before* it is collected: its pid may belong to a stranger right after.
    pub fn forget(&self, pid: u32) {
        // A shell that is gone has nothing to forget.
        let _ = self.order(&format!("- {pid}\n"));
    }

    /// The folder stays.
    pub fn keep_folder(&self) {
        let _ = self.order("keep\n");
    }

    fn order(&self, line: &str) -> Result<()> {
        let mut shell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shell.orders.as_mut() {
            Some(orders) => orders.write_all(line.as_bytes()).during("writing to the reaper"),
            None => Err(Failure::new("the reaper has ended")),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().expect("sleep starts")
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("ostrakon-reaper-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn what_is_watched_ends_with_the_owner() {
        let folder = folder("ends");
        let reaper = Reaper::start(&folder).expect("sh starts");
        let (mut watched, mut forgotten) = (sleeper(), sleeper());
        for child in [&watched, &forgotten] {
            reaper.watch(child.id()).expect("noted");
        }
        reaper.forget(forgotten.id());
        drop(reaper);
        let status = watched.wait().expect("collected");
        assert_eq!(status.signal(), Some(9), "the watched one");
        assert!(
            forgotten.try_wait().expect("looked at").is_none(),
            "the forgotten one lives"
        );
        assert!(!folder.exists(), "the folder is gone");
        forgotten.kill().expect("killed");
        forgotten.wait().expect("collected");
    }

    #[test]
    fn a_group_ends_with_the_owner_even_if_its_leader_went_before() {
        let folder = folder("group");
        let reaper = Reaper::start(&folder).expect("sh starts");
        let mut leader = Command::new("sh")
            .args(["-c", "sleep 600 & echo $!"])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        reaper.watch_group(leader.id()).expect("noted");
        let mut orphan = String::new();
        // Its end is not waited for: `sleep` has the same output.
        let output = leader.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut orphan).expect("a pid");
        assert!(lives(orphan.trim()));
        drop(reaper);
        leader.wait().expect("collected");
        // The child of a leader that has ended: it was killed, and dies when the system comes to it.
        let started = std::time::Instant::now();
        while lives(orphan.trim()) {
            assert!(started.elapsed().as_secs() < 60, "{orphan} lives");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// A process that was killed and that nobody has collected yet does not live.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    }

    #[test]
    fn a_folder_may_be_kept() {
        let folder = folder("kept");
        let reaper = Reaper::start(&folder).expect("sh starts");
        reaper.keep_folder();
        drop(reaper);
        assert!(folder.exists());
        std::fs::remove_dir(&folder).expect("removed");
    }
}
