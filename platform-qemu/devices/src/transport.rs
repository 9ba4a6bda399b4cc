//! A transport that leaves out the features that a small program does not want.

use core::ptr::NonNull;

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// VIRTIO_BLK_F_FLUSH. A device must not cache writes for a driver that does not take it (virtio 1.2, 5.2.6.2): every
/// completed write is durable, which is what core asks for, and no flush is ever needed.
const BLOCK_FLUSH: u64 = 1 << 9;

/// VIRTIO_F_INDIRECT_DESC, which needs a heap, and VIRTIO_F_EVENT_IDX: each completion interrupts.
const RING_EXTRAS: u64 = 1 << 28 | 1 << 29;

/// Where a slot has the device's own configuration, and in a network card's the word whose upper half is its status.
const CONFIGURATION: usize = 0x100;
const NET_STATUS: usize = CONFIGURATION + 4;
/// VIRTIO_NET_S_LINK_UP, in the upper half.
const LINK_UP: u32 = 1 << 16;

/// A slot's transport with fewer features.
pub struct Plain {
    transport: MmioTransport<'static>,
    slot: usize,
}

impl Plain {
    /// The transport of the slot that begins at this address; `None` if it is empty or holds something else.
    ///
    /// # Safety
    /// `slot` must be the address of a virtio-mmio slot of this many bytes, mapped for good, that nobody else uses.
    pub unsafe fn at(slot: usize, bytes: usize) -> Option<Self> {
        let header = NonNull::new(slot as *mut VirtIOHeader)?;
        // SAFETY: promised by the caller. An empty slot has a device id of 0, which is refused.
        let transport = unsafe { MmioTransport::new(header, bytes) }.ok()?;
        Some(Self { transport, slot })
    }

    /// What says whether the card's cable is plugged in; `None` if this is no network card.
    pub fn link(&self) -> Option<Link> {
        let is_card = self.transport.device_type() == DeviceType::Network;
        is_card.then_some(Link(self.slot + NET_STATUS))
    }
}

/// The state of a network card's link. Its driver tells it once only, at the start.
pub struct Link(usize);

impl Link {
    /// Whether the cable is plugged in.
    pub fn is_up(&self) -> bool {
        // SAFETY: a word of the slot of a network card, which may be read at any time, and is never written.
        let word = unsafe { (self.0 as *const u32).read_volatile() };
        word & LINK_UP != 0
    }
}

impl Transport for Plain {
    fn read_device_features(&mut self) -> u64 {
        let left_out = match self.transport.device_type() {
            DeviceType::Block => BLOCK_FLUSH | RING_EXTRAS,
            _ => RING_EXTRAS,
        };
        self.transport.read_device_features() & !left_out
    }

    fn device_type(&self) -> DeviceType {
        self.transport.device_type()
    }
    fn write_driver_features(&mut self, features: u64) {
        self.transport.write_driver_features(features);
    }
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.transport.max_queue_size(queue)
    }
    fn notify(&mut self, queue: u16) {
        self.transport.notify(queue);
    }
    fn get_status(&self) -> DeviceStatus {
        self.transport.get_status()
    }
    fn set_status(&mut self, status: DeviceStatus) {
        self.transport.set_status(status);
    }
    fn set_guest_page_size(&mut self, size: u32) {
        self.transport.set_guest_page_size(size);
    }
    fn requires_legacy_layout(&self) -> bool {
        self.transport.requires_legacy_layout()
    }
    fn queue_set(&mut self, queue: u16, size: u32, table: PhysAddr, driver: PhysAddr, device: PhysAddr) {
        self.transport.queue_set(queue, size, table, driver, device);
    }
    fn queue_unset(&mut self, queue: u16) {
        self.transport.queue_unset(queue);
    }
    fn queue_used(&mut self, queue: u16) -> bool {
        self.transport.queue_used(queue)
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.transport.ack_interrupt()
    }
    fn read_config_generation(&self) -> u32 {
        self.transport.read_config_generation()
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.transport.read_config_space(offset)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result<()> {
        self.transport.write_config_space(offset, value)
    }
}
