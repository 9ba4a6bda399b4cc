//! The branches of core that no test can take, each with its reason.

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use super::count::{Branch, File};
use crate::cargo::workspace;

/// Where they are listed.
pub(super) const LIST: &str = "tests/unreached.txt";

/// One line of the list.
#[derive(Debug)]
struct Entry {
    file: String,
    condition: String,
    outcome: bool,
}

/// The list.
#[derive(Default, Debug)]
pub(super) struct Unreached {
    entries: Vec<Entry>,
}

impl Unreached {
    pub(super) fn read() -> Result<Self> {
        let path = workspace().join(LIST);
        Self::parse(&std::fs::read_to_string(&path).during(format!("reading {}", path.display()))?)
    }

    /// Lines of file, condition, outcome and reason; empty ones, and those that begin with `#`, say nothing.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for line in text.lines() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                entries.push(Entry::parse(line)?);
            }
        }
        Ok(Self { entries })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn has(&self, file: &str, branch: &Branch) -> bool {
        self.entries.iter().any(|entry| {
            entry.file == file && entry.condition == branch.condition && entry.outcome == branch.outcome
        })
    }

    /// Fails if the code has no such branch any more, or if one was taken after all.
    pub(super) fn check(&self, files: &[File]) -> Result<()> {
        for entry in &self.entries {
            let file = files.iter().find(|file| file.name == entry.file);
            let taken = file.and_then(|file| file.taken(&entry.condition, entry.outcome));
            let why = match taken {
                None => "there is no such condition",
                Some(true) => "it was taken",
                Some(false) => continue,
            };
            return Err(Failure::new(format!(
                "{LIST}: {} | {} | never {}: {why}. Correct the line, or leave it out",
                entry.file, entry.condition, entry.outcome
            )));
        }
        Ok(())
    }
}

impl Entry {
    fn parse(line: &str) -> Result<Self> {
        let wrong =
            || format!("{LIST}: {line:?}: expected FILE | CONDITION | never true (or never false) | REASON");
        // A condition may have a bar of its own.
        let words: Vec<&str> = line.split(" | ").collect();
        let outcomes = ["never true", "never false"];
        let at = words.iter().position(|word| outcomes.contains(word));
        let at = at.filter(|&at| at >= 2 && at + 1 < words.len());
        ensure(at.is_some(), wrong)?;
        let at = at.unwrap_or_default();
        Ok(Self {
            file: words[0].to_owned(),
            condition: words[1..at].join(" | "),
            outcome: words[at] == "never true",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_reason_is_an_error() {
        for line in [
            "a.rs | x | never true",
            "a.rs | x | sometimes | y",
            "a.rs | never true | y",
        ] {
            assert!(Unreached::parse(line).is_err(), "{line}");
        }
        let list = Unreached::parse("# of these\n\na.rs | x | y | never true | z | w\n").unwrap();
        assert_eq!(list.len(), 1);
        assert_eq!(list.entries[0].condition, "x | y");
    }
}
