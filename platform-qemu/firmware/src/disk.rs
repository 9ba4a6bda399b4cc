//! The shared disk: core's requests as virtio requests, one at a time, each with its time limit.

use ostrakon_core::bounds::{BLOCK_BYTES, SECTOR_BYTES};
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::time::{Duration, Instant};
use ostrakon_devices::{IdentityMapped, Plain, TakeOnce};
use virtio_drivers::device::blk::{BlkReq, BlkResp, VirtIOBlk};

use crate::board::now;

/// What the device reads and writes while a request is under way.
#[repr(C, align(4096))]
struct Memory {
    block: [u8; BLOCK_BYTES],
    header: BlkReq,
    response: BlkResp,
}

static MEMORY: TakeOnce<[Memory; 1]> = TakeOnce::new();

/// A request that was given out and not answered to core yet.
#[derive(Clone, Copy)]
enum UnderWay {
    /// There is nothing for the device to do, or it did not take it.
    Answered(IoId, Result<(), DiskError>),
    /// The device has it, and with it the buffer.
    InDevice(Transfer),
}

/// What the device has.
#[derive(Clone, Copy)]
struct Transfer {
    id: IoId,
    token: u16,
    is_read: bool,
    deadline: Instant,
    /// Core was told that it timed out. The buffer is the device's all the same.
    given_up: bool,
}

/// The shared disk.
pub(crate) struct Disk {
    device: VirtIOBlk<IdentityMapped, Plain>,
    memory: &'static mut Memory,
    under_way: Option<UnderWay>,
    /// A request that is not answered for this long beyond its time never will be.
    patience: Duration,
}

impl Disk {
    /// Takes the device; `None` if it does not come up, or refuses writes.
    pub(crate) fn start(transport: Plain, patience: Duration) -> Option<Self> {
        let mut device = VirtIOBlk::new(transport).ok()?;
        if device.readonly() {
            return None;
        }
        device.enable_interrupts();
        let [memory] = MEMORY.fill_each(|| Memory {
            block: [0; BLOCK_BYTES],
            header: BlkReq::default(),
            response: BlkResp::default(),
        });
        Some(Self {
            device,
            memory,
            under_way: None,
            patience,
        })
    }

    /// Lets the device's next interrupt come.
    pub(crate) fn acknowledge(&mut self) {
        self.device.ack_interrupt();
    }

    /// The buffer for the next request; `None` while it is taken.
    pub(crate) fn buffer(&mut self) -> Option<&mut [u8]> {
        self.under_way.is_none().then(|| &mut self.memory.block[..])
    }

    /// Gives the device a request; its bytes are in the buffer.
    pub(crate) fn submit(&mut self, request: DiskRequest) {
        let id = request.id();
        self.under_way = Some(match request {
            // Every write is durable when it completes: see `Plain`.
            DiskRequest::Flush { .. } => UnderWay::Answered(id, Ok(())),
            DiskRequest::Read {
                first, count, limit, ..
            } => self.begin(id, true, first, count, limit),
            DiskRequest::Write {
                first, count, limit, ..
            } => self.begin(id, false, first, count, limit),
        });
    }

    fn begin(&mut self, id: IoId, is_read: bool, first: BlockNo, count: u32, limit: Duration) -> UnderWay {
        const SECTORS: u64 = (BLOCK_BYTES / SECTOR_BYTES) as u64;
        let refused = UnderWay::Answered(id, Err(DiskError::Failed));
        if count != 1 || first.0 >= self.device.capacity() / SECTORS {
            return refused;
        }
        let sector = (first.0 * SECTORS) as usize;
        let Memory {
            block,
            header,
            response,
        } = &mut *self.memory;
        let token = if is_read {
            // SAFETY: static memory that nobody touches before `take_back`, which takes the same by the token.
            unsafe { self.device.read_blocks_nb(sector, header, block, response) }
        } else {
            // SAFETY: as for reading.
            unsafe { self.device.write_blocks_nb(sector, header, block, response) }
        };
        token.map_or(refused, |token| {
            UnderWay::InDevice(Transfer {
                id,
                token,
                is_read,
                deadline: now() + limit,
                given_up: false,
            })
        })
    }

    /// Tells a completion or a time-out.
    pub(crate) fn turn(&mut self, tell: impl FnOnce(IoId, DiskOutcome<'_>)) {
        match self.under_way {
            None => {}
            Some(UnderWay::Answered(id, result)) => {
                self.under_way = None;
                tell(
                    id,
                    result.map_or_else(DiskOutcome::Failed, |()| DiskOutcome::Done),
                );
            }
            Some(UnderWay::InDevice(transfer)) if self.device.peek_used() == Some(transfer.token) => {
                self.under_way = None;
                let outcome = self.take_back(transfer);
                if !transfer.given_up {
                    tell(transfer.id, outcome);
                }
            }
            Some(UnderWay::InDevice(transfer)) if !transfer.given_up && now() >= transfer.deadline => {
                let given_up = true;
                self.under_way = Some(UnderWay::InDevice(Transfer { given_up, ..transfer }));
                tell(transfer.id, DiskOutcome::Failed(DiskError::TimedOut));
            }
            Some(UnderWay::InDevice(_)) => {}
        }
    }

    fn take_back(&mut self, transfer: Transfer) -> DiskOutcome<'_> {
        let Memory {
            block,
            header,
            response,
        } = &mut *self.memory;
        let token = transfer.token;
        let done = if transfer.is_read {
            // SAFETY: the same memory that this token was given for.
            unsafe { self.device.complete_read_blocks(token, header, block, response) }
        } else {
            // SAFETY: as for reading.
            unsafe { self.device.complete_write_blocks(token, header, block, response) }
        };
        match (done, transfer.is_read) {
            (Ok(()), true) => DiskOutcome::Read(block),
            (Ok(()), false) => DiskOutcome::Done,
            (Err(_), _) => DiskOutcome::Failed(DiskError::Failed),
        }
    }

    /// When a [`turn`](Self::turn), or a look at whether it is [lost](Self::is_lost), is due without an interrupt.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        Some(match self.under_way? {
            UnderWay::Answered(..) => Instant(0),
            UnderWay::InDevice(transfer) if transfer.given_up => transfer.deadline + self.patience,
            UnderWay::InDevice(transfer) => transfer.deadline,
        })
    }

    /// Whether the device will never answer.
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        match self.under_way {
            Some(UnderWay::InDevice(transfer)) => {
                transfer.given_up && now >= transfer.deadline + self.patience
            }
            _ => false,
        }
    }
}
