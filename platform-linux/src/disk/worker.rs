//! The threads that wait for the device, and the queue they take their work from.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::disk::DiskRequest;
use ostrakon_core::time::Instant;

use super::{AlignedBuffer, BlockIo, IoError};
use crate::clock;

/// A request on its way to the device.
pub(super) struct Job {
    /// Tells this request from an earlier one that core gave the same name.
    pub(super) serial: u64,
    pub(super) request: DiskRequest,
    pub(super) buffer: AlignedBuffer,
    /// Not begun after this: the mount was told that it timed out, and counts on it to be over after W.
    pub(super) deadline: Instant,
}

/// A job that the device has answered.
pub(super) struct Finished {
    pub(super) serial: u64,
    pub(super) buffer: AlignedBuffer,
    /// What the device said; `None` if the limit had passed before it was asked.
    pub(super) result: Option<Result<(), IoError>>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that are to end because one that was given up has come back.
    surplus: usize,
    closed: bool,
}

/// What threads share.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Takes a job back that no thread has begun.
    pub(super) fn withdraw(&self, serial: u64) -> Option<Job> {
        let mut state = self.lock();
        let place = state.jobs.iter().position(|job| job.serial == serial)?;
        state.jobs.remove(place)
    }

    /// One thread too many: the next idle one ends.
    pub(super) fn dismiss_one(&self) {
        self.lock().surplus += 1;
        self.changed.notify_one();
    }

    /// No more work; what was not begun is dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if state.surplus > 0 {
                state.surplus -= 1;
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What a thread needs.
pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    pub(super) device: Arc<dyn BlockIo>,
    pub(super) finished: mpsc::Sender<Finished>,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl Worker {
    /// Serves until dismissed.
    pub(super) fn run(self) {
        while let Some(mut job) = self.queue.next() {
            if clock::now() >= job.deadline {
                // Never begun, so nothing can land late.
                self.give_back(job, None);
                continue;
            }
            let result = execute(&*self.device, &mut job);
            self.give_back(job, Some(result));
        }
    }

    fn give_back(&self, job: Job, result: Option<Result<(), IoError>>) {
        let finished = Finished {
            serial: job.serial,
            buffer: job.buffer,
            result,
        };
        // Nobody listens any more once the pool is gone.
        if self.finished.send(finished).is_ok() {
            (self.wake)();
        }
    }
}

fn execute(device: &dyn BlockIo, job: &mut Job) -> Result<(), IoError> {
    match job.request {
        DiskRequest::Read { first, count, .. } => {
            device.read(first, &mut job.buffer.bytes_mut()[..count as usize * BLOCK_BYTES])
        }
        DiskRequest::Write {
            first,
            count,
            durable,
            ..
        } => device.write(
            first,
            &job.buffer.bytes()[..count as usize * BLOCK_BYTES],
            durable,
        ),
        DiskRequest::Flush { .. } => device.flush(),
    }
}
