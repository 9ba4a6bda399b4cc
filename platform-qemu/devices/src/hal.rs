//! Memory that devices and the program share. Memory is mapped one to one, so that addresses need no translation.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Pages for the queues: two for each of disk and entropy, four for the network, and some to spare.
const PAGES: usize = 16;

#[repr(C, align(4096))]
struct Arena(UnsafeCell<[u8; PAGES * PAGE_SIZE]>);

// SAFETY: pages are handed out once each, by a counter that only grows; nothing else reaches the arena.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; PAGES * PAGE_SIZE]));
static USED: AtomicUsize = AtomicUsize::new(0);

/// The memory of a program that lies below 4 GiB and is mapped one to one, as virtio devices see it.
pub struct IdentityMapped;

// SAFETY: pages are aligned, zeroed when the program starts, handed out once each and never again; physical addresses are
// virtual ones below 4 GiB, which is where everything of such a program lies.
unsafe impl Hal for IdentityMapped {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = USED.fetch_add(pages, Ordering::Relaxed);
        assert!(
            first + pages <= PAGES,
            "the queues need more pages than were set aside"
        );
        let at = ARENA.0.get().cast::<u8>().wrapping_add(first * PAGE_SIZE);
        let page = NonNull::new(at).expect("the arena does not lie at 0");
        (at as PhysAddr, page)
    }

    unsafe fn dma_dealloc(_at: PhysAddr, _page: NonNull<u8>, _pages: usize) -> i32 {
        // Devices live as long as the program, but for the source of entropy, whose two pages are not worth a heap.
        0
    }

    unsafe fn mmio_phys_to_virt(at: PhysAddr, _size: usize) -> NonNull<u8> {
        NonNull::new(at as *mut u8).expect("no device lies at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_at: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
