//! The shared disk: core's requests as virtio requests, a few at a time, each with a time limit.

use ostrakon_core::bounds::{BLOCK_BYTES, SECTOR_BYTES};
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::time::{Duration, Instant};
use ostrakon_devices::{IdentityMapped, Plain, TakeOnce};
use virtio_drivers::device::blk::{BlkReq, BlkResp, RespStatus, VirtIOBlk};

use crate::log::{Debug, trace, warning};

/// Blocks that one request may span.
pub(crate) const TRANSFER_BLOCKS: usize = 16;

/// Requests under way at once: the driver's queue has 16 descriptors, and a request takes three.
const REQUESTS_MAX: usize = 5;

/// Bytes of a request's buffer.
pub(crate) const BUFFER_BYTES: usize = TRANSFER_BLOCKS * BLOCK_BYTES;

/// A request that was given to the device.
#[derive(Clone, Copy)]
struct UnderWay {
    request: DiskRequest,
    token: u16,
    bytes: usize,
    deadline: Instant,
    /// Core was told that it timed out. The device may still be at it, so that its buffer is not free.
    given_up: bool,
}

#[derive(Default)]
struct Slot {
    header: BlkReq,
    response: BlkResp,
    under_way: Option<UnderWay>,
}

#[repr(C, align(4096))]
struct Buffer([u8; BUFFER_BYTES]);

static BUFFERS: TakeOnce<[Buffer; REQUESTS_MAX]> = TakeOnce::new();
static SLOTS: TakeOnce<[Slot; REQUESTS_MAX]> = TakeOnce::new();

/// Memory for the requests of disks.
pub(crate) struct Memory {
    slots: &'static mut [Slot],
    buffers: &'static mut [Buffer],
}

impl Memory {
    /// All that there is.
    ///
    /// # Panics
    /// If it was taken before.
    pub(crate) fn take() -> Self {
        Self {
            slots: SLOTS.fill_each(Slot::default),
            buffers: BUFFERS.fill_each(|| Buffer([0; BUFFER_BYTES])),
        }
    }

    /// In two: for this many requests, and for the rest.
    pub(crate) fn split(self, requests: usize) -> (Self, Self) {
        let (slots, other_slots) = self.slots.split_at_mut(requests);
        let (buffers, other_buffers) = self.buffers.split_at_mut(requests);
        let other = Self {
            slots: other_slots,
            buffers: other_buffers,
        };
        (Self { slots, buffers }, other)
    }

    /// The first buffer, for bytes of another purpose.
    pub(crate) fn into_buffer(self) -> Option<&'static mut [u8]> {
        self.buffers.first_mut().map(|buffer| &mut buffer.0[..])
    }
}

/// The shared disk.
pub(crate) struct Disk {
    device: VirtIOBlk<IdentityMapped, Plain>,
    slots: &'static mut [Slot],
    buffers: &'static mut [Buffer],
    /// Answered without the device: there is nothing to do, or the device did not take it.
    at_once: heapless::Deque<(IoId, Result<(), DiskError>), REQUESTS_MAX>,
    /// The first and the last failure since a request succeeded.
    failing: Option<(Instant, Instant)>,
}

impl Disk {
    /// Takes the device; `None` if it does not come up.
    pub(crate) fn start(transport: Plain, memory: Memory) -> Option<Self> {
        let mut device = VirtIOBlk::new(transport).ok()?;
        device.enable_interrupts();
        Some(Self {
            device,
            slots: memory.slots,
            buffers: memory.buffers,
            at_once: heapless::Deque::new(),
            failing: None,
        })
    }

    /// Blocks of the device.
    pub(crate) fn blocks(&self) -> u64 {
        self.device.capacity() / (BLOCK_BYTES / SECTOR_BYTES) as u64
    }

    /// Whether the device refuses writes.
    pub(crate) fn is_read_only(&self) -> bool {
        self.device.readonly()
    }

    /// Lets the device's next interrupt come.
    pub(crate) fn acknowledge(&mut self) {
        self.device.ack_interrupt();
    }

    /// A buffer for the next request; `None` while all are taken.
    pub(crate) fn buffer(&mut self) -> Option<&mut [u8]> {
        if self.at_once.is_full() {
            return None;
        }
        let free = self.slots.iter().position(|slot| slot.under_way.is_none())?;
        Some(&mut self.buffers[free].0)
    }

    /// Gives the device a request; its bytes are in the buffer that [`buffer`](Self::buffer) gave last.
    pub(crate) fn submit(&mut self, now: Instant, request: DiskRequest) {
        trace!("disk: {}", Debug(&request));
        let (id, first, count, limit) = match request {
            // Every write is durable when it completes: see `Plain`.
            DiskRequest::Flush { id, .. } => return self.answer_at_once(id, Ok(())),
            DiskRequest::Read {
                id,
                first,
                count,
                limit,
            }
            | DiskRequest::Write {
                id,
                first,
                count,
                limit,
                ..
            } => (id, first, count, limit),
        };
        let bytes = count as usize * BLOCK_BYTES;
        let in_device = first
            .0
            .checked_add(u64::from(count))
            .is_some_and(|end| end <= self.blocks());
        let free = self.slots.iter().position(|slot| slot.under_way.is_none());
        match free.filter(|_| in_device && bytes <= BUFFER_BYTES) {
            Some(slot) => self.begin(slot, now + limit, request, first, bytes),
            None => self.answer_at_once(id, Err(DiskError::Failed)),
        }
    }

    fn answer_at_once(&mut self, id: IoId, result: Result<(), DiskError>) {
        let taken = self.at_once.push_back((id, result));
        assert!(taken.is_ok(), "no request is taken while this queue is full");
    }

    fn begin(&mut self, index: usize, deadline: Instant, request: DiskRequest, first: BlockNo, bytes: usize) {
        let sector = first.0 as usize * (BLOCK_BYTES / SECTOR_BYTES);
        let slot = &mut self.slots[index];
        let buffer = &mut self.buffers[index].0[..bytes];
        let (header, response) = (&mut slot.header, &mut slot.response);
        let token = if let DiskRequest::Read { .. } = request {
            // SAFETY: header, response and buffer are static and belong to this slot, which nobody touches before
            // `finish` takes the same ones back.
            unsafe { self.device.read_blocks_nb(sector, header, buffer, response) }
        } else {
            // SAFETY: as for reading.
            unsafe { self.device.write_blocks_nb(sector, header, buffer, response) }
        };
        match token {
            Ok(token) => {
                slot.under_way = Some(UnderWay {
                    request,
                    token,
                    bytes,
                    deadline,
                    given_up: false,
                });
            }
            Err(error) => {
                warning!("disk: the queue takes no request: {}", Debug(&error));
                self.answer_at_once(request.id(), Err(DiskError::Failed));
            }
        }
    }

    /// Tells every completion, then every time-out.
    pub(crate) fn turn(&mut self, now: Instant, mut tell: impl FnMut(IoId, DiskOutcome<'_>)) {
        while let Some((id, result)) = self.at_once.pop_front() {
            tell(
                id,
                result.map_or_else(DiskOutcome::Failed, |()| DiskOutcome::Done),
            );
        }
        while let Some(token) = self.device.peek_used() {
            let holds = |slot: &Slot| slot.under_way.is_some_and(|under_way| under_way.token == token);
            let Some(index) = self.slots.iter().position(holds) else {
                panic!("the disk answers a request that it was never given");
            };
            self.finish(now, index, &mut tell);
        }
        for slot in self.slots.iter_mut() {
            let Some(under_way) = &mut slot.under_way else {
                continue;
            };
            if !under_way.given_up && under_way.deadline <= now {
                under_way.given_up = true;
                warning!("disk: no answer in time to {}", Debug(&under_way.request));
                tell(under_way.request.id(), DiskOutcome::Failed(DiskError::TimedOut));
            }
        }
    }

    fn finish(&mut self, now: Instant, index: usize, tell: &mut impl FnMut(IoId, DiskOutcome<'_>)) {
        let slot = &mut self.slots[index];
        let Some(under_way) = slot.under_way.take() else {
            return;
        };
        let buffer = &mut self.buffers[index].0[..under_way.bytes];
        let (header, response, token) = (&slot.header, &mut slot.response, under_way.token);
        let is_read = matches!(under_way.request, DiskRequest::Read { .. });
        let done = if is_read {
            // SAFETY: the same header, buffer and response that this token was given for.
            unsafe { self.device.complete_read_blocks(token, header, buffer, response) }
        } else {
            // SAFETY: as for reading.
            unsafe { self.device.complete_write_blocks(token, header, buffer, response) }
        };
        self.failing = match (&done, self.failing) {
            (Ok(()), _) => None,
            (Err(_), None) => Some((now, now)),
            (Err(_), Some((since, _))) => Some((since, now)),
        };
        if under_way.given_up {
            return;
        }
        let outcome = match done {
            Ok(()) if is_read => DiskOutcome::Read(buffer),
            Ok(()) => DiskOutcome::Done,
            Err(error) => {
                let status: RespStatus = slot.response.status();
                warning!(
                    "disk: {} failed: {}, status {}",
                    Debug(&under_way.request),
                    Debug(&error),
                    Debug(&status)
                );
                DiskOutcome::Failed(DiskError::Failed)
            }
        };
        tell(under_way.request.id(), outcome);
    }

    /// When a [`turn`](Self::turn), or a look at whether it is [lost](Self::is_lost), is due without an interrupt.
    pub(crate) fn next_deadline(&self, limit: Duration) -> Option<Instant> {
        if !self.at_once.is_empty() {
            return Some(Instant(0));
        }
        let waited_for = self.slots.iter().filter_map(|slot| slot.under_way);
        waited_for
            .map(|under_way| match under_way.given_up {
                false => under_way.deadline,
                true => under_way.deadline + limit,
            })
            .min()
    }

    /// Whether this disk is none any more: the device has not answered a request for `limit` beyond the time that it
    /// had, or has failed every one for as long.
    pub(crate) fn is_lost(&self, now: Instant, limit: Duration) -> bool {
        let mut waited_for = self.slots.iter().filter_map(|slot| slot.under_way);
        let silent = waited_for.any(|under_way| under_way.given_up && now >= under_way.deadline + limit);
        silent
            || self
                .failing
                .is_some_and(|(since, last)| last.since(since) >= limit)
    }
}
