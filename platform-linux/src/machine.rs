//! Which machine this is, and which boot of it.

use std::fs;
use std::path::Path;

use ostrakon_core::ids::{BootId, HostId};

/// Identity of this machine across its boots, from `/etc/machine-id`; 0 if it has none.
///
/// The machine id itself is not to be published, so only a hash of it is.
pub fn host_id() -> HostId {
    host_id_from(Path::new("/etc/machine-id"))
}

/// Identity of this boot; all zero where the kernel tells none.
pub fn boot_id() -> BootId {
    boot_id_from(Path::new("/proc/sys/kernel/random/boot_id"))
}

fn host_id_from(path: &Path) -> HostId {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = text.trim();
    let drawn = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    // An image that was never booted says "uninitialized"; a wiped one is empty.
    HostId(if drawn { fnv1a(id.as_bytes()) } else { 0 })
}

fn boot_id_from(path: &Path) -> BootId {
    let text = fs::read_to_string(path).unwrap_or_default();
    let digits: String = text.trim().chars().filter(|&digit| digit != '-').collect();
    let value = (digits.len() == 32)
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten();
    BootId(value.unwrap_or(0).to_be_bytes())
}

/// FNV-1a, because it must come out the same in every build of this program for as long as it exists, which
/// the standard library does not promise of its hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .chain(b"ostrakon host")
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> (HostId, BootId) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        (host_id_from(file.path()), boot_id_from(file.path()))
    }

    #[test]
    fn a_machine_id_gives_a_stable_hash_and_anything_else_gives_none() {
        let (host, _) = with("0123456789abcdef0123456789abcdef\n");
        assert_eq!(host, HostId(0x47fb_3c2c_32a9_9446), "{host}");
        for text in ["", "uninitialized\n", "0123", "zz23456789abcdef0123456789abcdef"] {
            assert_eq!(with(text).0, HostId(0), "{text:?}");
        }
        assert_eq!(host_id_from(Path::new("/nonexistent/machine-id")), HostId(0));
    }

    #[test]
    fn a_boot_id_is_the_uuid_in_order() {
        let (_, boot) = with("01234567-89ab-cdef-0123-456789abcdef\n");
        assert_eq!(boot.to_string(), "0123456789abcdef0123456789abcdef");
        assert_eq!(with("no uuid").1, BootId([0; 16]));
        assert_ne!(boot_id(), BootId([0; 16]), "this kernel has one");
    }
}
