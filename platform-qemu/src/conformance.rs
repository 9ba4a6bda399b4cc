//! Core's conformance test of a platform's disk, run by this platform: the same disk in two slots, each with its own driver.

use ostrakon_core::conformance::{Conformance, Side};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::time::Duration;
use ostrakon_devices::Exit;

use crate::disk::{Disk, Memory, TRANSFER_BLOCKS};
use crate::log::{Debug, error, info};
use crate::machine::clock::Clock;
use crate::machine::interrupts;
use crate::missing;
use crate::virtio::Devices;

/// Requests that each side has under way at most.
const REQUESTS: usize = 1;

/// Runs the test on the blocks from `first`, which it overwrites. `seed` is drawn from the platform's entropy.
///
/// # Errors
/// If there are not two disks.
pub(crate) fn run(
    clock: Clock,
    devices: Devices,
    first: BlockNo,
    seed: u64,
    limit: Duration,
) -> Result<Exit, Exit> {
    let (here, rest) = Memory::take().split(REQUESTS);
    let (there, scratch) = rest.split(REQUESTS);
    let start = |slot, memory| Disk::start(slot, memory);
    let here = devices.disk.and_then(|slot| start(slot, here));
    let there = devices.other_disk.and_then(|slot| start(slot, there));
    let mut sides = [
        here.ok_or_else(|| missing("disk"))?,
        there.ok_or_else(|| missing("second disk"))?,
    ];
    let scratch = scratch.into_buffer().ok_or(Exit::NoDevice)?;

    let mut test = Conformance::new(first, TRANSFER_BLOCKS as u32, limit, seed);
    let mut requests = 0;
    loop {
        match test.result() {
            Some(Ok(())) => {
                info!("the disk keeps what the rules assume: {} requests", requests);
                return Ok(Exit::Left);
            }
            Some(Err(violation)) => {
                error!(
                    "the disk does not keep what the rules assume: {}",
                    Debug(&violation)
                );
                return Ok(Exit::NotConforming);
            }
            None => {}
        }
        // Which side is to write these bytes is known only when they are there.
        if let Some((side, request)) = test.poll_disk(clock.now(), scratch) {
            let disk = &mut sides[usize::from(side == Side::There)];
            let Some(buffer) = disk.buffer() else {
                unreachable!("the test has one request under way at a time");
            };
            buffer.copy_from_slice(scratch);
            disk.submit(clock.now(), request);
            requests += 1;
        }
        for disk in &mut sides {
            disk.acknowledge();
            disk.turn(clock.now(), |id, outcome| {
                test.handle_disk(clock.now(), id, outcome)
            });
        }
        let due = sides.iter().filter_map(|disk| disk.next_deadline(limit)).min();
        if due.is_some() {
            interrupts::sleep_until(&clock, due);
        }
    }
}
