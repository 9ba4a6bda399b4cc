//! `ostrakon rekey`.

use std::path::PathBuf;

use super::Exit;
use super::exit::refusal;
use crate::offline::change;

/// Replace the volume's key, by which its hosts know one another on the network, while nobody is mounted.
///
/// Do it when somebody may have read the device who no longer should: a host that left the cluster, a copy that was given
/// away. The new key is drawn, written, and never shown. Refused while a client is mounted, a server is not known to
/// be gone, or so much is damaged that somebody may be hidden by it. Do not mount anything on any host while this runs.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    match change::rekey(&args.device) {
        Ok(volume) => {
            println!("{}: volume {volume} has a new key", args.device.display());
            Exit::Done
        }
        Err(error) => refusal(&args.device, error),
    }
}
