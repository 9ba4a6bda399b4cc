//! What CI runs: the image's own lints, the conformance test, and the script: with images only, with a Linux mount among them,
//! with leases and watchdogs, and over a real NBD server.

use ostrakon_xtask::failure::Result;

use super::guest::QEMU;
use super::nbd::NbdServer;
use super::script::Acts;
use super::{Fence, Wishes, image, show};
use crate::cargo::is_there;

/// Returns what could not be checked on this machine.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut skipped = image::lint()?;
    if !is_there(QEMU) {
        let how = super::install_command();
        skipped.push(format!("the cluster of bare images: no QEMU here ({how})"));
        return Ok(skipped);
    }
    // What a machine without the bare target would run.
    show(&Wishes {
        conformance: true,
        freestanding: true,
        ..Wishes::default()
    })?;
    show(&Wishes::default())?;
    // A pair, so that after each step the one of the other kind serves.
    show(&Wishes {
        voters: 1,
        clients: 1,
        linux: 1,
        acts: Acts::FailOvers,
        ..Wishes::default()
    })?;
    show(&Wishes {
        fence: Fence::Lease,
        acts: Acts::FailOvers,
        clients: 1,
        ..Wishes::default()
    })?;
    // As many as a volume can have.
    show(&Wishes {
        voters: 16,
        freestanding: true,
        clients: 0,
        acts: Acts::Election,
        ..Wishes::default()
    })?;
    if NbdServer::installed().is_some() {
        show(&Wishes {
            nbd: true,
            acts: Acts::OneFailOver,
            voters: 2,
            clients: 1,
            ..Wishes::default()
        })?;
    } else {
        skipped.push(
            "the cluster over an NBD server: neither qemu-nbd nor nbdkit here (on Debian: apt-get install qemu-utils)"
                .to_owned(),
        );
    }
    Ok(skipped)
}
