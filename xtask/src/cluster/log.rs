//! The events of all mounts in the order in which they arrived.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Event, Record};
use super::mount::MountId;

/// A place in the log: what comes after it is news.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark(usize);

impl Mark {
    /// Before everything.
    pub const START: Self = Self(0);
}

/// Shared by the threads that read the mounts' output.
#[derive(Clone)]
pub struct Log {
    started: Instant,
    inner: Arc<(Mutex<Vec<Record>>, Condvar)>,
}

impl Log {
    /// An empty log that begins now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            inner: Arc::default(),
        }
    }

    /// Adds an event that arrived now.
    pub fn add(&self, mount: MountId, event: Event) {
        let seen = Instant::now();
        self.records().push(Record { mount, seen, event });
        self.inner.1.notify_all();
    }

    /// The place after the last record.
    pub fn mark(&self) -> Mark {
        Mark(self.records().len())
    }

    /// The first record after `from` that yields something.
    pub fn find<T>(&self, from: Mark, pick: impl FnMut(&Record) -> Option<T>) -> Option<T> {
        self.records()[from.0..].iter().find_map(pick)
    }

    /// The records after `from`.
    pub fn since(&self, from: Mark) -> Vec<Record> {
        self.records()[from.0..].to_vec()
    }

    /// Waits until a record after `from` yields something; `None` when the time is up.
    pub fn wait<T>(
        &self,
        from: Mark,
        limit: Duration,
        mut pick: impl FnMut(&Record) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut next = from.0;
        let mut records = self.records();
        loop {
            while let Some(record) = records.get(next) {
                if let Some(found) = pick(record) {
                    return Some(found);
                }
                next += 1;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            records = self
                .inner
                .1
                .wait_timeout(records, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The last `count` records as text, a line each.
    pub fn tail(&self, names: &[&str], count: usize) -> String {
        let records = self.records();
        let first = records.len().saturating_sub(count);
        let line = |record: &Record| {
            let name = names.get(record.mount.0).copied().unwrap_or("?");
            let at = record.seen.duration_since(self.started).as_secs_f32();
            format!("  {at:8.3} s  {name}: {}\n", record.event.object)
        };
        records[first..].iter().map(line).collect()
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        // A reader that panicked left whole records behind.
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
