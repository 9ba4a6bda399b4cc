//! What other threads order a mount to do. Orders outlive a mount that was evicted: the next one obeys them too.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// What a mount is to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Order {
    /// Go on.
    Stay = 0,
    /// Leave cleanly.
    Unmount = 1,
    /// Leave at once.
    Force = 2,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// The standing order, shared by whoever gives and whoever obeys it. It can only be raised.
#[derive(Clone, Default)]
pub struct Orders {
    standing: Arc<AtomicU8>,
    signals: Arc<Mutex<Vec<i32>>>,
    wake: Arc<Mutex<Option<Wake>>>,
}

impl Orders {
    /// Raises the standing order and wakes the loop.
    pub fn give(&self, order: Order) {
        self.standing.fetch_max(order as u8, Ordering::SeqCst);
        self.wake_up();
    }

    /// The next higher order: first to leave cleanly, then at once.
    pub fn escalate(&self) {
        // Two at once escalate twice, as two signals should.
        let _ = self
            .standing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |order| {
                Some((order + 1).min(Order::Force as u8))
            });
        self.wake_up();
    }

    /// The standing order.
    pub fn standing(&self) -> Order {
        match self.standing.load(Ordering::SeqCst) {
            0 => Order::Stay,
            1 => Order::Unmount,
            _ => Order::Force,
        }
    }

    /// Passes a signal on to the program that runs while this mount leads, if one does.
    pub fn pass_on(&self, signal: i32) {
        let mut signals = locked(&self.signals);
        // A program that is asked the same again and again before this loop turns once is asked once.
        if !signals.contains(&signal) {
            signals.push(signal);
        }
        drop(signals);
        self.wake_up();
    }

    pub(super) fn take_signals(&self) -> Vec<i32> {
        std::mem::take(&mut *locked(&self.signals))
    }

    pub(super) fn set_wake(&self, wake: Wake) {
        *self.slot() = Some(wake);
    }

    fn wake_up(&self) {
        if let Some(wake) = self.slot().as_ref() {
            wake();
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Wake>> {
        locked(&self.wake)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Orders({:?})", self.standing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_taken_once() {
        let orders = Orders::default();
        for signal in [1, 10, 1] {
            orders.clone().pass_on(signal);
        }
        assert_eq!(orders.take_signals(), [1, 10]);
        assert!(orders.take_signals().is_empty());
    }

    #[test]
    fn orders_are_raised_and_never_taken_back() {
        let orders = Orders::default();
        assert_eq!(orders.standing(), Order::Stay);
        orders.escalate();
        assert_eq!(orders.standing(), Order::Unmount);
        orders.clone().escalate();
        orders.escalate();
        orders.give(Order::Unmount);
        assert_eq!(orders.standing(), Order::Force);
    }
}
