//! A run as a space-time diagram: one line a host, time from left to right, the super block along the foot. It is one
//! SVG file without scripts; pointing at anything says what it is.
//!
//! - `story`: what is drawn. - `scale`: where. - `svg`: with what shapes. - `failure`: what went wrong, if anything did.

mod failure;
mod scale;
mod story;
mod svg;
#[cfg(test)]
mod tests;

use ostrakon_core::format::SuperBlock;

use super::clock::Time;
use super::film::Shot;
use super::host::ProcId;
use super::world::World;
use scale::Scale;
use story::{Mark, Role, Sign, Story};
use svg::Svg;

const LEFT: f64 = 60.0;
const WIDTH: f64 = 1_400.0;
const TITLE: f64 = 14.0;
const TOP: f64 = 48.0;
const ROW: f64 = 34.0;
const BAND: f64 = 18.0;
const FOOT: f64 = 78.0;
/// From one time that is written down to the next, at least.
const TICK: f64 = 64.0;
/// Lines that are drawn; clients beyond are told of only.
const ROWS_MAX: usize = 24;

const STYLE: &str = ".d{fill:#333}.l{stroke:#ccc}.t{fill:#777;font-size:10px}.b{font-weight:bold}\
    .v{fill:none;stroke:#444}.x{fill:none;stroke:#c00;stroke-width:2.5}.f{stroke:#c00;stroke-dasharray:4 2}\
    .w{fill:#fff;stroke:#000}.z{fill:#000;opacity:.55}.g{fill:none;stroke:#999}.n{fill:none;stroke:#06c;stroke-width:1.5}";

/// A colour for each term: neighbours are far apart.
fn colour(term: u64, lightness: u32) -> String {
    format!("fill=\"hsl({},60%,{lightness}%)\"", (term * 137 + 70) % 360)
}

struct Drawing<'a> {
    world: &'a World,
    scale: Scale,
    rows: usize,
    svg: Svg,
}

impl World {
    /// Draws what was recorded, and what went wrong at its end, if anything did; [`World::record`] has to have been called when
    /// it began.
    pub fn draw(&self, title: &str, failure: Option<&str>) -> String {
        let story = Story::of(self);
        let supers = self.supers_shown();
        let mut moments = story.moments();
        moments.extend(supers.iter().map(|(at, _)| *at));
        moments.push(self.now);
        let rows = self.hosts.len().min(ROWS_MAX);
        let mut drawing = Drawing {
            world: self,
            scale: Scale::new(moments, LEFT, WIDTH - 20.0),
            rows,
            svg: Svg::default(),
        };
        drawing.frame(title);
        drawing.bands(&story);
        drawing.marks(&story);
        drawing.foot(&supers);
        drawing.legend();
        if let Some(failure) = failure {
            drawing.failure(failure);
        }
        let height = TOP + rows as f64 * ROW + FOOT + 34.0;
        drawing.svg.finish(WIDTH, height, STYLE)
    }

    fn supers_shown(&self) -> Vec<(Time, SuperBlock)> {
        let shots = self.film.iter().flat_map(|film| &film.shots);
        shots
            .filter_map(|(at, shot)| match shot {
                Shot::Super(state) => Some((*at, **state)),
                _ => None,
            })
            .collect()
    }
}

impl Drawing<'_> {
    fn y(&self, host: usize) -> f64 {
        TOP + host as f64 * ROW + ROW / 2.0
    }

    fn host(&self, proc: ProcId) -> usize {
        self.world.procs[proc].host
    }

    fn frame(&mut self, title: &str) {
        let options = &self.world.options;
        let what = format!(
            "{title}: {} voters, {} clients, {} votes elect. Time runs unevenly: quiet spans are squeezed.",
            options.voters, options.clients, options.quorum_count
        );
        self.svg.text(8.0, TITLE, r#"class="d b""#, &what);
        let bottom = TOP + self.rows as f64 * ROW;
        for (at, x) in self.scale.ticks(TICK) {
            self.svg
                .line((x, TOP - 6.0), (x, bottom), r##"stroke="#eee""##, "");
            let words = format!("{:.3} s", at as f64 / 1e6);
            // The last ones would be cut off at the right edge.
            let anchor = if x + TICK / 2.0 < WIDTH { "middle" } else { "end" };
            let style = format!(r#"class="t" text-anchor="{anchor}""#);
            self.svg.text(x, TOP - 10.0, &style, &words);
        }
        for squeezed in self.scale.squeezed() {
            let words = format!("… {:.0} s …", squeezed.span as f64 / 1e6);
            self.svg.text(
                squeezed.x,
                bottom + 10.0,
                r#"class="t" text-anchor="middle""#,
                &words,
            );
        }
        for host in 0..self.rows {
            let y = self.y(host);
            let name = self.world.hosts[host].name.clone();
            self.svg.text(8.0, y + 4.0, r#"class="d b""#, &name);
            self.svg.line(
                (LEFT, y),
                (WIDTH - 20.0, y),
                r#"class="l" stroke-dasharray="2 4""#,
                "",
            );
        }
        let hidden = self.world.hosts.len() - self.rows;
        if hidden > 0 {
            let words = format!("and {hidden} more clients");
            self.svg.text(8.0, bottom + 10.0, r#"class="t""#, &words);
        }
        self.calm(bottom);
    }

    /// Where faults stop.
    fn calm(&mut self, bottom: f64) {
        let shots = self.world.film.iter().flat_map(|film| &film.shots);
        let calm = shots
            .filter(|(_, shot)| *shot == Shot::Calm)
            .map(|(at, _)| *at)
            .next();
        if let Some(at) = calm {
            let x = self.scale.x(at);
            let style = r##"stroke="#393" stroke-width="2" stroke-dasharray="6 3""##;
            self.svg.line((x, TOP - 4.0), (x, bottom), style, "faults stop");
            let (at, anchor) = match x + TICK < WIDTH {
                true => (x + 3.0, "start"),
                false => (x - 3.0, "end"),
            };
            let style = format!(r##"fill="#393" font-size="10" text-anchor="{anchor}""##);
            self.svg.text(at, bottom - 2.0, &style, "faults stop");
        }
    }

    fn bands(&mut self, story: &Story) {
        for band in &story.bands {
            let host = self.host(band.proc);
            if host >= self.rows {
                continue;
            }
            let (from, to) = (self.scale.x(band.from), self.scale.x(band.to));
            let (height, style, what) = match band.role {
                Role::Alone => (4.0, r##"fill="#bbb""##.to_owned(), "has no server".to_owned()),
                Role::Client(server) => (
                    7.0,
                    colour(server.term.0, 78),
                    format!(
                        "is connected to {}, term {}",
                        self.world.name_of(server),
                        server.term.0
                    ),
                ),
                Role::Elected(own) => (
                    BAND - 6.0,
                    colour(own.term.0, 68),
                    format!("has won term {}, and seals it", own.term.0),
                ),
                Role::Sealed(own) => (
                    BAND - 3.0,
                    colour(own.term.0, 55),
                    format!("silences those before term {}", own.term.0),
                ),
                Role::Serves(own) => (
                    BAND,
                    colour(own.term.0, 42),
                    format!("serves in term {}", own.term.0),
                ),
            };
            let says = format!("{} {what}", self.world.procs[band.proc].name);
            let y = self.y(host) - height / 2.0;
            self.svg.band(from, y, to - from, height, &style, &says);
            if let (Role::Serves(own), true) = (band.role, to - from > 46.0) {
                let words = format!("term {}", own.term.0);
                self.svg.text(
                    from + 4.0,
                    self.y(host) + 4.0,
                    r##"fill="#fff" class="b""##,
                    &words,
                );
            }
        }
        for &(proc, from, to) in &story.pauses {
            let host = self.host(proc);
            if host < self.rows {
                let says = format!(
                    "{} is paused for {:.3} s",
                    self.world.procs[proc].name,
                    (to - from) as f64 / 1e6
                );
                let (x, y) = (self.scale.x(from), self.y(host) - BAND / 2.0);
                self.svg
                    .band(x, y, self.scale.x(to) - x, BAND, r#"class="z""#, &says);
            }
        }
    }

    fn marks(&mut self, story: &Story) {
        let rows = self.rows;
        for mark in story.marks.iter().filter(|mark| mark.host < rows) {
            self.mark(mark);
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let (x, y) = (self.scale.x(mark.at), self.y(mark.host));
        let high = y - BAND / 2.0;
        let says = &mark.says;
        match mark.sign {
            Sign::Start => self.svg.mark(x, y - 5.0, "v10l7 -5z", r##"fill="#2a2""##, says),
            Sign::Crash => self
                .svg
                .mark(x - 5.0, y - 5.0, "l10 10m0 -10l-10 10", r#"class="x""#, says),
            Sign::PowerOff => {
                self.svg
                    .mark(x - 5.0, y - 5.0, "l10 10m0 -10l-10 10", r#"class="x""#, says);
                self.svg.mark(x, y - 8.0, "v16", r#"class="x""#, says);
            }
            Sign::End => self.svg.mark(x - 3.0, y - 5.0, "h6v10h-6z", r#"class="w""#, says),
            Sign::Vote(candidate) => {
                let host = self.host(candidate);
                let (length, own) = (if host < mark.host { -6.0 } else { 6.0 }, host == mark.host);
                let from = if length < 0.0 { y - 4.0 } else { y + 4.0 };
                let shape = if own {
                    "m-3 -7h6".to_owned()
                } else {
                    format!(
                        "v{length}m-2.5 {}l2.5 {}l2.5 {}",
                        -length / 2.0,
                        length / 2.0,
                        -length / 2.0
                    )
                };
                self.svg.mark(x, from, &shape, r#"class="v""#, says);
            }
            Sign::Elected => self.svg.mark(x, high - 7.0, "l5 7h-10z", r#"class="w""#, says),
            Sign::Sealed => self
                .svg
                .mark(x, high - 8.0, "l4 4l-4 4l-4 -4z", r##"fill="#000""##, says),
            Sign::GaveUp => self.svg.mark(x - 4.0, high - 4.0, "h8", r#"class="x""#, says),
            Sign::Stopped => self
                .svg
                .mark(x - 4.0, high - 8.0, "h8v8h-8z", r##"fill="#555""##, says),
            Sign::Fenced { by, acted } => {
                let by = self.host(by);
                if by < self.rows && by != mark.host {
                    let from = (self.scale.x(acted), self.y(by));
                    self.svg.line(from, (x, y), r#"class="f""#, says);
                }
                self.svg.mark(
                    x - 6.0,
                    y,
                    "a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
                    r#"class="x""#,
                    says,
                );
            }
            Sign::DiskLost => self
                .svg
                .mark(x - 4.0, y + 6.0, "h8m-4 -3v6", r#"class="x""#, says),
            Sign::DiskFound => {}
            Sign::Cut(to) => {
                let down = if to > mark.host { 4.0 } else { -4.0 };
                self.svg.mark(
                    x,
                    y,
                    &format!("l3 {down}l-6 {down}l3 {down}"),
                    r#"class="n""#,
                    says,
                );
            }
            Sign::Mended => {}
        }
    }

    fn foot(&mut self, supers: &[(Time, SuperBlock)]) {
        let y = TOP + self.rows as f64 * ROW + 26.0;
        self.svg.text(8.0, y + 4.0, r#"class="d b""#, "super");
        self.svg.text(8.0, y + 16.0, r#"class="d b""#, "block");
        for (index, (at, state)) in supers.iter().enumerate() {
            let from = self.scale.x(*at);
            let until = supers.get(index + 1).map_or(self.world.now, |(next, _)| *next);
            let to = self.scale.x(until);
            let Some(server) = state.server else { continue };
            let (name, term) = (self.world.name_of(server).to_owned(), server.term.0);
            let stopped = state.fenced.covers(server);
            let what = match (state.server_addr, stopped) {
                (Some(addr), _) => format!("at {addr}"),
                (None, true) => "which has stopped".to_owned(),
                (None, false) => "which does not listen yet".to_owned(),
            };
            let says = format!(
                "{:.3} s  super block {}: server {name} of term {term}, {what}; fenced up to {}; barrier {}",
                *at as f64 / 1e6,
                state.seq,
                state.fenced,
                state.unmount_barrier
            );
            let lightness = match (state.server_addr.is_some(), stopped) {
                (true, _) => 42,
                (false, false) => 68,
                (false, true) => 90,
            };
            self.svg
                .band(from, y - 4.0, to - from, 18.0, &colour(term, lightness), &says);
            self.svg
                .line((from, y - 7.0), (from, y + 17.0), r##"stroke="#000""##, &says);
            if to - from > 60.0 {
                let (words, ink) = match stopped {
                    true => ("stopped".to_owned(), "#555"),
                    false => (name.clone(), "#fff"),
                };
                self.svg
                    .text(from + 4.0, y + 9.0, &format!(r#"fill="{ink}" class="b""#), &words);
            }
        }
    }

    fn legend(&mut self) {
        let y = TOP + self.rows as f64 * ROW + FOOT;
        let band = |svg: &mut Svg, x: f64, height: f64, lightness: u32, words: &str| {
            svg.band(x, y - height / 2.0, 24.0, height, &colour(1, lightness), "");
            svg.text(x + 28.0, y + 4.0, r#"class="d""#, words);
        };
        band(&mut self.svg, 8.0, 7.0, 78, "connected");
        band(&mut self.svg, 110.0, BAND - 6.0, 68, "elected");
        band(&mut self.svg, 196.0, BAND - 3.0, 55, "sealed");
        band(&mut self.svg, 280.0, BAND, 42, "serves");
        self.svg
            .band(364.0, y - BAND / 2.0, 24.0, BAND, r#"class="z""#, "");
        self.svg.text(392.0, y + 4.0, r#"class="d""#, "paused");
        let signs: [(&str, &str, &str, f64, f64); 12] = [
            ("v10l7 -5z", r##"fill="#2a2""##, "starts", 0.0, -5.0),
            ("h6v10h-6z", r#"class="w""#, "ends", -3.0, -5.0),
            ("v6m-2.5 -3l2.5 3l2.5 -3", r#"class="v""#, "votes", 0.0, -3.0),
            ("h6", r#"class="v""#, "for itself", -3.0, 0.0),
            ("l5 7h-10z", r#"class="w""#, "wins", 0.0, -4.0),
            ("l4 4l-4 4l-4 -4z", r##"fill="#000""##, "seals", 0.0, -4.0),
            ("h8", r#"class="x""#, "gives up", -4.0, 0.0),
            ("h8v8h-8z", r##"fill="#555""##, "stops", -4.0, -4.0),
            ("l10 10m0 -10l-10 10", r#"class="x""#, "crashes", -5.0, -5.0),
            (
                "a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
                r#"class="x""#,
                "is fenced",
                -6.0,
                0.0,
            ),
            ("l3 4l-6 4l3 4", r#"class="n""#, "link cut", 0.0, -6.0),
            ("h8m-4 -3v6", r#"class="x""#, "disk lost", -4.0, 0.0),
        ];
        for (index, (shape, style, words, dx, dy)) in signs.into_iter().enumerate() {
            let x = 464.0 + index as f64 * 77.0;
            self.svg.mark(x + dx, y + dy, shape, style, "");
            self.svg.text(x + 10.0, y + 4.0, r#"class="d""#, words);
        }
    }
}
