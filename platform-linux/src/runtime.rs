//! Locks by which the processes of one host know of one another's death.
//!
//! Each mount holds an exclusive `flock` on `<runtime dir>/ostrakon/<volume>/<rid>.lock` for as long as it may do
//! I/O. The kernel drops it when the last thread of the process is gone, and with it the last system call:
//! a lock that can be taken says that nothing of that mount can reach the device from this host any more.
//! A program that runs because the mount leads, and its keeper, inherit the lock ([`crate::program`]), so that it says the same
//! of them.
//!
//! The file holds the pid (first line) and the pid namespace (second line) of its holder.
//!
//! A file is removed by a mount that left cleanly. One that was killed leaves its file as evidence; it is empty
//! of meaning after a reboot, which is why it belongs in a folder that does not survive one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ostrakon_core::ids::{Rid, VolumeId};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Longest lock file that is believed.
const LOCK_FILE_BYTES_MAX: u64 = 256;

/// The folder of the locks of one user's or one system's mounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuntimeDir(PathBuf);

/// The lock of a mount of this process.
#[derive(Debug)]
pub struct MountLock {
    path: PathBuf,
    // The lock lives as long as the open file, in whatever process.
    file: File,
}

/// What a lock file tells of its mount.
#[derive(Debug)]
pub enum Found {
    /// Nothing: it may run elsewhere, or under another runtime directory.
    Unknown,
    /// The lock is free: no thread of that mount is left.
    Dead,
    /// The lock is held.
    Alive(Holder),
}

/// Who holds a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process, as it is numbered in its namespace.
    pub pid: i32,
    /// Whether that is our namespace too, so that the number means something here.
    pub same_namespace: bool,
}

impl RuntimeDir {
    /// `$OSTRAKON_RUNTIME_DIR`, else `/run` if this user may write there, else `$XDG_RUNTIME_DIR`, else
    /// `/tmp/ostrakon-<uid>`.
    pub fn default_dir() -> Self {
        let named = std::env::var_os("OSTRAKON_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        if let Some(dir) = named {
            return Self(dir.into());
        }
        let writable = |dir: &Path| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok();
        if writable(Path::new("/run")) {
            return Self("/run".into());
        }
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        match xdg.filter(|dir| writable(dir)) {
            Some(dir) => Self(dir),
            None => Self::of_user(),
        }
    }

    /// Every folder in which a mount of this host may have put its lock, whoever started it.
    pub fn candidates() -> Vec<Self> {
        let named = ["OSTRAKON_RUNTIME_DIR", "XDG_RUNTIME_DIR"];
        let mut dirs: Vec<Self> = named
            .into_iter()
            .filter_map(std::env::var_os)
            .filter(|dir| !dir.is_empty())
            .map(|dir| Self(dir.into()))
            .collect();
        dirs.push(Self("/run".into()));
        dirs.push(Self::of_user());
        dirs
    }

    fn of_user() -> Self {
        Self(format!("/tmp/ostrakon-{}", rustix::process::getuid().as_raw()).into())
    }

    /// This folder.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where the locks of a volume's mounts lie.
    fn volume_dir(&self, volume: VolumeId) -> PathBuf {
        self.0.join("ostrakon").join(volume.to_string())
    }

    /// Takes the lock of a new mount and writes this process's pid there.
    ///
    /// # Errors
    /// The system's, with the path; and a folder that belongs to somebody else, who could forge locks there.
    pub fn lock(&self, volume: VolumeId, rid: Rid) -> io::Result<MountLock> {
        let dir = self.volume_dir(volume);
        let path = dir.join(format!("{rid}.lock"));
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(named)?;
        if !is_trusted(&dir) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} belongs to another user", dir.display()),
            ));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(named)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| named(errno.into()))?;
        write!(file, "{}\n{}\n", std::process::id(), pid_namespace()).map_err(named)?;
        Ok(MountLock { path, file })
    }

    /// Keeps an operator's word, or an agent's that an operator asked, that a mount is silent for good.
    ///
    /// # Errors
    /// The system's, with the path; and a folder that belongs to somebody else.
    pub fn confirm(&self, volume: VolumeId, rid: Rid) -> io::Result<()> {
        let dir = self.volume_dir(volume);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(named)?;
        if !is_trusted(&dir) {
            return Err(named(io::Error::from(io::ErrorKind::PermissionDenied)));
        }
        fs::write(dir.join(format!("{rid}.fenced")), "").map_err(named)
    }

    /// Whether [`confirm`](Self::confirm) was called for a mount, since this host was booted.
    pub fn is_confirmed(&self, volume: VolumeId, rid: Rid) -> bool {
        let dir = self.volume_dir(volume);
        is_trusted(&dir) && dir.join(format!("{rid}.fenced")).is_file()
    }

    /// What is known here of a mount.
    pub fn look(&self, volume: VolumeId, rid: Rid) -> Found {
        look_at(&self.volume_dir(volume).join(format!("{rid}.lock")))
    }

    /// A mount of this volume, other than this one, that lives on this host.
    pub fn neighbour(&self, volume: VolumeId, own: Rid) -> Option<String> {
        let own = format!("{own}.lock");
        let locks = fs::read_dir(self.volume_dir(volume))
            .into_iter()
            .flatten()
            .flatten();
        locks
            .map(|lock| lock.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "lock") && !path.ends_with(&own))
            .find(|path| matches!(look_at(path), Found::Alive(_)))
            .and_then(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
    }

    /// The lock file of a mount of any volume, if there is one.
    pub fn find(&self, rid: Rid) -> Option<PathBuf> {
        let volumes = fs::read_dir(self.0.join("ostrakon"))
            .into_iter()
            .flatten()
            .flatten();
        volumes
            .map(|volume| volume.path().join(format!("{rid}.lock")))
            .find(|path| path.is_file())
    }

    /// What is known here of a mount of any volume: rids are random, so that one is enough to find it.
    pub fn look_everywhere(&self, rid: Rid) -> Found {
        let volumes = fs::read_dir(self.0.join("ostrakon"))
            .into_iter()
            .flatten()
            .flatten();
        volumes
            .map(|volume| look_at(&volume.path().join(format!("{rid}.lock"))))
            .find(|found| !matches!(found, Found::Unknown))
            .unwrap_or(Found::Unknown)
    }
}

impl MountLock {
    /// The open file that carries the lock. Whoever inherits it holds the lock too.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Removes the file: this mount has left, and nobody will ask for it again.
    pub fn remove(&self) {
        // One that cannot be removed is litter until the next boot, nothing worse.
        let _ = fs::remove_file(&self.path);
    }
}

/// Only root and this user may say that somebody is dead.
fn is_trusted(dir: &Path) -> bool {
    let own = rustix::process::getuid().as_raw();
    fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir() && [own, 0].contains(&meta.uid()))
}

fn look_at(path: &Path) -> Found {
    if !path.parent().is_some_and(is_trusted) {
        return Found::Unknown;
    }
    let Ok(mut file) = File::open(path) else {
        return Found::Unknown;
    };
    // Shared, so that two who look at once do not take each other for the mount.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) if is_complete(&mut file) => Found::Dead,
        // Created a moment ago and not locked yet.
        Ok(()) => Found::Unknown,
        Err(Errno::WOULDBLOCK) => read_holder(&mut file).map_or(Found::Unknown, Found::Alive),
        Err(_) => Found::Unknown,
    }
}

fn is_complete(file: &mut File) -> bool {
    read_holder(file).is_some()
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(LOCK_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let mut lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    let pid = lines.next()?.parse().ok().filter(|&pid| pid > 0)?;
    let namespace = lines.next()?;
    Some(Holder {
        pid,
        same_namespace: namespace == pid_namespace(),
    })
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map_or_else(
        |_| "unknown".to_owned(),
        |link| link.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: VolumeId = VolumeId([7; 16]);

    fn bench() -> (tempfile::TempDir, RuntimeDir, Rid) {
        let folder = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::at(folder.path());
        (folder, dir, Rid::new(0xabc).unwrap())
    }

    #[test]
    fn a_mount_is_alive_while_it_holds_its_lock_and_dead_after() {
        let (_folder, dir, rid) = bench();
        let lock = dir.lock(VOLUME, rid).unwrap();
        for found in [dir.look(VOLUME, rid), dir.look_everywhere(rid)] {
            let Found::Alive(holder) = found else {
                panic!("{found:?}");
            };
            assert_eq!(holder.pid, std::process::id() as i32);
            assert!(holder.same_namespace);
        }
        assert_eq!(dir.neighbour(VOLUME, rid), None);
        let other = Rid::new(rid.value() + 1).unwrap();
        assert_eq!(dir.neighbour(VOLUME, other), Some(rid.to_string()));
        drop(lock);
        assert_eq!(dir.neighbour(VOLUME, other), None);
        assert!(matches!(dir.look(VOLUME, rid), Found::Dead));
        assert!(matches!(dir.look_everywhere(rid), Found::Dead));
    }

    #[test]
    fn nothing_is_known_of_others_and_of_those_who_left() {
        let (_folder, dir, rid) = bench();
        assert!(matches!(dir.look(VOLUME, rid), Found::Unknown));
        dir.lock(VOLUME, rid).unwrap().remove();
        assert!(matches!(dir.look(VOLUME, rid), Found::Unknown));
        assert!(matches!(dir.look_everywhere(rid), Found::Unknown));
    }

    #[test]
    fn a_half_written_lock_file_proves_nobodys_death() {
        let (_folder, dir, rid) = bench();
        fs::create_dir_all(dir.volume_dir(VOLUME)).unwrap();
        let path = dir.volume_dir(VOLUME).join(format!("{rid}.lock"));
        for text in ["", "12", "12\n", "12\npid:[4", "-3\npid:[1]\n", "x\npid:[1]\n"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(dir.look(VOLUME, rid), Found::Unknown), "{text:?}");
        }
        fs::write(&path, "12\npid:[1]\n").unwrap();
        assert!(matches!(dir.look(VOLUME, rid), Found::Dead));
    }

    #[test]
    fn a_rid_is_locked_once() {
        let (_folder, dir, rid) = bench();
        let _lock = dir.lock(VOLUME, rid).unwrap();
        assert_eq!(
            dir.lock(VOLUME, rid).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }
}
