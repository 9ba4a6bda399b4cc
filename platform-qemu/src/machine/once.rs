//! Statics that are handed out once: large memory without a heap and without a copy on the stack.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// Room for one `T` that is not there before it is taken.
pub(crate) struct TakeOnce<T> {
    taken: AtomicBool,
    room: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the room is reached only through `take`, which lets one caller through, ever.
unsafe impl<T: Send> Sync for TakeOnce<T> {}

impl<T> TakeOnce<T> {
    pub(crate) const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            room: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    fn take(&'static self) -> &'static mut MaybeUninit<T> {
        assert!(!self.taken.swap(true, Ordering::Relaxed), "taken twice");
        // SAFETY: the assertion above lets one caller through, so that this is the only reference, for good.
        unsafe { &mut *self.room.get() }
    }

    /// The value, made in place as far as the compiler can.
    ///
    /// # Panics
    /// If it was taken before.
    pub(crate) fn fill(&'static self, make: impl FnOnce() -> T) -> &'static mut T {
        self.take().write(make())
    }
}

impl<T, const N: usize> TakeOnce<[T; N]> {
    /// An array, made element by element: no copy of it ever lies on the stack.
    ///
    /// # Panics
    /// If it was taken before.
    pub(crate) fn fill_each(&'static self, mut make: impl FnMut() -> T) -> &'static mut [T; N] {
        let room = self.take();
        let first: *mut T = room.as_mut_ptr().cast();
        for index in 0..N {
            // SAFETY: within the array, which nobody else can reach.
            unsafe { first.add(index).write(make()) };
        }
        // SAFETY: every element was just written.
        unsafe { room.assume_init_mut() }
    }
}
