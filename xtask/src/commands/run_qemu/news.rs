//! What the guests said on their control lines, in the order in which it arrived; and the log that people read.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines of the log that are kept for the last words of a failure and for the table.
const LINES_KEPT: usize = 400;

/// One event of a guest.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// When it arrived here.
    pub(super) seen: Instant,
    /// Number of the guest.
    pub(super) guest: usize,
    /// The rid of the mount that said it.
    pub(super) rid: String,
    /// The event's name, then what belongs to it, without the guest's own time.
    pub(super) words: Vec<String>,
}

impl Item {
    /// The event's name.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The word at this place after the name.
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at + 1).map_or("", String::as_str)
    }
}

/// A place among the items: what comes after it is news.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(usize);

/// Everything that was said so far.
pub(super) struct News {
    started: Instant,
    items: Mutex<Vec<Item>>,
    came: Condvar,
    lines: Mutex<VecDeque<String>>,
    /// Lines go to the screen as they come; otherwise somebody shows the last of them.
    prints: bool,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    /// Nothing yet.
    pub(super) fn new(prints: bool) -> Self {
        Self {
            started: Instant::now(),
            items: Mutex::default(),
            came: Condvar::new(),
            lines: Mutex::default(),
            prints,
        }
    }

    /// Time since the beginning.
    pub(super) fn time(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds a line for people: who says what.
    pub(super) fn say(&self, who: &str, what: &str) {
        let line = format!("{:9.3}  {who:<6} {what}", self.time().as_secs_f64());
        let mut lines = locked(&self.lines);
        if self.prints {
            println!("{line}");
        }
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Whether one of the lines that are kept is of this guest, and has these words.
    pub(super) fn has_said(&self, who: &str, words: &str) -> bool {
        let begin = format!("  {who:<6} ");
        let lines = locked(&self.lines);
        lines
            .iter()
            .any(|line| line.contains(&begin) && line.contains(words))
    }

    /// The last lines.
    pub(super) fn tail(&self, count: usize) -> Vec<String> {
        let lines = locked(&self.lines);
        lines
            .iter()
            .skip(lines.len().saturating_sub(count))
            .cloned()
            .collect()
    }

    /// Adds an event.
    pub(super) fn add(&self, item: Item) {
        locked(&self.items).push(item);
        self.came.notify_all();
    }

    /// The place after the last item.
    pub(super) fn mark(&self) -> Mark {
        Mark(locked(&self.items).len())
    }

    /// Looks at everything that was said so far.
    pub(super) fn look<T>(&self, look: impl FnOnce(&[Item]) -> T) -> T {
        look(&locked(&self.items))
    }

    /// Waits until an item after `from` yields something; `None` when the time is up.
    pub(super) fn wait<T>(
        &self,
        from: Mark,
        limit: Duration,
        mut pick: impl FnMut(&Item) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut next = from.0;
        let mut items = locked(&self.items);
        loop {
            while let Some(item) = items.get(next) {
                if let Some(found) = pick(item) {
                    return Some(found);
                }
                next += 1;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            items = self
                .came
                .wait_timeout(items, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
