//! The end of the image. QEMU's `isa-debug-exit` turns a code into the exit status `(code << 1) | 1` of its process.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use ostrakon_devices::Exit;

use super::interrupts;
use super::port::Port;
use crate::log::error;

const DEBUG_EXIT: Port = Port(0x501);

/// Ends the image.
pub(crate) fn exit(how: Exit) -> ! {
    DEBUG_EXIT.write32(u32::from(how as u8));
    // Without that device the machine just stops here.
    loop {
        interrupts::halt_for_good();
    }
}

/// Begins anew, as after power-on: a fault that cannot even be told resets the processor.
pub(crate) fn reset() -> ! {
    interrupts::forget_handlers_and_fault();
    // Nothing comes here.
    exit(Exit::Fault)
}

static PANICKING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A second one while the first is being told says nothing: telling it is what fails.
    if !PANICKING.swap(true, Ordering::Relaxed) {
        error!("panic: {}", info);
    }
    exit(Exit::Panic)
}
