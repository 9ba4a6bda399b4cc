//! The few shapes of SVG that a drawing needs. Places are rounded to a tenth of a pixel: files stay small.

use std::fmt::Write as _;

/// A drawing that is being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg(String);

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A number, as short as it can be written.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Svg {
    /// A band, with what it says when one points at it.
    pub(super) fn band(&mut self, x: f64, y: f64, width: f64, height: f64, style: &str, says: &str) {
        let width = width.max(0.6);
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        self.titled(
            &format!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" {style}"#),
            "rect",
            says,
        );
    }

    /// A line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str, says: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        self.titled(
            &format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {style}"#),
            "line",
            says,
        );
    }

    /// A mark: a path around a place.
    pub(super) fn mark(&mut self, x: f64, y: f64, shape: &str, style: &str, says: &str) {
        let (x, y) = (short(x), short(y));
        self.titled(&format!(r#"<path d="M{x} {y}{shape}" {style}"#), "path", says);
    }

    /// Words.
    pub(super) fn text(&mut self, x: f64, y: f64, style: &str, words: &str) {
        let (x, y) = (short(x), short(y));
        let words = escape(words);
        writeln!(self.0, r#"<text x="{x}" y="{y}" {style}>{words}</text>"#)
            .expect("a String takes every write");
    }

    fn titled(&mut self, open: &str, kind: &str, says: &str) {
        let line = match says {
            "" => format!("{open}/>"),
            _ => format!("{open}><title>{}</title></{kind}>", escape(says)),
        };
        self.0.push_str(&line);
        self.0.push('\n');
    }

    /// The whole file.
    pub(super) fn finish(self, width: f64, height: f64, style: &str) -> String {
        let (width, height, body) = (short(width), short(height), self.0);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">
<style>{style}</style>
<rect width="100%" height="100%" fill="#fff"/>
{body}</svg>
"##
        )
    }
}
