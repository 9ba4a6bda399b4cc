//! Small things that are done often: for a clock (`cost`), and for a counter of instructions (`ostrakon-counts`).

use std::hint::black_box;

use ostrakon_core::bounds::{BLOCK_BYTES, REGION_BLOCKS};
use ostrakon_core::checksum::Checksum;
use ostrakon_core::format::{
    ClientRecord, Doorbell, Geometry, LogEntry, RegionBlock, SUPER_COPIES, SuperBlock, TableBlock,
    encode_quorum, encode_table_block,
};
use ostrakon_core::ids::{BlockNo, BootId, HostId};

use crate::volume::{Cycling, RegionRead, VOLUME, entry, head, rid, super_block};

/// Leaders in each log: more than most volumes ever have at once.
pub const LEADERS: u64 = 3;

const AT: BlockNo = BlockNo(70);

/// Something to be measured, one run of it at a time.
pub struct Task {
    /// Its name.
    pub name: &'static str,
    /// Prepares a run, outside of the measurement.
    prepare: Box<dyn FnMut() -> Job>,
}

/// One prepared run.
pub type Job = Box<dyn FnOnce()>;

impl Task {
    fn new<T: FnMut() + Clone + 'static>(name: &'static str, run: T) -> Self {
        Self {
            name,
            prepare: Box::new(move || Box::new(run.clone())),
        }
    }

    /// The next run.
    pub fn prepare(&mut self) -> Job {
        (self.prepare)()
    }
}

/// Everything that is measured, with this checksum routine.
pub fn tasks(checksum: Checksum) -> Vec<Task> {
    let mut tasks = vec![checksum_task("checksum of a block", BLOCK_BYTES, checksum)];
    tasks.push(checksum_task(
        "checksum of 64 blocks",
        REGION_BLOCKS * BLOCK_BYTES,
        checksum,
    ));
    let all = REGION_BLOCKS as u32;
    tasks.push(collect_task(
        "collect and merge of 64 blocks",
        LEADERS,
        checksum,
        all,
    ));
    tasks.push(collect_task("the same, full logs", 36, checksum, all));
    // What the checksums cost is said above.
    tasks.push(collect_task(
        "election: last block of a collect, and the decision",
        LEADERS,
        no_checksum,
        1,
    ));
    tasks.extend(super_tasks(checksum));
    tasks.extend(quorum_tasks(checksum));
    tasks.extend(doorbell_tasks(checksum));
    tasks.extend(table_tasks(checksum));
    tasks
}

fn checksum_task(name: &'static str, bytes: usize, checksum: Checksum) -> Task {
    let bytes: Vec<u8> = (0..bytes).map(|n| (n * 7) as u8).collect();
    let bytes = std::rc::Rc::new(bytes);
    Task::new(name, move || {
        black_box(checksum(black_box(&bytes)));
    })
}

fn no_checksum(_: &[u8]) -> u32 {
    0
}

fn collect_task(name: &'static str, leaders: u64, checksum: Checksum, transfer_blocks: u32) -> Task {
    let cycling = Cycling::new(leaders, checksum, transfer_blocks);
    let cycling = std::rc::Rc::new(std::cell::RefCell::new(cycling));
    let prepare = move || -> Job {
        let read: RegionRead = cycling.borrow_mut().next_collect();
        let cycling = std::rc::Rc::clone(&cycling);
        Box::new(move || cycling.borrow_mut().collect(read))
    };
    Task {
        name,
        prepare: Box::new(prepare),
    }
}

fn super_tasks(checksum: Checksum) -> [Task; 2] {
    let geometry = Geometry::plan(4096, 64).expect("4096 blocks are enough for 64 clients");
    let state = super_block(geometry, 2);
    let mut block = [0; BLOCK_BYTES];
    state.encode(SUPER_COPIES[0], checksum, &mut block);
    [
        Task::new("super block: encode", move || {
            state.encode(SUPER_COPIES[0], checksum, black_box(&mut [0; BLOCK_BYTES]));
        }),
        Task::new("super block: decode", move || {
            let found = SuperBlock::decode(black_box(&block), SUPER_COPIES[0], Some(VOLUME), checksum);
            assert!(black_box(found).is_ok(), "what was encoded is decoded");
        }),
    ]
}

fn quorum_tasks(checksum: Checksum) -> [Task; 2] {
    let log: [LogEntry; LEADERS as usize] = std::array::from_fn(|number| entry(1 + number as u64));
    let mut block = [0; BLOCK_BYTES];
    encode_quorum(&head(1, 1), &log, AT, VOLUME, checksum, &mut block);
    [
        Task::new("quorum block: encode", move || {
            let mut block = [0; BLOCK_BYTES];
            encode_quorum(&head(1, 1), &log, AT, VOLUME, checksum, &mut block);
            black_box(&block);
        }),
        Task::new("quorum block: decode", move || {
            let found =
                RegionBlock::decode(black_box(&block), AT, VOLUME, checksum).expect("what was encoded");
            if let RegionBlock::Written(_, entries) = found {
                assert_eq!(black_box(entries).count(), LEADERS as usize);
            }
        }),
    ]
}

fn doorbell_tasks(checksum: Checksum) -> [Task; 2] {
    let mut block = [0; BLOCK_BYTES];
    Doorbell::SILENT.encode(AT, VOLUME, checksum, &mut block);
    [
        Task::new("doorbell: encode", move || {
            Doorbell::SILENT.encode(AT, VOLUME, checksum, black_box(&mut [0; BLOCK_BYTES]));
        }),
        Task::new("doorbell: decode", move || {
            assert!(black_box(Doorbell::decode(black_box(&block), AT, VOLUME, checksum)).is_ok());
        }),
    ]
}

fn table_tasks(checksum: Checksum) -> [Task; 2] {
    let record = ClientRecord {
        rid: rid(9),
        barrier: 1,
        voter: true,
        evicted: false,
        host: HostId(1),
        boot: BootId([1; 16]),
        addr: Some(([10, 0, 0, 1], 4790).into()),
        fence_param: Default::default(),
    };
    let records = move || {
        (0..ostrakon_core::format::CLIENTS_PER_BLOCK as u64).map(move |number| {
            Some(ClientRecord {
                rid: rid(1 + number),
                ..record
            })
        })
    };
    let mut block = [0; BLOCK_BYTES];
    encode_table_block(5, records(), AT, VOLUME, checksum, &mut block);
    [
        Task::new("client table block: encode", move || {
            encode_table_block(
                5,
                records(),
                AT,
                VOLUME,
                checksum,
                black_box(&mut [0; BLOCK_BYTES]),
            );
        }),
        Task::new("client table block: decode", move || {
            let found =
                TableBlock::decode(black_box(&block), AT, VOLUME, checksum).expect("what was encoded");
            for index in 0..ostrakon_core::format::CLIENTS_PER_BLOCK {
                black_box(found.record(index));
            }
        }),
    ]
}
