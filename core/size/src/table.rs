//! The measurements as a table, in `core/SIZE.md` and out of it.

use std::fmt::Write;

use crate::Result;
use crate::build::core_file;
use crate::program::Size;

/// Bytes of code and constants that a complete voting mount may take on a target of 32 bits, authenticated sessions included.
const CODE_BUDGET: u64 = 96 * 1024;
/// Bytes of RAM, all buffers counted.
const RAM_BUDGET: u64 = 24 * 1024;
/// What depends on the source alone, and not on the compiler.
const DATA: [&str; 2] = ["mount", "RAM"];
/// Growth without a new table, in percent.
const GROWTH_PERCENT: u64 = 2;

const HEAD: &str = "\
# Size of core on small targets

Measured by `cargo xtask size` on what a firmware links (`core/size/probe`): the loop of `core/PORTING.md`, one 4 KiB
block buffer (`transfer_blocks` is 1), one 1 KiB message buffer, the 1 KiB checksum table, optimized for size. Memory for
eight clients and four strangers at once: each client more takes 512 bytes, each stranger more 128. Bytes.

- *code*: instructions. *constants*: tables and texts beside them. Budget for both together, sessions included: 98304.
- *mount*: the mount itself. *RAM*: mount and both buffers. Budget: 24576. A TCP stack's buffers are its own.
- *stack*: frames of the deepest chain of calls of the loop, from the compiler's own numbers; no recursion, no
  allocation. What an interrupt takes comes on top.
- *start*: the same for `Mount::new`, once: the compiler builds the mount on the stack and moves it to its place.
- riscv32imac and thumbv6m are over the budget for code: for the same source their instructions take a third and a sixth more than
  those of thumbv7em. Tried on riscv32imac, and of no use with the stable compiler: linker relaxation (3 KiB less code, 7 KiB more texts, because the prebuilt `core` then keeps those of
  its panics), common prologues (`save-restore`: their routines are missing), repeated outlining (no change), and reading the
  numbers of blocks through one function (no change).
- A plain client is core without its default feature `voter`.
- The code counts what the compiler brings (64-bit division, memory copies: 4.5 KiB), which a firmware often has already.

Where rustup has no bare targets, `cargo xtask bare-compiler` brings a compiler for them. `cargo xtask size --parts TARGET`
lists what takes most.

`cargo xtask size --check`, a step of CI, fails when anything has grown by more than 2 % over this table, or exceeds its
budget where it did not in this table; `--write` updates it. What another compiler makes of the same source is another
size: where CI has another one than the table names, it holds the mount, the RAM and the budgets to it, and says so.

";

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) target: String,
    pub(crate) variant: String,
    /// What built it.
    pub(crate) compiler: String,
    pub(crate) size: Size,
}

impl Row {
    fn numbers(&self) -> [(&'static str, u64); 6] {
        let size = self.size;
        [
            ("code", size.text),
            ("constants", size.constants),
            ("mount", size.mount),
            ("RAM", size.ram),
            ("stack", size.stack),
            ("start", size.start_stack),
        ]
    }
    fn name(&self) -> String {
        format!("{}, {}", self.target, self.variant)
    }
    fn is_small(&self) -> bool {
        self.target.starts_with("thumb") || self.target.starts_with("riscv32")
    }
    /// The same of a table.
    fn among<'a>(&self, kept: &'a [Row]) -> Option<&'a Row> {
        kept.iter()
            .find(|kept| (&kept.target, &kept.variant) == (&self.target, &self.variant))
    }
    /// What takes more than its budget: those are for targets of 32 bits.
    fn over_budget(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let code = self.size.text + self.size.constants;
        let totals = [("code", code, CODE_BUDGET), ("RAM", self.size.ram, RAM_BUDGET)];
        let small = self.is_small();
        let over = totals
            .into_iter()
            .filter(move |&(_, found, budget)| small && found > budget);
        over.map(|(what, found, _)| (what, found))
    }
}

/// The table alone.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text =
        String::from("| target | mount kind | code | constants | mount | RAM | stack | start | compiler |\n");
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|---|\n");
    for row in rows {
        let _ = write!(text, "| {} | {} |", row.target, row.variant);
        for (_, number) in row.numbers() {
            let _ = write!(text, " {number} |");
        }
        let _ = writeln!(text, " {} |", row.compiler);
    }
    text
}

fn parse(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", target, variant, ref numbers @ .., compiler, ""] = cells.as_slice() else {
            return None;
        };
        let numbers: Vec<u64> = numbers.iter().filter_map(|cell| cell.parse().ok()).collect();
        let &[text, constants, mount, ram, stack, start_stack] = numbers.as_slice() else {
            return None;
        };
        let size = Size {
            text,
            constants,
            mount,
            ram,
            stack,
            start_stack,
        };
        Some(Row {
            target: target.to_owned(),
            variant: variant.to_owned(),
            compiler: compiler.to_owned(),
            size,
        })
    });
    rows.collect()
}

/// Keeps the table; rows of targets that were not measured here stay as they are.
pub(crate) fn write(rows: &[Row]) -> Result<()> {
    let path = core_file("SIZE.md");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut all = rows.to_vec();
    let measured = |row: &Row| rows.iter().any(|new| new.target == row.target);
    all.extend(parse(&kept).into_iter().filter(|row| !measured(row)));
    std::fs::write(&path, format!("{HEAD}{}", text(&all)))?;
    Ok(())
}

/// Fails if a budget is exceeded, or something has grown without the table.
pub(crate) fn check(rows: &[Row]) -> Result<()> {
    let kept = parse(&std::fs::read_to_string(core_file("SIZE.md"))?);
    for row in rows {
        if let Some(before) = row.among(&kept).filter(|kept| kept.compiler != row.compiler) {
            println!(
                "SKIPPED growth of code and stack, {}: built by {}, core/SIZE.md by {}",
                row.name(),
                row.compiler,
                before.compiler
            );
        }
        for (what, bytes) in row.over_budget() {
            println!("over its budget, {}: {bytes} bytes of {what}", row.name());
        }
    }
    let complaints = complaints(rows, &kept);
    if complaints.is_empty() {
        println!("not grown by more than {GROWTH_PERCENT} % over core/SIZE.md");
        return Ok(());
    }
    Err(complaints.join("\n").into())
}

fn complaints(rows: &[Row], kept: &[Row]) -> Vec<String> {
    let mut complaints = Vec::new();
    for row in rows {
        let name = row.name();
        let before = row.among(kept);
        // What the table shows to be over its budget is known; nothing may join it.
        let known = |what| before.is_some_and(|kept| kept.over_budget().any(|(over, _)| over == what));
        for (what, bytes) in row.over_budget().filter(|&(what, _)| !known(what)) {
            complaints.push(format!("{name}: {bytes} bytes of {what} exceed the budget"));
        }
        let Some(before) = before else {
            complaints.push(format!("{name}: not in core/SIZE.md; cargo xtask size --write"));
            continue;
        };
        let same_compiler = row.compiler == before.compiler;
        for ((what, found), (_, before)) in row.numbers().into_iter().zip(before.numbers()) {
            if !same_compiler && !DATA.contains(&what) {
                continue;
            }
            if found > before + before * GROWTH_PERCENT / 100 {
                complaints.push(format!(
                    "{name}: {what} grew from {before} to {found} bytes; cargo xtask size --write if that is meant"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: u64, ram: u64) -> Row {
        Row {
            target: "thumbv7em-none-eabi".to_owned(),
            variant: "voter, 8 clients".to_owned(),
            compiler: "1.90.0".to_owned(),
            size: Size {
                text,
                constants: 100,
                mount: 1000,
                ram,
                stack: 500,
                start_stack: 900,
            },
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let rows = [row(1, 2), row(3, 4)];
        assert_eq!(parse(&format!("{HEAD}{}", text(&rows))), rows);
    }

    #[test]
    fn growth_beyond_two_percent_and_budgets_are_told() {
        let kept = [row(10_000, 20_000)];
        assert!(complaints(&[row(10_200, 20_400)], &kept).is_empty());
        assert_eq!(complaints(&[row(10_201, 20_000)], &kept).len(), 1);
        assert_eq!(complaints(&[row(10_000, 20_401)], &kept).len(), 1);
        assert_eq!(complaints(&[row(10_000, RAM_BUDGET + 1)], &kept).len(), 2);
        assert_eq!(complaints(&[row(CODE_BUDGET - 99, 20_000)], &kept).len(), 2);
        assert_eq!(complaints(&[row(1, 1)], &[]).len(), 1);
    }

    #[test]
    fn code_of_another_compiler_is_held_to_the_budget_only_and_data_to_the_table() {
        let kept = [row(10_000, 20_000)];
        let other = |text, ram| Row {
            compiler: "1.91.0".to_owned(),
            ..row(text, ram)
        };
        assert!(complaints(&[other(11_000, 20_000)], &kept).is_empty());
        assert_eq!(complaints(&[other(10_000, 20_401)], &kept).len(), 1);
        assert_eq!(complaints(&[other(CODE_BUDGET, 20_000)], &kept).len(), 1);
    }
}
