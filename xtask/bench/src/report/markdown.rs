//! The document, and the files beside it.

use std::fmt::Write;
use std::path::Path;

use ostrakon_xtask::failure::{During, Result};

use super::{Report, Section, Table, goals, svg};
use crate::machine::Machine;

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench`: one run, everything on the same machine and disk, side by side. Times on a machine that does other
things too mean little by themselves; ratios of one run mean more. Numbers are medians, with the least and the most of all
repetitions in brackets.

";

/// Writes the document, and its charts into `charts`, which the document calls `link`.
pub fn write(
    report: &Report,
    machine: &Machine,
    commands: &str,
    file: &Path,
    charts: &Path,
    link: &str,
) -> Result<()> {
    std::fs::create_dir_all(charts).during(format!("making {}", charts.display()))?;
    for chart in report.sections.iter().flat_map(|section| &section.charts) {
        let path = charts.join(format!("{}.svg", chart.name));
        std::fs::write(&path, svg::draw(chart)).during(format!("writing {}", path.display()))?;
    }
    let text = document(report, machine, commands, link);
    std::fs::write(file, text).during(format!("writing {}", file.display()))
}

fn document(report: &Report, machine: &Machine, commands: &str, link: &str) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "Machine: {machine}.\n\nCommand: `{commands}`.\n");
    text.push_str(
        "## Ratios, and what was aimed at\n\nTimes in milliseconds, memory in MiB, operations a second.\n\n",
    );
    text.push_str(&table(&goals::table(report)));
    list(
        &mut text,
        "What bounds the goals that were missed",
        &goals::missed(report),
    );
    list(&mut text, "Missing on this machine", &report.missing);
    report
        .sections
        .iter()
        .for_each(|part| section(&mut text, part, link));
    text
}

fn list(text: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(text, "\n{head}:\n\n");
    lines.iter().for_each(|words| {
        let _ = writeln!(text, "- {words}");
    });
}

fn section(text: &mut String, section: &Section, link: &str) {
    let _ = write!(text, "\n## {}\n\n{}\n", section.title, section.text.trim());
    for part in &section.tables {
        let _ = write!(text, "\n{}", table(part));
    }
    for chart in &section.charts {
        let _ = write!(text, "\n![{}]({link}/{}.svg)\n", chart.title, chart.name);
    }
}

fn table(table: &Table) -> String {
    let mut text = format!("| {} |\n|---|", table.head.join(" | "));
    text.push_str(&"--:|".repeat(table.head.len().saturating_sub(1)));
    text.push('\n');
    for row in &table.rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
