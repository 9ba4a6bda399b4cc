//! One error for commands and tests: a sentence for a human.

use std::fmt;

/// Exit code of a command that failed.
const EXIT_FAILED: u8 = 1;
/// Exit code of a command line that cannot be followed; what clap uses, too.
const EXIT_USAGE: u8 = 2;
/// Exit code of a command to which nobody listens any more, as of one that SIGPIPE ended.
const EXIT_UNHEARD: u8 = 128 + 13;

/// Why a command or a step of a test failed, as a sentence.
pub struct Failure {
    sentence: String,
    exit_code: u8,
}

/// What commands and steps return.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// From a sentence that says what was found, and what was expected.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            exit_code: EXIT_FAILED,
        }
    }

    /// Of arguments that cannot be followed.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            exit_code: EXIT_USAGE,
        }
    }

    /// Of a command that has nobody to tell its result to: its reader has hung up, as `head` does.
    pub fn unheard() -> Self {
        Self {
            sentence: "nobody reads any more what this says: it ended before its result".to_owned(),
            exit_code: EXIT_UNHEARD,
        }
    }

    /// With which a command ends that fails so.
    pub const fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

// A test that returns an error prints it with `Debug`: the sentence is what its reader needs.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error.to_string())
    }
}

/// Says what was being done when an error came up.
pub trait During<T> {
    /// The value, or a failure that reads `doing: error`.
    fn during(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{doing}: {error}")))
    }
}

/// Fails with a sentence unless a condition holds.
pub fn ensure(holds: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(sentence()))
    }
}

/// Fails with a sentence unless a condition on the arguments of a command holds.
pub fn demand(holds: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::usage(sentence()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_told_apart_from_what_failed() {
        let code = |result: Result<()>| result.map_err(|failure| failure.exit_code());
        assert_eq!(code(ensure(true, String::new)), Ok(()));
        assert_eq!(code(ensure(false, String::new)), Err(1));
        assert_eq!(code(demand(false, String::new)), Err(2));
        assert_eq!(code(Err(Failure::unheard())), Err(141));
        let mut parser = lexopt::Parser::from_args(["--what"]);
        let unknown = parser
            .next()
            .map(|argument| argument.map(|argument| argument.unexpected()));
        let unknown = unknown
            .ok()
            .flatten()
            .map(|error| Failure::from(error).exit_code());
        assert_eq!(unknown, Some(2));
    }
}
