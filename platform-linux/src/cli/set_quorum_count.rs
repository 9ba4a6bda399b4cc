//! `ostrakon set-quorum-count`.

use std::path::PathBuf;

use super::Exit;
use super::exit::refusal;
use crate::offline::change;

/// Change the number of votes that elect a leader, while nobody is mounted.
///
/// Refused while a client is mounted, a server is not known to be gone, or so much is damaged that somebody may be
/// hidden by it. Do not mount anything on any host while this runs.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
    /// Votes that elect a leader
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=ostrakon_core::bounds::VOTERS_MAX as i64))]
    count: u16,
}

pub(super) fn run(args: &Args) -> Exit {
    match change::quorum_count(&args.device, args.count) {
        Ok(before) => {
            println!(
                "{}: quorum count {before} is now {}",
                args.device.display(),
                args.count
            );
            Exit::Done
        }
        Err(error) => refusal(&args.device, error),
    }
}
