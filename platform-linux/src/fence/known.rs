//! What a host knows of a victim without asking anybody.

use std::net::IpAddr;

use ostrakon_core::format::LogEntry;
use ostrakon_core::ids::{BootId, HostId, VolumeId};

use crate::runtime::{Found, RuntimeDir};

/// Who asks, and where it finds the locks of its neighbours.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) host: HostId,
    pub(super) boot: BootId,
    pub(super) ip: IpAddr,
    pub(super) volume: VolumeId,
    pub(super) runtime: RuntimeDir,
}

/// What is known of a victim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// It ran before this host was booted last: nothing of it is left.
    EarlierBoot,
    /// A process of this boot whose last thread is gone.
    Dead,
    /// A process of this boot that is still there.
    Alive,
    /// Nothing: it runs elsewhere, or where this process cannot look.
    Nothing,
}

impl Here {
    pub(super) fn look(&self, victim: &LogEntry) -> Known {
        // 0 is the name of every machine that has none.
        if self.host != victim.host || self.host == HostId(0) {
            return Known::Nothing;
        }
        // Machines that were cloned with their machine id have different addresses.
        if self.boot != victim.boot {
            let booted = self.boot != BootId([0; 16]) && victim.boot != BootId([0; 16]);
            return if booted && self.ip == victim.addr.ip() {
                Known::EarlierBoot
            } else {
                Known::Nothing
            };
        }
        match self.runtime.look(self.volume, victim.ballot.rid) {
            Found::Dead => Known::Dead,
            Found::Alive(_) => Known::Alive,
            Found::Unknown => Known::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use ostrakon_core::format::FenceParam;
    use ostrakon_core::ids::{Ballot, Rid, Term};

    use super::*;

    fn look(host: u64, boot: u8, addr: &str) -> Known {
        let folder = tempfile::tempdir().unwrap();
        let here = Here {
            host: HostId(9),
            boot: BootId([9; 16]),
            ip: "10.0.0.1".parse().unwrap(),
            volume: VolumeId([1; 16]),
            runtime: RuntimeDir::at(folder.path()),
        };
        let victim = LogEntry {
            ballot: Ballot {
                term: Term(1),
                rid: Rid::new(5).unwrap(),
            },
            host: HostId(host),
            boot: BootId([boot; 16]),
            addr: addr.parse().unwrap(),
            quiet_ms: 0,
            fenced: false,
            fence_param: FenceParam::default(),
        };
        here.look(&victim)
    }

    #[test]
    fn only_an_earlier_boot_of_this_very_host_is_known_to_be_gone() {
        assert_eq!(look(9, 8, "10.0.0.1:7"), Known::EarlierBoot);
        assert_eq!(look(8, 8, "10.0.0.1:7"), Known::Nothing, "another host");
        assert_eq!(look(9, 8, "10.0.0.2:7"), Known::Nothing, "a clone of it");
        assert_eq!(look(9, 0, "10.0.0.1:7"), Known::Nothing, "no boot id");
        assert_eq!(
            look(9, 9, "10.0.0.1:7"),
            Known::Nothing,
            "this boot, no lock file"
        );
    }

    #[test]
    fn a_process_of_this_boot_is_known_by_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let here = Here {
            host: HostId(9),
            boot: BootId([9; 16]),
            ip: "10.0.0.1".parse().unwrap(),
            volume: VolumeId([1; 16]),
            runtime: RuntimeDir::at(folder.path()),
        };
        let rid = Rid::new(5).unwrap();
        let victim = LogEntry {
            ballot: Ballot { term: Term(1), rid },
            host: HostId(9),
            boot: BootId([9; 16]),
            addr: "10.0.0.1:9".parse().unwrap(),
            quiet_ms: 0,
            fenced: false,
            fence_param: FenceParam::default(),
        };
        let lock = here.runtime.lock(here.volume, rid).unwrap();
        assert_eq!(here.look(&victim), Known::Alive);
        drop(lock);
        assert_eq!(here.look(&victim), Known::Dead);
    }
}
