//! `ostrakon format`.

use std::io::ErrorKind;
use std::path::PathBuf;

use ostrakon_core::bounds::{CLIENTS_DEFAULT, CLIENTS_LIMIT, VOTERS_MAX};

use super::Exit;
use super::size::parse_size;
use crate::offline::format::{FormatError, FormatOptions, format};

/// Lay out a volume on a device or image file.
///
/// Refuses a device that holds a volume or bears any other known mark (file systems, volume managers, partition tables,
/// RAID, swap, encryption, cluster software), and one that something on this host uses, unless --force is given, and
/// says what it would destroy.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
    /// Votes that elect a leader. With V voters, more than V/2 keeps a severed minority from taking over
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=VOTERS_MAX as i64))]
    quorum_count: u16,
    /// Clients that can be mounted at once
    #[arg(long, value_name = "M", default_value_t = CLIENTS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_LIMIT)))]
    clients_max: u32,
    /// Make a new image file of this size, such as 64M; refused if the file is there
    #[arg(long, value_name = "S", value_parser = parse_size)]
    size: Option<u64>,
    /// Destroy what is there, even if it is in use
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    let options = FormatOptions {
        quorum_count: args.quorum_count,
        clients_max: args.clients_max,
        size: args.size,
        force: args.force,
    };
    if options.size.is_none() && !args.device.exists() {
        return Exit::Usage.because(format_args!(
            "{} is not there; --size makes a new image file",
            args.device.display()
        ));
    }
    match format(&args.device, &options) {
        Ok(formatted) => {
            let (state, device) = (&formatted.state, args.device.display());
            for destroyed in &formatted.destroyed {
                println!("destroyed: {destroyed}");
            }
            println!(
                "{device}: volume {}, quorum count {}, room for {} clients",
                state.volume, state.quorum_count, state.geometry.clients_max
            );
            Exit::Done
        }
        Err(error) => exit_of(&error).because(error),
    }
}

fn exit_of(error: &FormatError) -> Exit {
    match error {
        FormatError::Create { error, .. } if error.kind() == ErrorKind::AlreadyExists => Exit::Refused,
        FormatError::Holds { .. } | FormatError::InUse { .. } => Exit::Refused,
        FormatError::TooSmall { .. } => Exit::Usage,
        FormatError::Volume(_) | FormatError::Create { .. } => Exit::Failed,
    }
}
