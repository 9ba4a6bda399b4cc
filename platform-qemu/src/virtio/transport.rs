//! A transport that leaves out the features that this image does not want.

use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// VIRTIO_BLK_F_FLUSH. A device must not cache writes for a driver that does not take it (virtio 1.2, 5.2.6.2): every
/// completed write is durable, which is what core asks for, and no flush is ever needed.
const BLOCK_FLUSH: u64 = 1 << 9;

/// VIRTIO_F_INDIRECT_DESC, which needs a heap, and VIRTIO_F_EVENT_IDX: each completion interrupts.
const RING_EXTRAS: u64 = 1 << 28 | 1 << 29;

/// A slot's transport with fewer features.
pub(crate) struct Plain(MmioTransport<'static>);

impl Plain {
    pub(super) const fn new(transport: MmioTransport<'static>) -> Self {
        Self(transport)
    }
}

impl Transport for Plain {
    fn read_device_features(&mut self) -> u64 {
        let left_out = match self.0.device_type() {
            DeviceType::Block => BLOCK_FLUSH | RING_EXTRAS,
            _ => RING_EXTRAS,
        };
        self.0.read_device_features() & !left_out
    }

    fn device_type(&self) -> DeviceType {
        self.0.device_type()
    }
    fn write_driver_features(&mut self, features: u64) {
        self.0.write_driver_features(features);
    }
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.0.max_queue_size(queue)
    }
    fn notify(&mut self, queue: u16) {
        self.0.notify(queue);
    }
    fn get_status(&self) -> DeviceStatus {
        self.0.get_status()
    }
    fn set_status(&mut self, status: DeviceStatus) {
        self.0.set_status(status);
    }
    fn set_guest_page_size(&mut self, size: u32) {
        self.0.set_guest_page_size(size);
    }
    fn requires_legacy_layout(&self) -> bool {
        self.0.requires_legacy_layout()
    }
    fn queue_set(&mut self, queue: u16, size: u32, table: PhysAddr, driver: PhysAddr, device: PhysAddr) {
        self.0.queue_set(queue, size, table, driver, device);
    }
    fn queue_unset(&mut self, queue: u16) {
        self.0.queue_unset(queue);
    }
    fn queue_used(&mut self, queue: u16) -> bool {
        self.0.queue_used(queue)
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.0.ack_interrupt()
    }
    fn read_config_generation(&self) -> u32 {
        self.0.read_config_generation()
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.0.read_config_space(offset)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result<()> {
        self.0.write_config_space(offset, value)
    }
}
