//! A device that hangs, fails and comes back, behind the pool.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use ostrakon_core::ids::BlockNo;
use rustix::io::Errno;

use super::*;
use crate::clock;

/// Answers reads of block `n` with bytes `n`; hangs in every operation while the gate is shut.
#[derive(Default)]
struct Gated {
    shut: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
}

impl Gated {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut shut = self.shut.lock().unwrap();
        while *shut {
            shut = self.opened.wait(shut).unwrap();
        }
    }
}

impl BlockIo for Gated {
    fn read(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError> {
        self.pass();
        bytes.fill(first.0 as u8);
        Ok(())
    }
    fn write(&self, first: BlockNo, _bytes: &[u8], _durable: bool) -> Result<(), IoError> {
        self.pass();
        match first.0 {
            1 => Err(IoError::Os(Errno::IO)),
            2 => Err(IoError::Os(Errno::BADMSG)),
            _ => Ok(()),
        }
    }
    fn flush(&self) -> Result<(), IoError> {
        self.pass();
        Ok(())
    }
}

struct Bench {
    device: Arc<Gated>,
    pool: Pool,
    wakes: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        let device = Arc::new(Gated::default());
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let pool = Pool::start(Arc::clone(&device) as Arc<dyn BlockIo>, 2, wake).unwrap();
        Self { device, pool, wakes }
    }

    fn read(&mut self, id: u32, first: u64, limit_ms: u64) {
        let buffer = self.pool.buffer();
        let request = DiskRequest::Read {
            id: IoId(id),
            first: BlockNo(first),
            count: 1,
            limit: Duration::from_millis(limit_ms),
        };
        self.pool.submit(clock::now(), request, buffer);
    }

    fn write(&mut self, id: u32, first: u64) {
        let buffer = self.pool.buffer();
        let request = DiskRequest::Write {
            id: IoId(id),
            first: BlockNo(first),
            count: 2,
            durable: true,
            limit: Duration::from_secs(10),
        };
        self.pool.submit(clock::now(), request, buffer);
    }

    /// Waits for the next answer.
    fn next(&mut self) -> Completed {
        for _ in 0..10_000 {
            if let Some(completed) = self.pool.next_completed(clock::now()) {
                return completed;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("no answer in ten seconds");
    }

    fn settle(&self, what: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if what(self) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("did not settle in ten seconds");
    }
}

#[test]
fn reads_carry_their_bytes_and_wake_the_loop() {
    let mut bench = Bench::new();
    bench.read(7, 9, 10_000);
    let completed = bench.next();
    assert_eq!(completed.id(), IoId(7));
    assert_eq!(completed.outcome(), DiskOutcome::Read(&[9; BLOCK_BYTES]));
    bench.settle(|bench| bench.wakes.load(Ordering::SeqCst) == 1);
    assert_eq!(bench.pool.pending(), 0);
}

#[test]
fn errors_keep_their_class() {
    let mut bench = Bench::new();
    for (first, expected) in [
        (0, DiskOutcome::Done),
        (1, DiskOutcome::Failed(DiskError::Failed)),
        (2, DiskOutcome::Failed(DiskError::Medium)),
    ] {
        bench.write(1, first);
        assert_eq!(bench.next().outcome(), expected);
    }
}

#[test]
fn a_hung_request_is_answered_in_time_and_its_late_completion_is_ignored() {
    let mut bench = Bench::new();
    bench.device.shut();
    let before = clock::now();
    bench.read(1, 5, 30);
    let completed = bench.next();
    assert_eq!(completed.outcome, Outcome::TimedOut { begun: true });
    assert_eq!(completed.outcome(), DiskOutcome::Failed(DiskError::TimedOut));
    assert!(clock::now().since(before) >= Duration::from_millis(30));
    assert_eq!(bench.pool.stuck(), 1);

    bench.device.open();
    // The same name again: the late answer of the first must not be taken for that of the second.
    bench.read(1, 6, 10_000);
    assert_eq!(bench.next().outcome(), DiskOutcome::Read(&[6; BLOCK_BYTES]));
    while bench.pool.stuck() > 0 {
        assert!(bench.pool.next_completed(clock::now()).is_none());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn memory_that_is_given_back_is_none_that_the_device_still_fills() {
    let mut bench = Bench::new();
    bench.device.shut();
    bench.read(1, 5, 10_000);
    bench.read(2, 6, 30);
    // One that was answered as timed out is in the device's hands all the same.
    assert_eq!(bench.next().outcome, Outcome::TimedOut { begun: true });
    let spare = bench.pool.buffer();
    bench.pool.recycle(spare);
    bench.pool.rest();
    assert!(bench.pool.spare.is_empty());
    bench.device.open();
    let completed = bench.next();
    assert_eq!(completed.outcome(), DiskOutcome::Read(&[5; BLOCK_BYTES]));
    bench.pool.release(completed);
    while bench.pool.stuck() > 0 {
        assert!(bench.pool.next_completed(clock::now()).is_none());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(bench.pool.spare.len(), 2, "both came back");
}

/// Longer than any limit used here.
const LONG: Duration = Duration::from_secs(100);

#[test]
fn hung_requests_do_not_keep_others_from_the_device() {
    let mut bench = Bench::new();
    bench.device.shut();
    for id in 0..WORKERS as u32 {
        bench.read(id, 0, 10_000);
    }
    bench.settle(|bench| bench.device.begun.load(Ordering::SeqCst) == WORKERS);
    for _ in 0..WORKERS {
        let completed = bench.pool.next_completed(clock::now() + LONG).unwrap();
        assert_eq!(completed.outcome, Outcome::TimedOut { begun: true });
    }
    bench.read(9, 0, 10_000);
    bench.settle(|bench| bench.device.begun.load(Ordering::SeqCst) == WORKERS + 1);
    bench.device.open();
    assert_eq!(bench.next().id(), IoId(9));
}

#[test]
fn stuck_threads_are_bounded_and_what_waits_behind_them_is_never_begun() {
    let mut bench = Bench::new();
    bench.device.shut();
    let hang = WORKERS + STUCK_MAX;
    for id in 0..hang {
        bench.read(id as u32, 0, 10_000);
        bench.settle(|bench| bench.device.begun.load(Ordering::SeqCst) == id + 1);
        let completed = bench.pool.next_completed(clock::now() + LONG).unwrap();
        assert_eq!(completed.outcome, Outcome::TimedOut { begun: true });
    }
    for id in 0..3 {
        bench.read(id, 0, 10_000);
        let completed = bench.pool.next_completed(clock::now() + LONG).unwrap();
        assert_eq!(completed.outcome, Outcome::TimedOut { begun: false });
    }
    assert_eq!(bench.pool.stuck(), hang);
    bench.device.open();
    while bench.pool.stuck() > 0 {
        assert!(bench.pool.next_completed(clock::now()).is_none());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(bench.device.begun.load(Ordering::SeqCst), hang);
    assert_eq!(bench.pool.replaced, 0);
    bench.write(1, 0);
    assert_eq!(bench.next().outcome(), DiskOutcome::Done);
}

#[test]
fn an_injected_delay_longer_than_the_limit_times_out() {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 16).unwrap();
    let mut device = crate::disk::DeviceFile::open(image.path(), crate::disk::Access::ReadWrite).unwrap();
    device.set_delay(std::time::Duration::from_millis(200));
    let mut pool = Pool::start(Arc::new(device), 1, Arc::new(|| {})).unwrap();
    let buffer = pool.buffer();
    let request = DiskRequest::Flush {
        id: IoId(3),
        limit: Duration::from_millis(20),
    };
    pool.submit(clock::now(), request, buffer);
    let completed = loop {
        if let Some(completed) = pool.next_completed(clock::now()) {
            break completed;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    assert_eq!(completed.outcome, Outcome::TimedOut { begun: true });
}
