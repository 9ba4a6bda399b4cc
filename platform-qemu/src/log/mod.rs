//! The log, for people: on the debug port, as lines of text or, with the feature `defmt`, as defmt's frames.
//!
//! Every argument of a message is shown by `Display`: [`Debug`] and [`Hex`] make it of the other forms. With defmt the
//! messages themselves stay in the symbols on the host, and only their arguments are put into words here, because
//! core's types know nothing of defmt.

#[cfg(feature = "defmt")]
mod frames;
#[cfg(not(feature = "defmt"))]
mod text;

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use spin::Once;

use crate::machine::clock::Clock;
use crate::machine::port::Port;

#[cfg(not(feature = "defmt"))]
pub(crate) use text::line;

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
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static CLOCK: Once<Clock> = Once::new();

/// Nothing above this level is told from now on.
pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    ::log::set_max_level(match level {
        Level::Error => ::log::LevelFilter::Error,
        Level::Warn => ::log::LevelFilter::Warn,
        Level::Info => ::log::LevelFilter::Info,
        Level::Debug => ::log::LevelFilter::Debug,
        Level::Trace => ::log::LevelFilter::Trace,
    });
    // Fails for the second call only: then it is set.
    let _ = ::log::set_logger(&Drivers);
}

/// Messages bear the time of this clock from now on.
pub(crate) fn set_clock(clock: Clock) {
    CLOCK.call_once(|| clock);
}

/// What the drivers tell, by the crate `log`: virtio-drivers' own only if something is wrong.
struct Drivers;

impl ::log::Log for Drivers {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        metadata.target().starts_with("ostrakon") || metadata.level() <= ::log::Level::Warn
    }
    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            ::log::Level::Error => error!("{}", record.args()),
            ::log::Level::Warn => warning!("{}", record.args()),
            ::log::Level::Info => info!("{}", record.args()),
            ::log::Level::Debug => debug!("{}", record.args()),
            ::log::Level::Trace => trace!("{}", record.args()),
        }
    }
    fn flush(&self) {}
}

/// Whether this level is told.
pub(crate) fn is_on(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Microseconds since boot; 0 before there is a clock.
fn microseconds() -> u64 {
    CLOCK.get().map_or(0, |clock| clock.now().0)
}

/// Shows a value's debug form.
pub(crate) struct Debug<'a, T>(pub(crate) &'a T);

impl<T: fmt::Debug> fmt::Display for Debug<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Shows a number in hexadecimal.
pub(crate) struct Hex(pub(crate) u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

macro_rules! at_level {
    ($name:ident, $level:ident, $defmt:ident, $dollar:tt) => {
        macro_rules! $name {
            ($dollar message:literal $dollar(, $dollar argument:expr)* $dollar(,)?) => {
                if $crate::log::is_on($crate::log::Level::$level) {
                    #[cfg(feature = "defmt")]
                    ::defmt::$defmt!($dollar message $dollar(, ::defmt::Display2Format(&($dollar argument)))*);
                    #[cfg(not(feature = "defmt"))]
                    $crate::log::line(
                        $crate::log::Level::$level,
                        format_args!($dollar message $dollar(, $dollar argument)*),
                    );
                }
            };
        }
        pub(crate) use $name;
    };
}

at_level!(error, Error, error, $);
at_level!(warning, Warn, warn, $);
at_level!(info, Info, info, $);
at_level!(debug, Debug, debug, $);
at_level!(trace, Trace, trace, $);
