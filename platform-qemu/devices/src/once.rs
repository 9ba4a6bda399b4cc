//! Statics that are handed out once: large memory without a heap and without a copy on the stack.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// Room for one `T` that is not there before it is taken.
pub struct TakeOnce<T> {
    taken: AtomicBool,
    room: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the room is reached only through `take`, which lets one caller through, ever.
unsafe impl<T: Send> Sync for TakeOnce<T> {}

impl<T> Default for TakeOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TakeOnce<T> {
    /// Nothing was taken yet.
    pub const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            room: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The room, for one caller ever: nobody else has a way to it.
    fn take(&'static self) -> *mut MaybeUninit<T> {
        assert!(!self.taken.swap(true, Ordering::Relaxed), "taken twice");
        self.room.get()
    }

    /// The value, made in place as far as the compiler can.
    ///
    /// # Panics
    /// If it was taken before.
    #[allow(clippy::mut_from_ref, reason = "`take` lets one caller through, ever")]
    pub fn fill(&'static self, make: impl FnOnce() -> T) -> &'static mut T {
        // SAFETY: `take` gave the only way to the room, for good.
        let room = unsafe { &mut *self.take() };
        room.write(make())
    }
}

impl<T, const N: usize> TakeOnce<[T; N]> {
    /// An array, made element by element: no copy of it ever lies on the stack.
    ///
    /// # Panics
    /// If it was taken before.
    #[allow(clippy::mut_from_ref, reason = "`take` lets one caller through, ever")]
    pub fn fill_each(&'static self, mut make: impl FnMut() -> T) -> &'static mut [T; N] {
        let room = self.take();
        let first: *mut T = room.cast();
        for index in 0..N {
            // SAFETY: within the array, which nobody else can reach.
            unsafe { first.add(index).write(make()) };
        }
        // SAFETY: every element was just written, and `take` gave the only way to the room.
        unsafe { (*room).assume_init_mut() }
    }
}
