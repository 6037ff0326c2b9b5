//! A queue of finished calls, and the eventfd that tells the reactor about them. Any thread
//! pushes without the GIL; only the reactor's thread takes. Knows no Python.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io,
};

/// Finished calls of one operating system process, oldest first.
///
/// The eventfd is readable whenever the queue is not empty, except for the moment between
/// a `push` and its `wake`. It may also be readable while the queue is empty.
#[derive(Debug)]
pub(crate) struct FinishedCalls<T> {
    /// The process that made the eventfd.
    pid: u32,
    wakeup: OwnedFd,
    /// Locked only for moves. No code of a call runs meanwhile, so a poisoned lock is good.
    queue: Mutex<VecDeque<T>>,
}

/// Finished calls that the reactor's thread took. Dropping a batch puts the remaining calls
/// back to the front of the queue, for the next turn of the reactor; also if the thread
/// panics, so that a panic costs one call at most.
#[derive(Debug)]
pub(crate) struct Batch<'a, T> {
    origin: &'a FinishedCalls<T>,
    calls: VecDeque<T>,
}

// === impl FinishedCalls ===

impl<T> FinishedCalls<T> {
    /// Creates an empty queue of this process.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let wakeup = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { pid: std::process::id(), wakeup, queue: Mutex::default() })
    }

    /// Returns true if the queue belongs to this process, and not to the one that forked it.
    pub(crate) fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Returns the file descriptor to wait for.
    pub(crate) fn wakeup(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }

    /// Adds a call, and wakes the reactor if no other call has done so.
    pub(crate) fn push(&self, call: T) {
        let mut queue = self.lock();
        let is_first = queue.is_empty();
        queue.push_back(call);
        drop(queue);
        if is_first {
            self.wake();
        }
    }

    /// Takes the oldest calls, at most `limit`. One read of the eventfd serves all of them.
    pub(crate) fn take(&self, limit: usize) -> Batch<'_, T> {
        // First the eventfd, then the queue: in the other order, the read would clear the
        // wake-up of a call that was pushed in between, and this call would wait for another.
        // An error means that nothing was written.
        let mut count = [0; 8];
        let _ = io::read(&self.wakeup, &mut count);
        let mut queue = self.lock();
        let limit = limit.min(queue.len());
        let later = queue.split_off(limit);
        let calls = std::mem::replace(&mut *queue, later);
        let is_more = !queue.is_empty();
        drop(queue);
        if is_more {
            self.wake();
        }
        Batch { origin: self, calls }
    }

    /// Makes the eventfd readable.
    fn wake(&self) {
        // The only possible error is an overflow of the counter, after 2^64 writes without
        // a read; the eventfd is readable then.
        let _ = io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Batch ===

impl<T> Batch<'_, T> {
    /// Takes the next call out of the batch.
    pub(crate) fn take_next(&mut self) -> Option<T> {
        self.calls.pop_front()
    }

    /// Takes the next call if it meets a condition.
    pub(crate) fn take_next_if(&mut self, condition: impl FnOnce(&T) -> bool) -> Option<T> {
        self.calls.pop_front_if(|call| condition(call))
    }

    /// Makes a call the next one again.
    pub(crate) fn put_back(&mut self, call: T) {
        self.calls.push_front(call);
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let mut queue = self.origin.lock();
        // In front of the calls that finished meanwhile.
        self.calls.append(&mut queue);
        std::mem::swap(&mut *queue, &mut self.calls);
        drop(queue);
        self.origin.wake();
    }
}
