//! What happened, one line an event. Lines are made only if somebody listens.

use super::clock::Time;

/// Who listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listen {
    /// Nobody: runs for speed.
    Nobody,
    /// The digest: two runs are the same if it is.
    Digest,
    /// The digest, and standard output.
    Print,
}

/// The trace of a run.
#[derive(Clone, Debug)]
pub struct Trace {
    listen: Listen,
    digest: u64,
    line: String,
}

impl Trace {
    /// An empty trace.
    pub const fn new(listen: Listen) -> Self {
        Self {
            listen,
            digest: 0xcbf2_9ce4_8422_2325,
            line: String::new(),
        }
    }

    /// Whether lines are wanted at all.
    pub fn wanted(&self) -> bool {
        self.listen != Listen::Nobody
    }

    /// Adds a line: when, who, what.
    pub fn add(&mut self, now: Time, who: &str, what: &str) {
        use std::fmt::Write as _;
        if !self.wanted() {
            return;
        }
        self.line.clear();
        write!(
            self.line,
            "{:>5}.{:06} {who:<4} {what}",
            now / 1_000_000,
            now % 1_000_000
        )
        .expect("a String takes every write");
        for byte in self.line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.listen == Listen::Print {
            println!("{}", self.line);
        }
    }

    /// FNV-1a of every line so far.
    pub const fn digest(&self) -> u64 {
        self.digest
    }
}

/// Adds a line to the trace of a world: who, then a format string and its arguments.
macro_rules! note {
    ($world:expr, $who:expr, $($what:tt)*) => {
        if $world.trace.wanted() {
            let (who, what) = (String::from($who as &str), format!($($what)*));
            $world.trace.add($world.now, &who, &what);
        }
    };
}
pub(crate) use note;
