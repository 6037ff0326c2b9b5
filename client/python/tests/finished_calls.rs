//! The queue between the threads and the reactor: nothing is lost, nothing waits without a
//! wake-up, and the eventfd is read once for many calls.

#[path = "../src/finished_calls.rs"]
mod queue;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use queue::FinishedCalls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Returns true if the eventfd is readable within this many seconds.
fn is_readable(calls: &FinishedCalls<usize>, seconds: i64) -> bool {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&calls.wakeup(), PollFlags::IN)], Some(&timeout)), Ok(1..))
}

fn take_all(calls: &FinishedCalls<usize>, limit: usize) -> Vec<usize> {
    let mut batch = calls.take(limit);
    std::iter::from_fn(|| batch.take_next()).collect()
}

#[test]
fn one_read_serves_many_calls() {
    let calls = FinishedCalls::new().unwrap();
    assert!(calls.is_here());
    assert!(!is_readable(&calls, 0));
    (0..100).for_each(|call| calls.push(call));
    assert!(is_readable(&calls, 0));
    assert_eq!(take_all(&calls, 100), Vec::from_iter(0..100));
    assert!(!is_readable(&calls, 0));
    assert_eq!(take_all(&calls, 100), []);
}

#[test]
fn what_exceeds_the_limit_stays_readable() {
    let calls = FinishedCalls::new().unwrap();
    (0..5).for_each(|call| calls.push(call));
    for expected in [&[0, 1][..], &[2, 3], &[4]] {
        assert!(is_readable(&calls, 0));
        assert_eq!(take_all(&calls, 2), expected);
    }
    assert!(!is_readable(&calls, 0));
}

#[test]
fn an_unfinished_batch_goes_back_to_the_front() {
    let calls = FinishedCalls::new().unwrap();
    (0..3).for_each(|call| calls.push(call));
    let mut batch = calls.take(9);
    assert_eq!(batch.take_next(), Some(0));
    batch.put_back(10);
    calls.push(3);
    drop(batch);
    assert!(is_readable(&calls, 0));
    assert_eq!(take_all(&calls, 9), [10, 1, 2, 3]);
    assert!(!is_readable(&calls, 0));
}

#[test]
fn the_next_call_can_be_looked_at() {
    let calls = FinishedCalls::new().unwrap();
    (1..3).for_each(|call| calls.push(call));
    let mut batch = calls.take(9);
    assert_eq!(batch.take_next_if(|call| *call == 2), None);
    assert_eq!(batch.take_next_if(|call| *call == 1), Some(1));
    assert_eq!(batch.take_next_if(|call| *call == 2), Some(2));
    assert_eq!(batch.take_next_if(|_| true), None);
}

#[test]
fn a_panic_costs_one_call() {
    let calls = FinishedCalls::new().unwrap();
    (0..3).for_each(|call| calls.push(call));
    let panicked = thread::scope(|scope| {
        let deliver = || {
            let mut batch = calls.take(9);
            assert_eq!(batch.take_next(), Some(9), "the panic");
        };
        scope.spawn(deliver).join()
    });
    assert!(panicked.is_err());
    assert!(is_readable(&calls, 0));
    assert_eq!(take_all(&calls, 9), [1, 2]);
}

#[test]
fn no_call_waits_without_a_wakeup() {
    const THREADS: usize = 16;
    const EACH: usize = 10_000;
    let calls = FinishedCalls::new().unwrap();
    let taken: [AtomicUsize; THREADS] = Default::default();
    thread::scope(|scope| {
        for (thread, taken) in taken.iter().enumerate() {
            let calls = &calls;
            scope.spawn(move || {
                for number in 0..EACH {
                    // One call in flight for each thread, so that the queue is often empty
                    // when another call arrives.
                    while taken.load(Ordering::Acquire) < number {
                        thread::yield_now();
                    }
                    calls.push(thread);
                }
            });
        }
        let mut left = THREADS * EACH;
        while left > 0 {
            if !is_readable(&calls, 10) {
                // Lets the threads end.
                taken.iter().for_each(|taken| taken.store(usize::MAX, Ordering::Release));
                panic!("no wake-up, {left} calls before the end");
            }
            for thread in take_all(&calls, 100) {
                taken[thread].fetch_add(1, Ordering::Release);
                left -= 1;
            }
        }
    });
}
