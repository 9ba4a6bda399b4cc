//! `ostrakon fence`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use ostrakon_core::fence::FenceRequest;
use ostrakon_core::format::{ClientRecord, LogEntry};
use ostrakon_core::ids::{Ballot, Rid, Term};

use super::{Exit, fence_kill, mount_args};
use crate::disk::Access;
use crate::fence::{FenceAgent, FenceMap, Fencer, How, Means};
use crate::machine;
use crate::offline::{Region, Table, Volume};
use crate::runtime::RuntimeDir;

/// Fence a mount by hand, and have the mounts of this host believe it.
///
/// For the case that a new leader cannot fence an old one (event fence_failed). Run it on the host that tries to serve: what
/// is confirmed here is believed by the mounts of this host, under the same runtime directory, until it is booted again; and by
/// all hosts once one of these has acted on it.
///
/// Either it runs the agents given with --fence, as a mount does; or, with --confirmed, you say that you have made sure
/// yourself that the victim's host is off, or cut off from the device, for good. That is believed: if it is not so, two
/// hosts may write at once.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
    /// The victim, by its rid in hexadecimal
    #[arg(value_parser = fence_kill::parse_rid)]
    rid: Rid,
    /// I have made sure that the victim writes no more
    #[arg(long, conflicts_with = "fence")]
    confirmed: bool,
    /// How: agent:PROGRAM or script:PROGRAM, as for `ostrakon mount`
    #[arg(long, value_name = "agent:PROGRAM|script:PROGRAM", value_parser = mount_args::parse_agent, required_unless_present = "confirmed")]
    fence: Vec<FenceAgent>,
    /// What agents need to find each victim, as for `ostrakon mount`
    #[arg(long, value_name = "FILE")]
    fence_map: Option<PathBuf>,
    /// How long it may take, all agents together
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    fence_timeout_ms: u64,
}

pub(super) fn run(args: &Args) -> Exit {
    let volume = match Volume::open(&args.device, Access::Read) {
        Ok(volume) => volume,
        Err(error) => return Exit::of(&error).because(error),
    };
    let Some(victim) = find(&volume, args.rid) else {
        return Exit::Refused.because(format_args!(
            "no mount {} stands in the election log or the client table of {}: it stopped cleanly, was fenced, or never was \
             (see `ostrakon status`)",
            args.rid,
            args.device.display()
        ));
    };
    let id = volume.state().volume;
    let runtime = RuntimeDir::default_dir();
    let how = if args.confirmed {
        How::Operator
    } else {
        match ask(args, &volume, &runtime, victim) {
            Ok(how) => how,
            Err(why) => return Exit::Failed.because(format_args!("mount {} is not fenced: {why}", args.rid)),
        }
    };
    if matches!(how, How::DeadProcess | How::EarlierBoot) {
        // They also wait for as long as its writes may take, which is theirs to know.
        println!(
            "mount {} at {}: {how}; the mounts of this host see that themselves",
            args.rid, victim.addr
        );
        return Exit::Done;
    }
    if let Err(error) = runtime.confirm(id, args.rid) {
        return Exit::Failed.because(format_args!("the confirmation cannot be kept: {error}"));
    }
    println!(
        "mount {} at {}: {how}; the mounts of this host believe it",
        args.rid, victim.addr
    );
    Exit::Done
}

fn ask(args: &Args, volume: &Volume, runtime: &RuntimeDir, victim: LogEntry) -> Result<How, String> {
    args.fence.iter().try_for_each(FenceAgent::check)?;
    let (wake, woken) = mpsc::channel();
    let means = Means {
        agents: args.fence.clone(),
        reservation: None,
        map: args.fence_map.as_deref().map(FenceMap::open).transpose()?,
        time_max: Duration::from_millis(args.fence_timeout_ms),
        // Nobody acts on this at once: the mount that believes it asks again.
        write_time_max: Duration::ZERO,
        host: machine::host_id(),
        boot: machine::boot_id(),
        // No victim's: this command has no address that could be taken for one.
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        volume: volume.state().volume,
        runtime: runtime.clone(),
    };
    let wake = move || {
        // Nobody waits any more once the answer is known.
        let _ = wake.send(());
    };
    let mut fencer = Fencer::new(means, Arc::new(wake));
    fencer.start(&FenceRequest { victim, attempt: 1 });
    loop {
        if let Some(report) = fencer.next_report() {
            return match report.how {
                Some(how) => Ok(how),
                None => Err(report.failures.join("; ")),
            };
        }
        woken
            .recv()
            .map_err(|_| "the threads that fence are gone".to_owned())?;
    }
}

/// What the volume knows of a mount: as a leader, or else as a client.
fn find(volume: &Volume, rid: Rid) -> Option<LogEntry> {
    let region = Region::read(volume);
    let log = region.live_entries(volume.view().trimmed());
    if let Some(entry) = log.values().rev().find(|entry| entry.ballot.rid == rid) {
        return Some(*entry);
    }
    let table = Table::read(volume);
    let record = table
        .records(volume.state().unmount_barrier)
        .find(|record| record.rid == rid)?;
    as_victim(&record)
}

fn as_victim(record: &ClientRecord) -> Option<LogEntry> {
    Some(LogEntry {
        ballot: Ballot {
            term: Term(0),
            rid: record.rid,
        },
        host: record.host,
        boot: record.boot,
        addr: record.addr?,
        quiet_ms: 0,
        fenced: false,
        fence_param: record.fence_param,
    })
}
