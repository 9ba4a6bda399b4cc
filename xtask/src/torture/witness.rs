//! What the program under `run` wrote: which term, and how many lines in it. It alone is believed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cluster::PATIENCE;
use crate::failure::{During, Failure, Result, ensure};

/// Appends its term and a number, again and again; `$W` is the file.
pub(super) const SCRIPT: &str =
    "exec 2>/dev/null; i=0; while :; do i=$((i+1)); echo $OSTRAKON_TERM $i >>$W; sleep 0.002; done";

/// A file that all writers append to, and how far it was judged.
pub(super) struct Witness {
    path: PathBuf,
    file: File,
    rest: String,
    last: (u64, u64),
    writers: u32,
}

impl Witness {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("witness");
        std::fs::write(&path, "").during("making the witness")?;
        let file = File::open(&path).during("opening the witness")?;
        Ok(Self {
            path,
            file,
            rest: String::new(),
            last: (0, 0),
            writers: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writers so far.
    pub(super) fn writers(&self) -> u32 {
        self.writers
    }

    /// Reads on. Fails if a term came back, or if one wrote after the next had begun: each counts up from 1 without a gap.
    pub(super) fn judge(&mut self) -> Result<u64> {
        self.file
            .read_to_string(&mut self.rest)
            .during("reading the witness")?;
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let lines = self.rest[..whole].to_owned();
        self.rest.drain(..whole);
        for line in lines.lines() {
            let now = parse(line).ok_or_else(|| Failure::new(format!("the witness says {line:?}")))?;
            let begins = now.0 > self.last.0 && now.1 == 1;
            ensure(begins || now == (self.last.0, self.last.1 + 1), || {
                format!("TWO WRITERS: term and number {now:?} stand after {:?}", self.last)
            })?;
            self.writers += u32::from(begins);
            self.last = now;
        }
        Ok(self.last.0)
    }

    /// Reads on until the writer of this term has begun.
    pub(super) fn wait_for(&mut self, term: u64) -> Result<()> {
        let begun = Instant::now();
        while self.judge()? < term {
            ensure(begun.elapsed() < PATIENCE, || {
                format!("the program of term {term} never writes")
            })?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (term, number) = line.split_once(' ')?;
    Some((term.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn judged(text: &str) -> Result<u64> {
        let folder =
            std::env::temp_dir().join(format!("ostrakon-witness-{}-{}", std::process::id(), text.len()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut witness = Witness::create(&folder).expect("a file");
        let mut file = File::options()
            .append(true)
            .open(witness.path())
            .expect("the file");
        let mut last = Ok(0);
        for piece in text.as_bytes().chunks(3) {
            file.write_all(piece).expect("written");
            last = last.and_then(|_| witness.judge());
        }
        std::fs::remove_dir_all(folder).expect("removed");
        last
    }

    #[test]
    fn one_writer_after_the_other_is_fine() {
        assert_eq!(judged("1 1\n1 2\n1 3\n4 1\n4 2\n17 1\n").expect("fine"), 17);
    }

    #[test]
    fn whoever_writes_after_its_successor_is_found_out() {
        for text in [
            "1 1\n2 1\n1 2\n",
            "2 1\n1 1\n",
            "1 1\n1 3\n",
            "1 1\n2 2\n",
            "1 1\n1 1\n",
        ] {
            assert!(judged(text).is_err(), "{text:?}");
        }
    }
}
