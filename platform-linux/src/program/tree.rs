//! Finding processes: children, descendants, and who holds a file open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};

/// A process as `/proc` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    parent: i32,
    /// Ended already, and only not waited for.
    dead: bool,
}

/// Every process of this pid namespace.
#[derive(Clone, Debug)]
pub struct Tree(BTreeMap<i32, Seen>);

impl Tree {
    /// Looks at `/proc`. Processes that begin meanwhile may be missing.
    pub fn look() -> Self {
        let seen = pids().filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            parse(&stat).map(|seen| (pid, seen))
        });
        Self(seen.collect())
    }

    /// Children of a process that have not ended.
    pub fn living_children(&self, parent: i32) -> Vec<i32> {
        let children = self
            .0
            .iter()
            .filter(|(_, seen)| seen.parent == parent && !seen.dead);
        children.map(|(&pid, _)| pid).collect()
    }

    /// Children, their children, and so on, of those given; without them. Those that have not ended.
    pub fn living_descendants(&self, of: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let mut due: Vec<i32> = of.iter().copied().collect();
        // Each process is due once, so this ends even if a number was given away while `/proc` was read.
        while let Some(parent) = due.pop() {
            for (&pid, _) in self.0.iter().filter(|(_, seen)| seen.parent == parent) {
                if !of.contains(&pid) && found.insert(pid) {
                    due.push(pid);
                }
            }
        }
        found.retain(|pid| self.0.get(pid).is_some_and(|seen| !seen.dead));
        found
    }

    /// Those whose parent is not among them.
    pub fn roots(&self, of: &BTreeSet<i32>) -> BTreeSet<i32> {
        let has_parent = |pid: &&i32| self.0.get(pid).is_some_and(|seen| of.contains(&seen.parent));
        of.iter().filter(|pid| !has_parent(pid)).copied().collect()
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent stand behind the name, which is in parentheses and may contain anything.
fn parse(stat: &str) -> Option<Seen> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Seen {
        parent,
        dead: ["Z", "X", "x"].contains(&state),
    })
}

/// Processes that have this very file open, as far as this user may see.
pub fn holders(path: &Path) -> BTreeSet<i32> {
    let Ok(wanted) = fs::metadata(path) else {
        return BTreeSet::new();
    };
    let same = |fd: &Path| {
        fs::metadata(fd).is_ok_and(|meta| (meta.dev(), meta.ino()) == (wanted.dev(), wanted.ino()))
    };
    let holds = |pid: &i32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        fds.into_iter().any(|fd| same(&fd.path()))
    };
    let own = std::process::id() as i32;
    pids().filter(|&pid| pid != own).filter(holds).collect()
}

/// Sends a signal to a process if `still` holds once it cannot be mistaken for another any more.
pub fn signal_if(pid: i32, signal: Signal, still: impl FnOnce() -> bool) {
    let Some(number) = Pid::from_raw(pid) else { return };
    // The number of a process that ended passes on to another; a descriptor of it does not.
    let Ok(pidfd) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else {
        return;
    };
    if still() {
        // It has ended by itself, or this user may not: the caller looks again either way.
        let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_with_parentheses_and_spaces_are_no_obstacle() {
        let seen = parse("12 (a) R 1 (b) S 34 12 12 0").unwrap();
        assert_eq!((seen.parent, seen.dead), (34, false));
        assert!(parse("12 (a) Z 34 1").unwrap().dead);
        for text in ["", "12 a S 3", "12 (a)", "12 (a) S x"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn descendants_and_holders_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held");
        fs::write(&path, "").unwrap();
        let held = fs::File::open(&path).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "sleep 30 & echo; wait"])
            .stdin(Stdio::from(held))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        std::io::Read::read(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let tree = Tree::look();
        let sleeps = tree.living_children(pid);
        assert_eq!(sleeps.len(), 1);
        let below = tree.living_descendants(&BTreeSet::from([pid]));
        assert_eq!(below, sleeps.iter().copied().collect());
        assert!(
            tree.living_descendants(&BTreeSet::from([std::process::id() as i32]))
                .contains(&sleeps[0])
        );
        // The shell gives its background jobs another standard input.
        assert_eq!(holders(&path), BTreeSet::from([pid]));
        assert_eq!(
            tree.roots(&BTreeSet::from([pid, sleeps[0]])),
            BTreeSet::from([pid])
        );

        signal_if(sleeps[0], Signal::KILL, || false);
        signal_if(sleeps[0], Signal::KILL, || true);
        child.wait().unwrap();
        assert!(Tree::look().living_children(pid).is_empty());
        assert!(holders(&path).is_empty());
    }
}
