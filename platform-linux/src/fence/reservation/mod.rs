//! SCSI-3 persistent reservations as a fence: a device that writes for nobody but its registrants.
//!
//! Each voter registers a key on its path to the device, its rid. All registrants together hold the reservation (write
//! exclusive, registrants only: all who are registered write, and readers go on). A victim's registration is removed by whoever fences it, and from then on the
//! device refuses what its host writes.
//!
//! The device knows paths from hosts, not processes. So a host has one mount of a volume at a time, and a mount registers
//! only when every earlier one of its host is gone: otherwise it would let its predecessor in again. And the reservation
//! must not end while somebody may be frozen who is to be kept out: its holder and the last ones to leave keep their keys, which
//! their hosts' next mounts replace.

mod command;
mod generic;

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ostrakon_core::ids::Rid;

use command::{Ask, Held, Tell, WRITE_EXCLUSIVE_REGISTRANTS_ONLY};
use generic::Refusal;

/// Bytes of room for answers: keys of a thousand paths.
const ANSWER_BYTES: u16 = 8 + 8 * 1024;

/// Tries of a command that meets unit attentions: one for each thing that may have happened since the last command.
const TRIES_MAX: usize = 8;

/// The registration of one mount.
#[derive(Debug)]
pub struct Reservation {
    device: File,
    path: PathBuf,
    key: u64,
    limit: Duration,
    aborts: bool,
}

impl Reservation {
    /// Registers a mount, makes the reservation if nobody has, and tries out all that a fence will need.
    ///
    /// # Errors
    /// What the device refuses, and what to do about it.
    pub fn take(path: &Path, rid: Rid, limit: Duration) -> Result<Self, String> {
        let device = open(path).map_err(|why| format!("--fence scsi: {}: {why}", path.display()))?;
        let mut reservation = Self {
            device,
            path: path.to_owned(),
            key: rid.value(),
            limit,
            aborts: false,
        };
        let able = reservation.set_up();
        able.map_err(|why| {
            format!(
                "--fence scsi: {} does not do what is needed: {why}. Choose another fence",
                path.display()
            )
        })?;
        Ok(reservation)
    }

    fn set_up(&mut self) -> Result<(), String> {
        let persists = match self.ask(Ask::Capabilities) {
            Ok(answer) => {
                let able = command::capabilities(&answer).ok_or("it says nothing of its capabilities")?;
                if able.registrants_only == Some(false) {
                    return Err(
                        "it has no reservations of the type write exclusive, registrants only".to_owned(),
                    );
                }
                able.persists
            }
            // Older devices have reservations, but do not tell of them.
            Err(Refusal::Unknown) => false,
            Err(error) => return Err(format!("asked for its capabilities: {error}")),
        };
        if let Some(other) = self.held()?.filter(|held| !is_ours(held)) {
            return Err(format!(
                "somebody else holds a reservation of scope and type {:#04x} with the key {:016x}: if that is a leftover, clear \
                 it with `sg_persist --out --clear`",
                other.scope_and_type, other.key
            ));
        }
        let key = self.key;
        self.tell(Tell::RegisterIgnoringExisting { key, keep: persists })
            .map_err(|error| format!("registering: {error}"))?;
        let able = self.reserve().and_then(|()| self.try_out());
        if able.is_err() {
            self.withdraw();
        }
        able
    }

    fn reserve(&self) -> Result<(), String> {
        if self.held()?.is_none() {
            let reserved = self.tell(Tell::Reserve { key: self.key });
            // Another host may have been quicker; what counts is what stands there now.
            reserved
                .or_else(|error| match error {
                    Refusal::Conflict => Ok(()),
                    error => Err(error),
                })
                .map_err(|error| format!("reserving: {error}"))?;
        }
        if !self.keys()?.contains(&self.key) {
            return Err("it does not keep a registration".to_owned());
        }
        match self.held()? {
            Some(held) if is_ours(&held) => Ok(()),
            held => Err(format!(
                "it holds {held:?}, expected type {WRITE_EXCLUSIVE_REGISTRANTS_ONLY}"
            )),
        }
    }

    /// Preempts a key that nobody has: a conflict, if the device knows how to preempt.
    fn try_out(&mut self) -> Result<(), String> {
        let victim = crate::entropy::rid().value();
        let key = self.key;
        match self.tell(Tell::PreemptAndAbort { key, victim }) {
            Ok(()) | Err(Refusal::Conflict) => {
                self.aborts = true;
                Ok(())
            }
            Err(Refusal::Unknown) => match self.tell(Tell::Preempt { key, victim }) {
                Ok(()) | Err(Refusal::Conflict) => Ok(()),
                Err(error) => Err(format!("preempting: {error}")),
            },
            Err(error) => Err(format!("preempting: {error}")),
        }
    }

    /// Bars a victim from the device. `Ok` says so; `true` also that what it had under way was aborted, so that nobody has
    /// to wait for it.
    pub(super) fn bar(&self, victim: Rid) -> Result<bool, String> {
        let (key, victim) = (self.key, victim.value());
        let keys = self.keys()?;
        if !keys.contains(&key) {
            return Err("this host was barred from the device itself".to_owned());
        }
        let mut aborted = false;
        if keys.contains(&victim) {
            let preempt = match self.aborts {
                true => Tell::PreemptAndAbort { key, victim },
                false => Tell::Preempt { key, victim },
            };
            match self.tell(preempt) {
                Ok(()) => aborted = self.aborts,
                // Another was quicker; whether it is gone is looked at below.
                Err(Refusal::Conflict) => {}
                Err(error) => return Err(format!("preempting: {error}")),
            }
        }
        if self.keys()?.contains(&victim) {
            return Err("the device keeps the victim's registration".to_owned());
        }
        match self.held()? {
            Some(held) if is_ours(&held) => Ok(aborted),
            held => Err(format!("the reservation is gone: the device holds {held:?}")),
        }
    }

    /// Removes the registration of a mount that left while others stay, unless it holds the reservation: that would end
    /// with it.
    pub fn leave(&self) {
        let holds = self
            .held()
            .is_ok_and(|held| held.is_none_or(|held| held.key == self.key));
        if !holds {
            self.withdraw();
        }
    }

    fn withdraw(&self) {
        let nothing = Tell::RegisterIgnoringExisting { key: 0, keep: false };
        if let Err(error) = self.tell(nothing) {
            // The next mount of this host replaces it.
            eprintln!(
                "ostrakon: {}: this host's key stays: {error}",
                self.path.display()
            );
        }
    }

    fn keys(&self) -> Result<Vec<u64>, String> {
        let answer = self
            .ask(Ask::Keys)
            .map_err(|error| format!("reading the keys: {error}"))?;
        command::keys(&answer).ok_or_else(|| "what it says of its keys makes no sense".to_owned())
    }

    fn held(&self) -> Result<Option<Held>, String> {
        let answer = self
            .ask(Ask::Reservation)
            .map_err(|error| format!("reading the reservation: {error}"))?;
        command::reservation(&answer)
            .ok_or_else(|| "what it says of its reservation makes no sense".to_owned())
    }

    fn ask(&self, ask: Ask) -> Result<Vec<u8>, Refusal> {
        let mut answer = vec![0; usize::from(ANSWER_BYTES)];
        let bytes = ask.bytes(ANSWER_BYTES);
        patiently(|| generic::receive(&self.device, &bytes, &mut answer, self.limit))?;
        Ok(answer)
    }

    fn tell(&self, tell: Tell) -> Result<(), Refusal> {
        let (bytes, mut list) = tell.bytes();
        patiently(|| generic::send(&self.device, &bytes, &mut list, self.limit))
    }
}

fn is_ours(held: &Held) -> bool {
    held.scope_and_type == WRITE_EXCLUSIVE_REGISTRANTS_ONLY
}

fn patiently(mut command: impl FnMut() -> Result<(), Refusal>) -> Result<(), Refusal> {
    for _ in 1..TRIES_MAX {
        match command() {
            Err(Refusal::Attention) => {}
            result => return result,
        }
    }
    command()
}

/// Opens a whole disk.
fn open(path: &Path) -> Result<File, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.file_type().is_block_device() {
        return Err("expected a block device: a file has no reservations".to_owned());
    }
    let device = meta.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let system = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    if system.join("partition").exists() {
        return Err(
            "a partition: a reservation bars a host from the whole disk, so give the volume one of its own"
                .to_owned(),
        );
    }
    if system.join("dm").exists() {
        return Err(
            "a device-mapper device: a registration is a matter of one path, so give the disk below it"
                .to_owned(),
        );
    }
    let opened = File::options().read(true).write(true).open(path);
    opened.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> String {
        let rid = Rid::new(5).unwrap();
        Reservation::take(Path::new(path), rid, Duration::from_secs(1)).unwrap_err()
    }

    #[test]
    fn what_has_no_reservations_is_refused_with_the_reason() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (path, word) in [
            (file.path().to_str().unwrap(), "a file has no reservations"),
            ("/dev/null", "expected a block device"),
            ("/nonexistent", "No such file"),
        ] {
            let said = refusal(path);
            assert!(
                said.starts_with("--fence scsi: ") && said.contains(word),
                "{said}"
            );
        }
    }

    #[test]
    fn attentions_are_told_once_each_and_then_the_command_counts() {
        let mut left = 3;
        let result = patiently(|| {
            left -= 1;
            if left > 0 { Err(Refusal::Attention) } else { Ok(()) }
        });
        assert!(result.is_ok());
        let mut calls = 0;
        let result = patiently(|| {
            calls += 1;
            Err(Refusal::Attention)
        });
        assert!(matches!(result, Err(Refusal::Attention)) && calls == TRIES_MAX);
        assert!(matches!(
            patiently(|| Err(Refusal::Conflict)),
            Err(Refusal::Conflict)
        ));
    }
}
