//! A run that failed: a red line at the moment, a flag with what went wrong, and a ring around whom that names.

use super::{Drawing, TITLE, TOP, WIDTH};

/// Letters of the flag that fit into its line; pointing at it says all.
const LETTERS_MAX: usize = 150;

const RED: &str = r##"fill="#c00""##;

impl Drawing<'_> {
    /// Marks what went wrong, where the drawing ends.
    pub(super) fn failure(&mut self, what: &str) {
        let x = self.scale.x(self.world.now);
        let bottom = TOP + self.rows as f64 * super::ROW;
        let top = TITLE + 3.0;
        let line = r##"stroke="#c00" stroke-width="2""##;
        self.svg.line((x, top), (x, bottom), line, what);
        for proc in self.named(what) {
            let (host, says) = (
                self.host(proc),
                format!("{}: {what}", self.world.procs[proc].name),
            );
            if host < self.rows {
                let y = self.y(host);
                self.svg.mark(x - 7.0, y - 4.0, "l7 4l-7 4z", RED, &says);
            }
        }
        let words = shortened(what);
        // It stands on the side where there is room for it.
        let (anchor, pole, to) = if x > WIDTH / 2.0 {
            ("end", "h-6v9h6z", x - 9.0)
        } else {
            ("start", "h6v9h-6z", x + 9.0)
        };
        self.svg.mark(x, top, pole, RED, what);
        let style = format!(r#"{RED} class="b" text-anchor="{anchor}""#);
        self.svg.text(to, top + 9.0, &style, &words);
    }

    /// Processes that are called by their names in this.
    fn named(&self, what: &str) -> Vec<usize> {
        let words: Vec<&str> = what
            .split(|letter: char| !(letter.is_alphanumeric() || letter == '.'))
            .map(|word| word.trim_end_matches('.'))
            .collect();
        let procs = self.world.procs.iter().enumerate();
        procs
            .filter(|(_, proc)| words.contains(&proc.name.as_str()))
            .map(|(id, _)| id)
            .collect()
    }
}

/// The first line of this, or as much of it as fits.
fn shortened(what: &str) -> String {
    let line = what.lines().next().unwrap_or_default();
    let mut words: String = line.chars().take(LETTERS_MAX).collect();
    if words.len() < what.len() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_shortened() {
        assert_eq!(shortened("two leaders"), "two leaders");
        assert_eq!(shortened("two\nleaders"), "two…");
        assert_eq!(shortened(&"é".repeat(400)).chars().count(), LETTERS_MAX + 1);
    }
}
