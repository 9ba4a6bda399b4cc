//! ostrakon as a bare x86_64 image: the same core as everywhere, linked with no operating system, no `std` and no heap.
//!
//! Boots under QEMU's `microvm` by PVH. What the folders and files are:
//!
//! - [`machine`]: processor and board.
//! - [`virtio`], [`disk`]: the devices, and core's seam on the disk; the network is in `ostrakon-devices`.
//! - [`control`], [`fence`]: the line to the outside, and fencing by it.
//! - [`command_line`]: what whoever starts the image decides.
//! - [`host`]: the loop that polls the mount.
//! - [`conformance`]: core's test of the disk, instead of a mount.
//! - [`log`]: what is told to people.
//!
//! `unsafe` is where the machine is touched, and nowhere else, each with its reason.

#![no_std]
#![no_main]
#![warn(missing_docs, unreachable_pub, rust_2018_idioms)]
#![warn(clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc)]

mod command_line;
mod conformance;
mod control;
mod disk;
mod fence;
mod host;
mod log;
mod machine;
mod virtio;

use core::net::SocketAddr;

use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::{BootId, Rid};
use ostrakon_core::noise::SEED_BYTES;
use ostrakon_core::time::Duration;
use ostrakon_devices::{Card, Exit, Net, Plain, fill_random};

use crate::log::{error, info};
use command_line::{FenceMode, Settings};
use control::Control;
use disk::Disk;
use fence::Fencer;
use host::Host;
use machine::clock::Clock;
use machine::exit::exit;
use machine::watchdog::Watchdog;
use machine::{boot, interrupts, start_info};

const _: () = assert!(
    !ostrakon_core::rules::CAN_BE_SWITCHED_OFF,
    "core was built for the simulator, with rules that can be left out: no image may be made of it"
);

/// What is drawn from the source of entropy, once.
#[derive(Clone, Copy)]
struct Drawn {
    rid: Rid,
    boot: BootId,
    seed: [u8; SEED_BYTES],
    net_seed: u64,
}

/// The boot code calls this, once, with what the loader handed over.
extern "C" fn kernel_main(start_info: *const u8) -> ! {
    interrupts::start();
    let clock = Clock::calibrate();
    crate::log::set_clock(clock);
    // SAFETY: the boot code passes on what the loader put there, and nothing has written to memory outside of the
    // image, its stack included, since.
    let line = unsafe { start_info::command_line(start_info) };
    exit(run(clock, line).unwrap_or_else(|why| why))
}

fn run(clock: Clock, line: &str) -> Result<Exit, Exit> {
    let settings = Settings::parse(line).map_err(|bad| {
        error!("{}", bad);
        Exit::CommandLine
    })?;
    crate::log::set_level(settings.level);
    info!(
        "ostrakon {} for {}: counter {} MHz, core {} KiB, stack {} KiB",
        env!("CARGO_PKG_VERSION"),
        settings.name,
        clock.counter_per_ms() / 1_000,
        host::CORE_BYTES / 1024,
        boot::STACK_BYTES / 1024
    );
    let mut devices = virtio::find();
    let drawn = devices
        .rng
        .take()
        .and_then(draw)
        .ok_or_else(|| missing("source of entropy"))?;
    if let Some(first) = settings.conformance {
        let limit = settings.write_time_max;
        return conformance::run(clock, devices, first, drawn.net_seed, limit);
    }
    let disk = devices
        .disk
        .and_then(|slot| Disk::start(slot, disk::Memory::take()))
        .ok_or_else(|| missing("disk"))?;
    let card = devices
        .net
        .and_then(Card::start)
        .ok_or_else(|| missing("network card"))?;
    if disk.is_read_only() {
        error!("the disk refuses writes: a shared disk is opened for reading and writing by everybody");
        return Err(Exit::NoDevice);
    }
    let mut control = Control::start();
    control.say(format_args!("hello {} {}", drawn.rid, settings.name));
    info!("mount {}, disk of {} blocks", drawn.rid, disk.blocks());

    let net = Net::start(
        clock.now(),
        card,
        &settings.place,
        drawn.net_seed,
        &host::SOCKET_ROOM,
    );
    let fencer = Fencer::new(settings.host, drawn.boot, settings.fence_time_max);
    let config = config(&settings, drawn);
    let mut host = Host::start(clock, config, drawn.seed, disk, net, control, fencer);
    if let Some(timeout) = settings.watchdog {
        // From here on the loop must come round.
        let watchdog = Watchdog::start(clock.now(), timeout).ok_or_else(|| missing("watchdog"))?;
        host.guard_by(watchdog);
    }
    Ok(host.run())
}

fn missing(device: &str) -> Exit {
    error!("this machine has no {}, or it does not come up", device);
    Exit::NoDevice
}

fn draw(rng: Plain) -> Option<Drawn> {
    let mut bytes = [0; 32 + SEED_BYTES];
    if !fill_random(rng, &mut bytes) {
        return None;
    }
    let (words, _) = bytes.as_chunks::<8>();
    let (_, seed) = bytes.split_last_chunk::<SEED_BYTES>()?;
    let word = |index: usize| u64::from_le_bytes(words[index]);
    Some(Drawn {
        // One in 2^64 is 0, which is no rid.
        rid: Rid::new(word(0))?,
        seed: *seed,
        net_seed: word(1),
        boot: BootId((u128::from(word(2)) << 64 | u128::from(word(3))).to_le_bytes()),
    })
}

fn config(settings: &Settings, drawn: Drawn) -> Config {
    let voter = settings.server.map(|addr| {
        let voter = VoterConfig::fencing(SocketAddr::V4(addr), FenceParam::default());
        let (can_fence, lease) = match settings.fence {
            FenceMode::Line => (true, None),
            FenceMode::Lease(time) => (false, Some(time)),
        };
        VoterConfig {
            can_fence,
            lease,
            // What a watchdog lets pass is part of the promise.
            linger: settings.watchdog.unwrap_or(Duration::ZERO),
            fence_time_max: settings.fence_time_max,
            ..voter
        }
    });
    Config {
        host: settings.host,
        boot: drawn.boot,
        voter,
        write_time_max: settings.write_time_max,
        transfer_blocks: disk::TRANSFER_BLOCKS as u32,
        silence_max: settings.silence_max,
        recovery_time: settings.recovery_time,
        ..Config::client(drawn.rid)
    }
}
