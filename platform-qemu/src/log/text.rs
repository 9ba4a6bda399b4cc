//! Lines of text: `seconds level message`.

use core::fmt::{self, Write};

use super::{DEBUG_PORT, Level, microseconds};

struct DebugPort;

impl Write for DebugPort {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| DEBUG_PORT.write8(byte));
        Ok(())
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// Tells one message.
pub(crate) fn line(level: Level, message: fmt::Arguments<'_>) {
    let us = microseconds();
    // The port takes everything: this cannot fail.
    let _ = writeln!(
        DebugPort,
        "{:4}.{:06} {} {message}",
        us / 1_000_000,
        us % 1_000_000,
        name(level)
    );
}
