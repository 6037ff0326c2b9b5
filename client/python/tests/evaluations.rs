//! Large evaluations: one at a time, without a thread for those that wait.

#[path = "../src/evaluations.rs"]
mod evaluations;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use evaluations::Evaluations;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

/// As the module's runtime. Evaluations that did not wait for each other would take all three
/// threads, and other calls would have none.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).enable_all().build()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an evaluation occupies its thread")]
fn large_evaluations_run_one_at_a_time() {
    let runtime = runtime().unwrap();
    let evaluations = Evaluations::new();
    let running = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (evaluations, running) = (evaluations.clone(), Arc::clone(&running));
            runtime.spawn(async move {
                let evaluate = || {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                    thread::sleep(Duration::from_millis(1));
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                evaluations.run(evaluate).await;
            })
        })
        .collect();
    for call in calls {
        runtime.block_on(call).unwrap();
    }
}

#[test]
fn other_calls_go_on_during_a_large_evaluation() {
    let runtime = runtime().unwrap();
    let evaluations = Evaluations::new();
    let (started, has_started) = oneshot::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let large = {
        let evaluations = evaluations.clone();
        runtime.spawn(async move {
            let evaluate = move || {
                started.send(()).unwrap();
                may_end.recv().unwrap();
            };
            evaluations.run(evaluate).await;
        })
    };
    let next = runtime.spawn(async move {
        has_started.await.unwrap();
        // Another call, while the evaluation has the permit.
        end.send(()).unwrap();
        evaluations.run(|| 1000).await
    });
    assert_eq!(runtime.block_on(next).unwrap(), 1000);
    runtime.block_on(large).unwrap();
}
