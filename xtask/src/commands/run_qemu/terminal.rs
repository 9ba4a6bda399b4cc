//! A terminal that gives single keys. `stty` knows every terminal, and is on every machine that has one.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use ostrakon_xtask::failure::{During, Result, ensure};

/// Rows and columns where nobody knows better.
const SIZE_DEFAULT: (usize, usize) = (24, 80);

/// The terminal; it is as it was before when this value goes.
pub(super) struct Terminal {
    saved: String,
}

impl Terminal {
    /// Takes the terminal over: no echo, no line discipline, ctrl-c is a key, and a read waits a fifth of a second.
    pub(super) fn take() -> Result<Self> {
        let terminal = Self {
            saved: stty(&["-g"])?.trim().to_owned(),
        };
        stty(&["-icanon", "-echo", "-isig", "min", "0", "time", "2"])?;
        // The other screen, so that what stood here before comes back.
        print!("\x1b[?1049h\x1b[?25l");
        Ok(terminal)
    }

    /// A key, or `None` after a fifth of a second.
    pub(super) fn key(&self) -> Result<Option<char>> {
        let mut byte = [0];
        let count = std::io::stdin().read(&mut byte).during("reading a key")?;
        Ok((count > 0).then(|| char::from(byte[0])))
    }

    /// Shows these lines, as many as fit.
    pub(super) fn show(&self, lines: &[String]) -> Result<()> {
        let (rows, columns) = size();
        let mut screen = String::from("\x1b[H");
        for line in lines.iter().take(rows.saturating_sub(1)) {
            screen.extend(line.chars().take(columns));
            screen += "\x1b[K\r\n";
        }
        screen += "\x1b[J";
        let mut out = std::io::stdout();
        out.write_all(screen.as_bytes())
            .and_then(|()| out.flush())
            .during("writing to the terminal")
    }

    /// Lines that fit.
    pub(super) fn rows(&self) -> usize {
        size().0.saturating_sub(1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        print!("\x1b[?25h\x1b[?1049l");
        // Both only make the terminal nicer; there is nobody to tell.
        let _ = std::io::stdout().flush();
        let _ = stty(&[&self.saved]);
    }
}

fn size() -> (usize, usize) {
    let parse = |text: String| {
        let (rows, columns) = text.trim().split_once(' ')?;
        Some((rows.parse().ok()?, columns.parse().ok()?))
    };
    let size = stty(&["size"]).ok().and_then(parse);
    size.filter(|&(rows, columns)| rows > 0 && columns > 0)
        .unwrap_or(SIZE_DEFAULT)
}

fn stty(arguments: &[&str]) -> Result<String> {
    let output = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .output()
        .during("running stty")?;
    ensure(output.status.success(), || {
        format!(
            "stty {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })?;
    String::from_utf8(output.stdout).during("reading what stty printed")
}
