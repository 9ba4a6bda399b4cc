//! What was counted, file by file. Code that is compiled several times (for the tests of core itself, for the simulator, once
//! for each memory of a server) is one piece of code here: what any of its instances ran was run.

use std::collections::BTreeMap;
use std::fmt;

use ostrakon_xtask::failure::{Failure, Result};
use serde_json::Value;

use super::unreached::Unreached;

/// So many of so many.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Count {
    pub(super) ran: usize,
    pub(super) all: usize,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.ran += other.ran;
        self.all += other.all;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = match self.all {
            0 => 100.0,
            all => self.ran as f64 * 100.0 / all as f64,
        };
        f.pad(&format!("{} of {} {percent:5.1} %", self.ran, self.all))
    }
}

/// One outcome of a condition.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Branch {
    pub(super) line: usize,
    /// Its text, with single spaces.
    pub(super) condition: String,
    pub(super) outcome: bool,
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | never {}", self.condition, self.outcome)
    }
}

/// A file of core, without the tests at its end.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) lines: Count,
    /// Every branch, and whether it was taken.
    every: Vec<(Branch, bool)>,
}

impl File {
    pub(super) fn branches(&self, unreached: &Unreached) -> Count {
        let mut count = Count::default();
        for (branch, taken) in &self.every {
            if *taken || !unreached.has(&self.name, branch) {
                count.all += 1;
                count.ran += usize::from(*taken);
            }
        }
        count
    }

    /// The branches that were never taken, each with the name of this file.
    pub(super) fn missed(&self, unreached: &Unreached) -> impl Iterator<Item = (&str, &Branch)> {
        let missed = self.every.iter().filter(|(_, taken)| !taken);
        missed
            .map(|(branch, _)| (self.name.as_str(), branch))
            .filter(|(name, branch)| !unreached.has(name, branch))
    }

    /// Whether a branch of this condition and outcome was taken; `None` if there is none.
    pub(super) fn taken(&self, condition: &str, outcome: bool) -> Option<bool> {
        let mut same = self
            .every
            .iter()
            .filter(|(branch, _)| branch.condition == condition && branch.outcome == outcome)
            .map(|(_, taken)| *taken)
            .peekable();
        same.peek()?;
        Some(same.all(|taken| taken))
    }
}

/// The files of an export of `llvm-cov`. `read` gives the name of a file within the workspace, and its source.
pub(super) fn files(export: &Value, read: impl Fn(&str) -> Result<(String, String)>) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for file in list(&export["data"][0]["files"])? {
        let path = file["filename"].as_str().ok_or_else(strange)?;
        let (name, source) = read(path)?;
        let lines: Vec<&str> = source.lines().collect();
        let own = own_lines(&lines);
        files.push(File {
            name,
            lines: lines_ran(list(&file["segments"])?, own)?,
            every: every_branch(list(&file["branches"])?, &lines[..own])?,
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// How many lines come before the tests.
fn own_lines(lines: &[&str]) -> usize {
    let tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1] == "mod tests {";
    lines.windows(2).position(tests).unwrap_or(lines.len())
}

fn every_branch(exported: &[Value], lines: &[&str]) -> Result<Vec<(Branch, bool)>> {
    let mut taken: BTreeMap<(Place, bool), u64> = BTreeMap::new();
    for branch in exported {
        let numbers = numbers(branch)?;
        let [line, column, end_line, end_column, is_true, is_false, ..] = numbers[..] else {
            return Err(strange());
        };
        if line as usize <= lines.len() {
            let place = [line, column, end_line, end_column].map(|number| number as usize);
            *taken.entry((place, true)).or_default() += is_true;
            *taken.entry((place, false)).or_default() += is_false;
        }
    }
    let named = taken.into_iter().map(|((place, outcome), count)| {
        let branch = Branch {
            line: place[0],
            condition: text(lines, place),
            outcome,
        };
        (branch, count > 0)
    });
    Ok(named.collect())
}

/// First line and column, last line and the column behind it; from 1.
type Place = [usize; 4];

fn text(lines: &[&str], [line, column, end_line, end_column]: Place) -> String {
    let mut text = String::new();
    for (number, whole) in (1..).zip(lines).take(end_line).skip(line - 1) {
        let from = if number == line { column - 1 } else { 0 };
        let to = if number == end_line {
            end_column - 1
        } else {
            whole.len()
        };
        text.push_str(whole.get(from..to).unwrap_or(whole));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A place from which on code was run so many times, or is no code.
struct Segment {
    line: usize,
    count: u64,
    is_code: bool,
    is_entry: bool,
    is_gap: bool,
}

/// The lines up to `own` that are code, and those that were run, as `llvm-cov show` counts them.
fn lines_ran(exported: &[Value], own: usize) -> Result<Count> {
    let mut segments = Vec::new();
    for segment in exported {
        let fields = segment.as_array().ok_or_else(strange)?;
        let number = |at: usize| fields.get(at).and_then(Value::as_u64).ok_or_else(strange);
        let flag = |at: usize| fields.get(at).and_then(Value::as_bool).ok_or_else(strange);
        segments.push(Segment {
            line: number(0)? as usize,
            count: number(2)?,
            is_code: flag(3)?,
            is_entry: flag(4)?,
            is_gap: flag(5)?,
        });
    }
    let mut lines = Count::default();
    let mut rest = &segments[..];
    let mut before: Option<&Segment> = None;
    for line in 1..=own {
        let here = rest.iter().take_while(|segment| segment.line <= line).count();
        let (on_line, later) = rest.split_at(here);
        let wrapped = before.filter(|segment| segment.is_code);
        let starts = |segment: &&Segment| segment.is_code && segment.is_entry;
        let skipped = on_line
            .first()
            .is_some_and(|first| !first.is_code && first.is_entry);
        if on_line.iter().any(|segment| starts(&segment)) || (wrapped.is_some() && !skipped) {
            let begun = on_line.iter().filter(starts).filter(|segment| !segment.is_gap);
            let ran = wrapped.into_iter().chain(begun).any(|segment| segment.count > 0);
            lines.add(Count {
                ran: usize::from(ran),
                all: 1,
            });
        }
        before = on_line.last().or(before);
        rest = later;
    }
    Ok(lines)
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().ok_or_else(strange)
}

fn numbers(value: &Value) -> Result<Vec<u64>> {
    list(value)?
        .iter()
        .map(|number| number.as_u64().ok_or_else(strange))
        .collect()
}

fn strange() -> Failure {
    Failure::new("this is not what llvm-cov exports: is cargo-llvm-cov 0.8 or newer?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn f(a: bool) {\n    if a\n        && b\n    {\n        g();\n    }\n}\n\n#[cfg(test)]\nmod tests {\n}\n";

    fn export() -> Value {
        serde_json::json!({ "data": [{ "files": [{
            "filename": "/x/core/src/f.rs",
            "segments": [[1, 1, 5, true, true, false], [4, 5, 0, true, true, false], [6, 6, 5, true, false, false],
                [7, 2, 0, false, false, false], [10, 1, 0, true, true, false]],
            "branches": [[2, 8, 3, 13, 0, 2, 0, 0, 4], [2, 8, 3, 13, 1, 0, 0, 0, 4], [2, 8, 2, 9, 3, 0, 0, 0, 4],
                [10, 1, 10, 4, 0, 0, 0, 0, 4]],
        }] }] })
    }

    fn file() -> File {
        let read = |path: &str| Ok((path[3..].to_owned(), SOURCE.to_owned()));
        files(&export(), read).unwrap().remove(0)
    }

    #[test]
    fn what_any_instance_ran_counts_and_tests_do_not() {
        let file = file();
        assert_eq!(file.name, "core/src/f.rs");
        let count = file.branches(&Unreached::default());
        assert_eq!(count, Count { ran: 3, all: 4 });
        assert_eq!(file.lines, Count { ran: 5, all: 7 });
        let unreached = Unreached::default();
        let missed: Vec<_> = file
            .missed(&unreached)
            .map(|(_, branch)| branch.to_string())
            .collect();
        assert_eq!(missed, ["a | never false"]);
        assert_eq!(file.taken("a && b", true), Some(true));
        assert_eq!(file.taken("c", true), None);
    }

    #[test]
    fn what_is_listed_is_not_counted() {
        let unreached = Unreached::parse("core/src/f.rs | a | never false | because\n").unwrap();
        assert_eq!(file().branches(&unreached), Count { ran: 3, all: 3 });
        assert!(unreached.check(&[file()]).is_ok());
        for wrong in [
            "core/src/f.rs | a | never true | because",
            "core/src/f.rs | c | never true | because",
        ] {
            assert!(
                Unreached::parse(wrong).unwrap().check(&[file()]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_strange_export_is_an_error() {
        assert!(files(&Value::Null, |_| unreachable!()).is_err());
    }
}
