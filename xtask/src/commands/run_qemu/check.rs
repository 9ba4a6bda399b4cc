//! What CI runs: the image's own lints, the script with images only, with a Linux mount among
//! them, and over a real NBD server.

use ostrakon_xtask::failure::Result;

use super::nbd::NbdServer;
use super::{Wishes, image, is_qemu_there, show};

/// Returns what could not be checked on this machine.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut skipped = image::lint()?;
    if !is_qemu_there() {
        let how = super::install_command();
        skipped.push(format!("the cluster of bare images: no QEMU here ({how})"));
        return Ok(skipped);
    }
    show(&Wishes::default())?;
    let mixed = Wishes {
        voters: 2,
        clients: 1,
        linux: 1,
        ..Wishes::default()
    };
    show(&mixed)?;
    if NbdServer::is_installed() {
        // Two clients of the disk are enough to share it over a network; three voters need a majority.
        show(&Wishes {
            nbd: true,
            clients: 1,
            ..Wishes::default()
        })?;
    } else {
        skipped.push("the cluster over an NBD server: no qemu-nbd here (on Debian: qemu-utils)".to_owned());
    }
    Ok(skipped)
}
