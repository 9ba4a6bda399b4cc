//! What was measured, as text and as pictures.
//!
//! - `markdown`: the document.
//! - `svg`: charts.
//! - `goals`: ratios of one run, and whether they are what was aimed at.

mod goals;
mod markdown;
mod svg;

use std::collections::BTreeMap;

use crate::measure::Samples;

pub use markdown::write;

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of the columns.
    pub head: Vec<String>,
    /// Lines.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without lines.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// One more line.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

/// A bar of a chart.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// Its length, and the spread.
    pub samples: Samples,
    /// Whether it is ours.
    pub ours: bool,
}

/// A chart of horizontal bars.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Name of its file, without an ending.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Unit of the numbers.
    pub unit: &'static str,
    /// Decades instead of lengths.
    pub logarithmic: bool,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// A part of the document.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// How it was measured.
    pub text: String,
    /// What came of it.
    pub tables: Vec<Table>,
    /// Pictures of it.
    pub charts: Vec<Chart>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Figures that ratios are made of, by name.
    facts: BTreeMap<&'static str, Samples>,
    /// In the order in which they were measured.
    pub sections: Vec<Section>,
    /// What could not be measured here, and why.
    pub missing: Vec<String>,
}

impl Report {
    /// Keeps a figure.
    pub fn fact(&mut self, name: &'static str, samples: &Samples) {
        if samples.count() > 0 {
            self.facts.insert(name, samples.clone());
        }
    }

    /// A figure; empty if it was not measured.
    pub fn samples(&self, name: &str) -> Samples {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    /// A figure's median.
    pub fn median(&self, name: &str) -> Option<f64> {
        self.facts.get(name).and_then(Samples::median)
    }
}

/// A number with as many digits as mean something; what is none was not measured.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if !size.is_finite() => return "missing".to_owned(),
        0.0 => return "0".to_owned(),
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.01 => 3,
        _ => 5,
    };
    format!("{value:.digits$}")
}

/// `median (least-most)`.
pub fn spread(samples: &Samples) -> String {
    match (samples.median(), samples.least(), samples.most()) {
        (Some(median), Some(_), Some(_)) if samples.count() == 1 => number(median),
        (Some(median), Some(least), Some(most)) => {
            format!("{} ({}-{})", number(median), number(least), number(most))
        }
        _ => "missing".to_owned(),
    }
}
