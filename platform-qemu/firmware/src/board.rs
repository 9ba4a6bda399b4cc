//! QEMU's `virt` with one core: clock, sleep, virtio slots, serial port, and the end.
//!
//! No interrupt is ever taken: those that are switched on end a sleep, and the loop looks at everything anyway.

use core::panic::PanicInfo;

use ostrakon_core::time::Instant;
use ostrakon_devices::{Exit, Plain};
use virtio_drivers::transport::{DeviceType, Transport};

/// A device that ends QEMU with a status, or resets the machine.
const FINISHER: usize = 0x10_0000;
const FINISHER_FAIL: u32 = 0x3333;
const FINISHER_RESET: u32 = 0x7777;

/// The timer interrupt comes when the clock has reached this.
const TIMER: usize = 0x200_4000;
/// Counts of the clock in a microsecond.
const COUNTS_PER_US: u64 = 10;

/// The interrupt controller: priorities, what is let through to this core, and what is due.
const INTERRUPTS: usize = 0xc00_0000;
const INTERRUPTS_ENABLED: usize = INTERRUPTS + 0x2000;
const INTERRUPT_DUE: usize = INTERRUPTS + 0x20_0004;
/// The virtio slots have 1 to 8, the serial port 10.
const SOURCES: [usize; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 10];

/// First slot, bytes of a slot, and how many there are.
const SLOTS_AT: usize = 0x1000_1000;
const SLOT_BYTES: usize = 0x1000;
const SLOTS: usize = 8;

/// The serial port: its registers are bytes.
const SERIAL: usize = 0x1000_0000;
const SERIAL_INTERRUPTS: usize = SERIAL + 1;
const SERIAL_STATUS: usize = SERIAL + 5;
const RECEIVED: u8 = 1;
const ROOM_TO_SEND: u8 = 1 << 5;

fn read<T: Copy>(register: usize) -> T {
    // SAFETY: only the registers above are passed, each in its own width; none of them changes memory.
    unsafe { (register as *const T).read_volatile() }
}

fn write<T>(register: usize, value: T) {
    // SAFETY: as for reading.
    unsafe { (register as *mut T).write_volatile(value) }
}

/// Microseconds since power-on.
pub(crate) fn now() -> Instant {
    Instant(riscv::register::time::read64() / COUNTS_PER_US)
}

/// Halts until a device has something to say, or until `deadline`.
pub(crate) fn sleep_until(deadline: Option<Instant>) {
    let counts = deadline.map_or(u64::MAX, |deadline| deadline.0.saturating_mul(COUNTS_PER_US));
    // In this order nothing in between is earlier than it should be.
    write(TIMER + 4, u32::MAX);
    write(TIMER, counts as u32);
    write(TIMER + 4, (counts >> 32) as u32);
    riscv::asm::wfi();
    // Interrupts are levels: one whose device is not served yet is due again at once, and ends the next sleep.
    loop {
        match read::<u32>(INTERRUPT_DUE) {
            0 => return,
            source => write(INTERRUPT_DUE, source),
        }
    }
}

/// The devices that this program knows.
#[derive(Default)]
pub(crate) struct Devices {
    /// The shared disk.
    pub(crate) disk: Option<Plain>,
    /// The network card.
    pub(crate) net: Option<Plain>,
    /// The source of entropy.
    pub(crate) rng: Option<Plain>,
}

/// Looks into every slot, once, and lets the devices end a sleep.
pub(crate) fn find_devices() -> Devices {
    for source in SOURCES {
        write(INTERRUPTS + 4 * source, 1_u32);
    }
    let enabled: u32 = SOURCES.iter().map(|source| 1 << source).sum();
    write(INTERRUPTS_ENABLED, enabled);
    // SAFETY: no interrupt is taken, because they are not switched on as a whole.
    unsafe {
        riscv::register::mie::set_mtimer();
        riscv::register::mie::set_mext();
    }
    let mut devices = Devices::default();
    for slot in 0..SLOTS {
        // SAFETY: a slot of the board, and nobody else looks at it.
        let Some(device) = (unsafe { Plain::at(SLOTS_AT + slot * SLOT_BYTES, SLOT_BYTES) }) else {
            continue;
        };
        match device.device_type() {
            DeviceType::Block => devices.disk = Some(device),
            DeviceType::Network => devices.net = Some(device),
            DeviceType::EntropySource => devices.rng = Some(device),
            _ => {}
        }
    }
    devices
}

/// Lets the serial port say that bytes came in.
pub(crate) fn start_serial() {
    write(SERIAL_INTERRUPTS, RECEIVED);
}

/// A byte that came in on the serial port.
pub(crate) fn receive_byte() -> Option<u8> {
    (read::<u8>(SERIAL_STATUS) & RECEIVED != 0).then(|| read(SERIAL))
}

/// Sends a byte. QEMU drops it if nobody takes it, so that this does not wait for long.
pub(crate) fn send_byte(byte: u8) {
    while read::<u8>(SERIAL_STATUS) & ROOM_TO_SEND == 0 {}
    write(SERIAL, byte);
}

/// Ends QEMU with a status of twice the code and one, as the x86_64 image does.
pub(crate) fn end(how: Exit) -> ! {
    finish(how.status() << 16 | FINISHER_FAIL)
}

/// Begins anew, as after power-on.
pub(crate) fn reset() -> ! {
    finish(FINISHER_RESET)
}

fn finish(word: u32) -> ! {
    write(FINISHER, word);
    loop {
        riscv::asm::wfi();
    }
}

/// The start-up code hands over whatever the processor cannot go on from.
#[unsafe(export_name = "ExceptionHandler")]
fn fault(_registers: &riscv_rt::TrapFrame) -> ! {
    end(Exit::Fault)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::line::last_words(info);
    end(Exit::Panic)
}
