//! Lines on standard output or error, written by a thread of its own: a reader that takes none must not stop a leader.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

/// Lines that wait for the reader. More are dropped and counted.
const LINES_MAX: usize = 4096;

/// How long the last lines may take to be written when the command ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Writes lines without ever waiting.
pub(super) struct Printer {
    lines: Option<SyncSender<String>>,
    done: mpsc::Receiver<()>,
    dropped: u64,
}

impl Printer {
    /// Writes to standard output, each line at once.
    pub(super) fn stdout() -> std::io::Result<Self> {
        Self::to(std::io::stdout())
    }

    /// Writes to standard error, where standard output belongs to a program.
    pub(super) fn stderr() -> std::io::Result<Self> {
        Self::to(std::io::stderr())
    }

    /// Writes to the end of a file.
    pub(super) fn file(path: &std::path::Path) -> std::io::Result<Self> {
        Self::to(std::fs::OpenOptions::new().create(true).append(true).open(path)?)
    }

    fn to(mut out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES_MAX);
        let (finished, done) = mpsc::channel();
        std::thread::Builder::new()
            .name("ostrakon-print".to_owned())
            .spawn(move || {
                // A reader that went away ends the writing, not the mount.
                for line in waiting {
                    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                        break;
                    }
                }
                let _ = finished.send(());
            })?;
        Ok(Self {
            lines: Some(lines),
            done,
            dropped: 0,
        })
    }

    /// Hands a line over. Returns how many were dropped before this one, once there is room again.
    pub(super) fn line(&mut self, line: String) -> u64 {
        match self.lines.as_ref().map(|lines| lines.try_send(line)) {
            Some(Err(TrySendError::Full(_))) => {
                self.dropped += 1;
                0
            }
            _ => std::mem::take(&mut self.dropped),
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.lines = None;
        match self.done.recv_timeout(LAST_WORDS) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("ostrakon: nobody reads the events; their end is lost")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;

    /// A reader that takes nothing until it is told to.
    #[derive(Clone, Default)]
    struct Slow(Arc<Gate>);

    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        opened: Condvar,
        taken: Mutex<Vec<u8>>,
    }

    impl Slow {
        fn go(&self) {
            *self.0.open.lock().unwrap() = true;
            self.0.opened.notify_all();
        }
        fn text(&self) -> String {
            String::from_utf8(self.0.taken.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let open = self.0.open.lock().unwrap();
            drop(self.0.opened.wait_while(open, |open| !*open).unwrap());
            self.0.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_stops_nobody_and_learns_what_it_missed() {
        let out = Slow::default();
        let mut printer = Printer::to(out.clone()).unwrap();
        for number in 0..LINES_MAX + 100 {
            assert_eq!(printer.line(number.to_string()), 0);
        }
        out.go();
        let mut missed = 0;
        while missed == 0 {
            missed = printer.line("later".to_owned());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(missed >= 99, "{missed}");
        drop(printer);
        assert!(out.text().starts_with("0\n1\n2\n") && out.text().ends_with("later\n"));
    }

    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let mut printer = Printer::to(Gone).unwrap();
        for _ in 0..10 {
            printer.line("x".to_owned());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
