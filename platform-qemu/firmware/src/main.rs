//! Example: ostrakon in the firmware of a small RISC-V board, QEMU's `virt` with one core of 32 bits (riscv32imac).
//!
//! A voter: it takes part in elections with whatever other mounts the volume has, serves when it is elected, and is a client
//! when another one is. `cargo xtask firmware` runs it beside Linux mounts on one disk. What a platform has to bring
//! is said in `core/PORTING.md`; here it is:
//!
//! - this file: the loop, in the order of calls that the mount asks for.
//! - [`disk`]: core's disk requests as virtio requests, one at a time.
//! - `ostrakon-devices`, which is shared with the other bare image: the network card, and core's connections over smoltcp.
//! - [`board`]: clock, sleep, the serial line, the end; [`line`]: what is said on that line, and the fence that is asked for there.
//! - [`settings`]: what whoever starts it decides.

#![no_std]
#![no_main]
#![warn(missing_docs, unreachable_pub, rust_2018_idioms)]
#![warn(clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc)]

mod board;
mod disk;
mod line;
mod settings;

use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId};
use ostrakon_core::server::FixedMemory;
use ostrakon_core::service::NoService;
use ostrakon_core::time::earliest;
use ostrakon_devices::{Card, Exit, Net, NetSink, Room, TakeOnce, fill_random};

use board::now;
use disk::Disk;
use line::{Line, Order};
use settings::Settings;

const _: () = assert!(
    !ostrakon_core::rules::CAN_BE_SWITCHED_OFF,
    "core was built for the simulator, with rules that can be left out: no firmware may be made of it"
);

/// Room for eight clients, and four that connect at once and have not shown the key yet.
type Node = Mount<FixedMemory<8, 12>, NoService>;

/// TCP sockets: one for each connection of the node, for those that listen, and some that linger.
const SOCKETS: usize = 24;

static NODE: TakeOnce<Node> = TakeOnce::new();
static SOCKET_ROOM: Room<SOCKETS> = Room::new();

/// The mount's surroundings.
struct Board {
    disk: Disk,
    net: Net<SOCKETS>,
    line: Line,
}

#[riscv_rt::entry]
fn main(_hart: usize, device_tree: usize) -> ! {
    // SAFETY: QEMU passes the address of its device tree on, which lies above this program and is never written.
    let exit = match unsafe { Settings::of_device_tree(device_tree) }.and_then(start) {
        Ok((node, mut board)) => run(node, &mut board),
        Err(exit) => exit,
    };
    board::end(exit)
}

/// Takes the devices, and begins to mount.
fn start(settings: Settings) -> Result<(&'static mut Node, Board), Exit> {
    let devices = board::find_devices();
    let (mut rid, mut seed, mut boot, mut net_seed) = ([0; 8], [0; 32], [0; 16], [0; 8]);
    {
        let mut random = [0; 64];
        let rng = devices.rng.ok_or(Exit::NoDevice)?;
        if !fill_random(rng, &mut random) {
            return Err(Exit::NoDevice);
        }
        rid.copy_from_slice(&random[..8]);
        net_seed.copy_from_slice(&random[8..16]);
        boot.copy_from_slice(&random[16..32]);
        seed.copy_from_slice(&random[32..]);
    }
    let config = settings.config(u64::from_le_bytes(rid), boot)?;
    let disk = devices
        .disk
        .and_then(|slot| Disk::start(slot, config.write_time_max));
    let card = devices.net.and_then(Card::start).ok_or(Exit::NoDevice)?;
    let mut line = Line::start(settings.fence_time_max);
    line.say(format_args!("hello {} {}", config.rid, settings.name));
    let board = Board {
        disk: disk.ok_or(Exit::NoDevice)?,
        net: Net::start(
            now(),
            card,
            &settings.place,
            u64::from_le_bytes(net_seed),
            &SOCKET_ROOM,
        ),
        line,
    };
    let node = NODE.fill(|| Mount::new(now(), config, seed, FixedMemory::default(), NoService));
    Ok((node, board))
}

/// Drives the mount until it has ended or cannot be driven any more.
fn run(node: &mut Node, board: &mut Board) -> Exit {
    let mut ended = None;
    loop {
        take_inputs(node, board);
        node.poll(now());
        while let Some(event) = node.poll_event() {
            if let Event::Unmounted(how) = event {
                ended = Some(how);
            }
            board.line.tell(&event);
        }
        give_outputs(node, board);
        if node.has_ended() {
            break;
        }
        if board.disk.is_lost(now()) {
            return Exit::DiskLost;
        }
        if board.net.is_lost(now()) {
            return Exit::NetworkLost;
        }
        // An appliance acts here, and nowhere else, as long as this is its term: `node.right(now())`.
        board::sleep_until(earliest(&[
            node.next_deadline(),
            board.disk.next_deadline(),
            board.net.next_deadline(now()),
            board.line.next_deadline(),
        ]));
    }
    match ended {
        Some(Unmounted::Farewell | Unmounted::Barrier | Unmounted::NeverMounted) => Exit::Left,
        // Others went on without what this mount knew: it takes part again as another one.
        Some(Unmounted::Evicted | Unmounted::Superseded) => board::reset(),
        _ => Exit::NotClean,
    }
}

/// Everything that has come in, before the mount may judge that a time has passed.
fn take_inputs(node: &mut Node, board: &mut Board) {
    board.disk.acknowledge();
    board.net.acknowledge();
    while let Some(order) = board.line.next_order() {
        match order {
            Order::Fenced(victim, outcome) => node.handle_fence(now(), victim, outcome),
            Order::Unmount => node.unmount(now()),
            Order::Force => node.force(now()),
        }
    }
    board
        .disk
        .turn(|id, outcome| node.handle_disk(now(), id, outcome));
    let mut scratch = [0; 2 * MESSAGE_BYTES_MAX];
    board.net.turn(now(), &mut scratch, &mut Sink(node));
}

/// Everything that the mount wants done.
fn give_outputs(node: &mut Node, board: &mut Board) {
    while let Some(request) = node.poll_net(now()) {
        let mut refused = None;
        board
            .net
            .request(request, |conn, reason| refused = Some((conn, reason)));
        if let Some((conn, reason)) = refused {
            node.handle_closed(now(), conn, reason);
        }
    }
    let mut message = [0; MESSAGE_BYTES_MAX];
    while let Some((conn, length)) = node.poll_transmit(now(), &mut message) {
        if !board.net.transmit(conn, &message[..length]) {
            node.handle_closed(now(), conn, CloseReason::Failed);
        }
    }
    board.net.flush(now());
    while let Some(request) = node.poll_fence(now()) {
        if !board.line.ask_for_fence(&request) {
            node.handle_fence(now(), request.victim.ballot, FenceOutcome::Failed);
        }
    }
    if let Some(buffer) = board.disk.buffer()
        && let Some(request) = node.poll_disk(now(), buffer)
    {
        board.disk.submit(request);
    }
}

/// The mount as the one who is told what came in from the network.
struct Sink<'a>(&'a mut Node);

impl NetSink for Sink<'_> {
    fn listening(&mut self, listens: Result<(), CloseReason>) {
        self.0.handle_listening(now(), listens);
    }
    fn accept(&mut self) -> Option<ConnId> {
        self.0.handle_accept(now())
    }
    fn connected(&mut self, conn: ConnId) {
        self.0.handle_connected(now(), conn);
    }
    fn closed(&mut self, conn: ConnId, reason: CloseReason) {
        self.0.handle_closed(now(), conn, reason);
    }
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize {
        self.0.handle_bytes(now(), conn, bytes)
    }
}
