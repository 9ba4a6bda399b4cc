//! Charts as SVG: horizontal bars with their medians and spread, readable on a light and on a dark page.

use std::fmt::Write;

use super::{Bar, Chart, number};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 270.0;
const NUMBERS: f64 = 110.0;
const ROW: f64 = 26.0;
const TOP: f64 = 44.0;

/// The chart as a document.
pub(super) fn draw(chart: &Chart) -> String {
    let bars: Vec<&Bar> = chart.bars.iter().filter(|bar| bar.samples.count() > 0).collect();
    let height = TOP + ROW * bars.len() as f64 + 14.0;
    let scale = Scale::of(&bars, chart.logarithmic);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<style>text{{fill:#333}}.spread{{stroke:#555}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.spread{{stroke:#bbb}}}}</style>\n"
    );
    let kind = if chart.logarithmic { ", logarithmic" } else { "" };
    let title = escape(&chart.title);
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"22\" font-weight=\"bold\">{title} ({}{kind})</text>",
        chart.unit
    );
    for (index, bar) in bars.iter().enumerate() {
        draw_bar(&mut svg, bar, TOP + ROW * index as f64, &scale);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_bar(svg: &mut String, bar: &Bar, top: f64, scale: &Scale) {
    let (Some(median), Some(least), Some(most)) =
        (bar.samples.median(), bar.samples.least(), bar.samples.most())
    else {
        return;
    };
    let fill = if bar.ours { "#2f7d5b" } else { "#9aa5b1" };
    let (length, middle) = (scale.place(median), top + 8.0);
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LABELS:.0}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"16\" fill=\"{fill}\"/>",
        LABELS - 8.0,
        top + 13.0,
        escape(&bar.label)
    );
    let (from, to) = (LABELS + scale.place(least), LABELS + scale.place(most));
    if to - from > 1.0 {
        let _ = writeln!(
            svg,
            "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {0:.1}v8M{to:.1} {0:.1}v8\"/>",
            middle - 4.0
        );
    }
    let at = LABELS + length.max(scale.place(most)) + 6.0;
    let _ = writeln!(
        svg,
        "<text x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
        top + 13.0,
        number(median)
    );
}

/// From a number to a length.
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(bars: &[&Bar], logarithmic: bool) -> Self {
        let most = bars
            .iter()
            .filter_map(|bar| bar.samples.most())
            .fold(0.0, f64::max);
        let positive = bars
            .iter()
            .filter_map(|bar| bar.samples.least())
            .filter(|&least| least > 0.0);
        let least = positive.fold(f64::MAX, f64::min);
        Self {
            // A decade below the smallest, so that it has a length.
            least: 10_f64.powf(least.min(most).max(1e-9).log10().floor() - 1.0),
            most: most.max(1e-9),
            logarithmic,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.least) / self.least).log10() / (self.most / self.least).log10()
        } else {
            value / self.most
        };
        share * (WIDTH - LABELS - NUMBERS)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Samples;

    fn chart(logarithmic: bool) -> Chart {
        let bar = |label: &str, values: &[f64]| Bar {
            label: label.to_owned(),
            samples: Samples::from_iter(values.iter().copied()),
            ours: label == "ours",
        };
        Chart {
            name: "x",
            title: "a < b".to_owned(),
            unit: "ms",
            logarithmic,
            bars: vec![
                bar("ours", &[1.0, 2.0, 4.0]),
                bar("theirs", &[1000.0]),
                bar("none", &[]),
            ],
        }
    }

    #[test]
    fn bars_that_were_measured_are_drawn_within_the_picture() {
        for logarithmic in [false, true] {
            let svg = draw(&chart(logarithmic));
            assert_eq!(svg.matches("<rect").count(), 2, "{svg}");
            assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
            let widths = svg
                .split("width=\"")
                .skip(2)
                .filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok());
            assert!(
                widths
                    .into_iter()
                    .all(|width| (0.0..=WIDTH - LABELS).contains(&width)),
                "{svg}"
            );
        }
    }
}
