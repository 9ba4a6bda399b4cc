//! Core's disk requests, carried out by threads and answered within their limits.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, mpsc};

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use ostrakon_core::time::{Duration, Instant};

use super::worker::{Finished, Job, Queue, Worker};
use super::{AlignedBuffer, BlockIo, IoError};

/// Threads that are free to serve. The mount has few requests under way at once; more threads would only
/// let them overtake one another.
const WORKERS: usize = 4;

/// Threads that may hang in the device at once before no further ones are started in their place. From then
/// on requests wait in the queue, time out there, and are never begun.
const STUCK_MAX: usize = 16;

/// Buffers kept for the next request; others are given back to the system. One is asked for in each turn of the loop, and
/// a mount seldom has more than one request under way.
const SPARE_BUFFERS_MAX: usize = 2;

/// An answered request.
#[derive(Debug)]
pub struct Completed {
    /// The request.
    pub request: DiskRequest,
    /// What became of it.
    pub outcome: Outcome,
    buffer: Option<AlignedBuffer>,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It completed.
    Done,
    /// The device answered with an error.
    Failed(IoError),
    /// No answer within the limit. `begun`: the device has it and may still carry it out.
    TimedOut {
        /// Whether a thread had begun it.
        begun: bool,
    },
}

impl Completed {
    /// The request's name.
    pub const fn id(&self) -> IoId {
        self.request.id()
    }

    /// The completion in core's words.
    pub fn outcome(&self) -> DiskOutcome<'_> {
        match (self.outcome, self.request, &self.buffer) {
            (Outcome::Done, DiskRequest::Read { count, .. }, Some(buffer)) => {
                DiskOutcome::Read(&buffer.bytes()[..count as usize * BLOCK_BYTES])
            }
            (Outcome::Done, ..) => DiskOutcome::Done,
            (Outcome::Failed(error), ..) => DiskOutcome::Failed(error.class()),
            (Outcome::TimedOut { .. }, ..) => DiskOutcome::Failed(DiskError::TimedOut),
        }
    }
}

struct Pending {
    request: DiskRequest,
    deadline: Instant,
}

/// Carries out core's disk requests.
///
/// A request that hangs is answered with [`Outcome::TimedOut`] when its limit has passed; its thread is given
/// up and replaced, and whatever the device says later is ignored. Threads given up are replaced 16 times at
/// most; what comes then waits in the queue, times out there, and is never begun.
///
/// Memory: one buffer for each request under way or stuck, and a few spare ones.
pub struct Pool {
    queue: Arc<Queue>,
    device: Arc<dyn BlockIo>,
    wake: Arc<dyn Fn() + Send + Sync>,
    finished: mpsc::Receiver<Finished>,
    finished_by_workers: mpsc::Sender<Finished>,
    pending: BTreeMap<u64, Pending>,
    serial: u64,
    /// Threads hanging in requests that were answered as timed out, and how many of them were replaced.
    stuck: usize,
    replaced: usize,
    transfer_blocks: usize,
    spare: Vec<AlignedBuffer>,
}

impl Pool {
    /// Starts the threads. `wake` is called, from any thread, when [`next_completed`](Self::next_completed) has
    /// something; `transfer_blocks` is the longest request.
    ///
    /// # Errors
    /// The system's, if it grants no threads.
    pub fn start(
        device: Arc<dyn BlockIo>,
        transfer_blocks: u32,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let (finished_by_workers, finished) = mpsc::channel();
        let pool = Self {
            queue: Arc::default(),
            device,
            wake,
            finished,
            finished_by_workers,
            pending: BTreeMap::new(),
            serial: 0,
            stuck: 0,
            replaced: 0,
            transfer_blocks: transfer_blocks as usize,
            spare: Vec::new(),
        };
        for _ in 0..WORKERS {
            pool.start_worker()?;
        }
        Ok(pool)
    }

    fn start_worker(&self) -> io::Result<()> {
        let worker = Worker {
            queue: Arc::clone(&self.queue),
            device: Arc::clone(&self.device),
            finished: self.finished_by_workers.clone(),
            wake: Arc::clone(&self.wake),
        };
        std::thread::Builder::new()
            .name("ostrakon-disk".to_owned())
            .spawn(move || worker.run())
            .map(drop)
    }

    /// A buffer for [`Mount::poll_disk`](ostrakon_core::mount::Mount::poll_disk); goes back with
    /// [`submit`](Self::submit) or [`recycle`](Self::recycle).
    pub fn buffer(&mut self) -> AlignedBuffer {
        self.spare
            .pop()
            .unwrap_or_else(|| AlignedBuffer::blocks(self.transfer_blocks))
    }

    /// Takes back a buffer that was not needed.
    pub fn recycle(&mut self, buffer: AlignedBuffer) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(buffer);
        }
    }

    /// Nothing is to be done for a while: gives the memory of spare buffers back to the system.
    ///
    /// None of them is in the device's hands. A buffer goes with its request to the thread that carries it out, which has it
    /// until the system call has returned, however late that is and whether or not the request was answered as timed out; only then
    /// is it spare.
    pub fn rest(&mut self) {
        self.spare.clear();
    }

    /// Takes back what a completion carried.
    pub fn release(&mut self, completed: Completed) {
        if let Some(buffer) = completed.buffer {
            self.recycle(buffer);
        }
    }

    /// Hands a request to the threads, with the buffer that holds the bytes of a write.
    pub fn submit(&mut self, now: Instant, request: DiskRequest, buffer: AlignedBuffer) {
        let deadline = now + limit(&request);
        self.serial += 1;
        self.pending.insert(self.serial, Pending { request, deadline });
        self.queue.push(Job {
            serial: self.serial,
            request,
            buffer,
            deadline,
        });
    }

    /// The next answered request. Looks at what the device answered before it judges that a limit has passed.
    pub fn next_completed(&mut self, now: Instant) -> Option<Completed> {
        while let Ok(finished) = self.finished.try_recv() {
            if let Some(completed) = self.take(finished) {
                return Some(completed);
            }
        }
        self.give_up_one(now)
    }

    /// When the next limit passes.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// Requests not answered yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Threads that hang in requests already answered as timed out.
    pub const fn stuck(&self) -> usize {
        self.stuck
    }

    fn take(&mut self, finished: Finished) -> Option<Completed> {
        let Some(pending) = self.pending.remove(&finished.serial) else {
            self.came_back();
            self.recycle(finished.buffer);
            return None;
        };
        let outcome = match finished.result {
            Some(Ok(())) => Outcome::Done,
            Some(Err(error)) => Outcome::Failed(error),
            None => Outcome::TimedOut { begun: false },
        };
        Some(Completed {
            request: pending.request,
            outcome,
            buffer: Some(finished.buffer),
        })
    }

    fn give_up_one(&mut self, now: Instant) -> Option<Completed> {
        let (&serial, _) = self.pending.iter().find(|(_, pending)| pending.deadline <= now)?;
        let request = self.pending.remove(&serial)?.request;
        let withdrawn = self.queue.withdraw(serial);
        let begun = withdrawn.is_none();
        if begun {
            self.replace_stuck();
        }
        Some(Completed {
            request,
            outcome: Outcome::TimedOut { begun },
            buffer: withdrawn.map(|job| job.buffer),
        })
    }

    fn replace_stuck(&mut self) {
        self.stuck += 1;
        if self.replaced < STUCK_MAX && self.start_worker().is_ok() {
            self.replaced += 1;
        }
    }

    fn came_back(&mut self) {
        self.stuck -= 1;
        if self.replaced > self.stuck {
            self.replaced -= 1;
            self.queue.dismiss_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Threads are not waited for: one that hangs in the device would hang its caller.
        self.queue.close();
    }
}

const fn limit(request: &DiskRequest) -> Duration {
    match *request {
        DiskRequest::Read { limit, .. }
        | DiskRequest::Write { limit, .. }
        | DiskRequest::Flush { limit, .. } => limit,
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
