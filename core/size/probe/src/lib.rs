//! What firmware links of ostrakon's core: one mount, its buffers, and a loop over functions of a platform.
//!
//! Nothing here is ever run; `ostrakon-size` builds it for other targets and measures what the loop reaches.

#![no_std]

use ostrakon_core::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use ostrakon_core::checksum;
use ostrakon_core::config::Config;
use ostrakon_core::disk::{DiskOutcome, DiskRequest};
use ostrakon_core::event::Event;
use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::ids::Ballot;
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::noise::SEED_BYTES;
use ostrakon_core::service::NoService;
use ostrakon_core::time::Instant;

/// Eight clients, and four connections at once that have not shown the key yet.
#[cfg(feature = "voter")]
type Slots = ostrakon_core::server::FixedMemory<8, 12>;
/// A plain client serves nobody.
#[cfg(not(feature = "voter"))]
type Slots = ();

/// What came in.
pub enum Input<'a> {
    /// A disk request ended.
    Disk(ostrakon_core::disk::IoId, DiskOutcome<'a>),
    /// The listener stands or not.
    Listening(Result<(), CloseReason>),
    /// A connection came in.
    Accept,
    /// A connection stands.
    Connected(ConnId),
    /// A connection is gone.
    Closed(ConnId, CloseReason),
    /// Bytes came in.
    Bytes(ConnId, &'a mut [u8]),
    /// A fence was answered.
    Fenced(Ballot, FenceOutcome),
    /// The user wants to leave.
    Unmount,
}

/// What a platform does; behind a trait object, so that none of it is measured.
pub trait Platform {
    /// What it decides.
    fn config(&self) -> (Config, [u8; SEED_BYTES]);
    /// The clock.
    fn now(&self) -> Instant;
    /// What came in, waiting until `deadline` at most.
    fn input(&mut self, deadline: Option<Instant>) -> Option<Input<'_>>;
    /// A connection's name, and bytes of it that were consumed.
    fn took(&mut self, conn: Option<ConnId>, bytes: usize);
    /// Prints.
    fn tell(&mut self, event: &Event);
    /// The network.
    fn net(&mut self, request: NetRequest);
    /// Sends.
    fn send(&mut self, conn: ConnId, message: &[u8]);
    /// Fences.
    fn fence(&mut self, request: &FenceRequest);
    /// Starts a transfer.
    fn disk(&mut self, request: DiskRequest, buffer: &mut [u8]);
    /// Whether the one buffer is free.
    fn disk_is_idle(&self) -> bool;
}

/// Memory of one mount, all buffers counted.
pub struct Firmware {
    mount: Mount<Slots, NoService>,
    block: [u8; BLOCK_BYTES],
    message: [u8; MESSAGE_BYTES_MAX],
}

/// So much RAM: its length is what the measuring program looks up.
#[unsafe(no_mangle)]
pub static OSTRAKON_PROBE_RAM: [u8; size_of::<Firmware>()] = [0; size_of::<Firmware>()];

/// So much of it is the mount.
#[unsafe(no_mangle)]
pub static OSTRAKON_PROBE_MOUNT: [u8; size_of::<Mount<Slots, NoService>>()] =
    [0; size_of::<Mount<Slots, NoService>>()];

/// Begins a mount.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ostrakon_probe_start(platform: &mut dyn Platform, firmware: &mut Firmware) {
    let (mut config, seed) = platform.config();
    config.transfer_blocks = 1;
    config.checksum = checksum::compact;
    if cfg!(not(feature = "voter")) {
        config = Config {
            checksum: checksum::compact,
            transfer_blocks: 1,
            ..Config::client(config.rid)
        };
    }
    let now = platform.now();
    #[allow(
        clippy::unit_arg,
        reason = "a plain client has no slots, and says so with a unit"
    )]
    let mount = Mount::new(now, config, seed, Slots::default(), NoService);
    firmware.mount = mount;
}

/// The loop, in the order of calls that the mount asks for.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ostrakon_probe_loop(platform: &mut dyn Platform, firmware: &mut Firmware) {
    let Firmware {
        mount,
        block,
        message,
    } = firmware;
    while !mount.has_ended() {
        let deadline = mount.next_deadline();
        let now = platform.now();
        let mut took = None;
        match platform.input(deadline) {
            Some(Input::Disk(id, outcome)) => mount.handle_disk(now, id, outcome),
            Some(Input::Listening(listens)) => mount.handle_listening(now, listens),
            Some(Input::Accept) => took = Some((mount.handle_accept(now), 0)),
            Some(Input::Connected(conn)) => mount.handle_connected(now, conn),
            Some(Input::Closed(conn, reason)) => mount.handle_closed(now, conn, reason),
            Some(Input::Bytes(conn, bytes)) => {
                took = Some((Some(conn), mount.handle_bytes(now, conn, bytes)))
            }
            Some(Input::Fenced(victim, outcome)) => mount.handle_fence(now, victim, outcome),
            Some(Input::Unmount) => mount.unmount(now),
            None => {}
        }
        if let Some((conn, bytes)) = took {
            platform.took(conn, bytes);
        }
        let now = platform.now();
        mount.poll(now);
        while let Some(event) = mount.poll_event() {
            platform.tell(&event);
        }
        while let Some(request) = mount.poll_net(now) {
            platform.net(request);
        }
        while let Some((conn, length)) = mount.poll_transmit(now, message) {
            platform.send(conn, &message[..length]);
        }
        while let Some(request) = mount.poll_fence(now) {
            platform.fence(&request);
        }
        while platform.disk_is_idle() {
            let Some(request) = mount.poll_disk(now, block) else {
                break;
            };
            platform.disk(request, block);
        }
    }
}

#[cfg(feature = "firmware")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[expect(clippy::empty_loop, reason = "nothing here is ever run")]
    loop {}
}
