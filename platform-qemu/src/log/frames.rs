//! defmt's frames, to be decoded on the host against the image's own symbols.

use spin::Mutex;

use super::{DEBUG_PORT, microseconds};

/// Makes frames out of what defmt writes. Nothing that interrupts logs, so that it is never contended.
static ENCODER: Mutex<defmt::Encoder> = Mutex::new(defmt::Encoder::new());

fn send(bytes: &[u8]) {
    bytes.iter().for_each(|&byte| DEBUG_PORT.write8(byte));
}

fn with_encoder(act: impl FnOnce(&mut defmt::Encoder)) {
    // A panic or a fault in the middle of a message finds it taken: its frame is lost, the exit code is not.
    if let Some(mut encoder) = ENCODER.try_lock() {
        act(&mut encoder);
    }
}

#[defmt::global_logger]
struct DebugPort;

// SAFETY: one processor, and no interrupt handler logs: nobody can come between `acquire` and `release`.
unsafe impl defmt::Logger for DebugPort {
    fn acquire() {
        with_encoder(|encoder| encoder.start_frame(send));
    }
    unsafe fn flush() {}
    unsafe fn release() {
        with_encoder(|encoder| encoder.end_frame(send));
    }
    unsafe fn write(bytes: &[u8]) {
        with_encoder(|encoder| encoder.write(bytes, send));
    }
}

defmt::timestamp!("{=u64:us}", microseconds());
