//! One error for commands and tests: a sentence for a human.

use std::fmt;

/// Why a command or a step of a test failed, as a sentence.
pub struct Failure(String);

/// What commands and steps return.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// From a sentence that says what was found, and what was expected.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// A test that returns an error prints it with `Debug`: the sentence is what its reader needs.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

/// Says what was being done when an error came up.
pub trait During<T> {
    /// The value, or a failure that reads `doing: error`.
    fn during(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{doing}: {error}")))
    }
}

/// Fails with a sentence unless a condition holds.
pub fn ensure(holds: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Failure(sentence())) }
}
