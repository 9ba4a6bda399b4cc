//! The log: lines of text on the debug port, `seconds level message`.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use spin::Once;

use crate::machine::clock::Clock;
use crate::machine::port::Port;

const DEBUG_PORT: Port = Port(0xe9);

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Level {
    /// What ends the image.
    Error = 1,
    /// What is wrong and may pass.
    Warn = 2,
    /// What happens.
    Info = 3,
    /// What is done about it.
    Debug = 4,
    /// Every request.
    Trace = 5,
}

impl Level {
    /// By its name on the command line.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn ",
            Self::Info => "info ",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static CLOCK: Once<Clock> = Once::new();

/// Nothing above this level is told from now on.
pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Lines bear the time of this clock from now on.
pub(crate) fn set_clock(clock: Clock) {
    CLOCK.call_once(|| clock);
}

struct DebugPort;

impl Write for DebugPort {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| DEBUG_PORT.write8(byte));
        Ok(())
    }
}

pub(crate) fn is_on(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

pub(crate) fn line(level: Level, message: fmt::Arguments<'_>) {
    let us = CLOCK.get().map_or(0, |clock| clock.now().0);
    // The port takes everything: this cannot fail.
    let _ = writeln!(
        DebugPort,
        "{:4}.{:06} {} {message}",
        us / 1_000_000,
        us % 1_000_000,
        level.name()
    );
}

macro_rules! at_level {
    ($name:ident, $level:ident, $dollar:tt) => {
        macro_rules! $name {
            ($dollar($dollar arguments:tt)*) => {
                if $crate::log::is_on($crate::log::Level::$level) {
                    $crate::log::line($crate::log::Level::$level, format_args!($dollar($dollar arguments)*));
                }
            };
        }
        pub(crate) use $name;
    };
}

at_level!(error, Error, $);
at_level!(warning, Warn, $);
at_level!(info, Info, $);
at_level!(debug, Debug, $);
at_level!(trace, Trace, $);
