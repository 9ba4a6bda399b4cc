//! Core's conformance test, run through this platform's disk: two openings of one image file, each behind a pool.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration as StdDuration;

use ostrakon_core::conformance::{Conformance, Side};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::time::Duration;
use ostrakon_linux::clock;
use ostrakon_linux::disk::{Access, BlockIo, DeviceFile, IoError, Pool};

const TRANSFER: u32 = 16;
const LIMIT: Duration = Duration::from_secs(20);

/// A device that is nothing but one.
struct Plain(DeviceFile);

impl BlockIo for Plain {
    fn read(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError> {
        self.0.read_at(first, bytes)
    }
    fn write(&self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<(), IoError> {
        self.0.write_at(first, bytes, durable)
    }
    fn flush(&self) -> Result<(), IoError> {
        self.0.flush()
    }
}

fn open(path: &std::path::Path) -> (Pool, Receiver<()>) {
    let (sender, woken) = channel();
    let sender = std::sync::Mutex::new(sender);
    let wake = Arc::new(move || {
        // Nobody listens any more when the test is over.
        let _ = sender.lock().map(|sender| sender.send(()));
    });
    let device = DeviceFile::open(path, Access::ReadWrite).expect("the image opens");
    let pool = Pool::start(Arc::new(Plain(device)), TRANSFER, wake).expect("threads");
    (pool, woken)
}

#[test]
fn the_disk_of_this_platform_keeps_what_the_rules_assume() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("image");
    let file = std::fs::File::create(&path).expect("an image");
    file.set_len(1 << 20).expect("room for it");
    let mut sides = [open(&path), open(&path)];
    let mut test = Conformance::new(BlockNo(64), TRANSFER, LIMIT, clock::now().0);
    let mut requests = 0;
    while test.result().is_none() {
        // Either side's buffer will do: which side writes is known only afterwards.
        let mut buffer = sides[0].0.buffer();
        let (side, request) = test
            .poll_disk(clock::now(), buffer.bytes_mut())
            .expect("a request or a result");
        let (pool, woken) = match side {
            Side::Here => &mut sides[0],
            Side::There => &mut sides[1],
        };
        pool.submit(clock::now(), request, buffer);
        requests += 1;
        let completed = loop {
            match pool.next_completed(clock::now()) {
                Some(completed) => break completed,
                // Woken or not: what has completed is looked up above.
                None => drop(woken.recv_timeout(StdDuration::from_millis(50))),
            }
        };
        test.handle_disk(clock::now(), completed.id(), completed.outcome());
        pool.release(completed);
    }
    assert_eq!(test.result(), Some(Ok(())));
    assert!(requests > 60, "every round was held: {requests} requests");
}
