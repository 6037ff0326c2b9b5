//! The threads of one operating system process, and the state that they own. Synapse may
//! fork after it created the module; a fork has no threads of its parent.

use std::{
    io,
    panic::catch_unwind,
    sync::{Arc, Mutex},
    time::Duration,
};

use presence_router_client::{Client, NearCacheOptions, Options, RoomCapabilities};
use pyo3::{Py, PyAny, PyResult, Python, exceptions::PyRuntimeError};
use tokio::runtime::{Builder, Runtime};

use crate::{
    completion::CompletionQueue, finished_calls::FinishedCalls, follow::Follow, home::Home,
    known_users::KnownUsers, large_answers::LargeAnswers, questions::CallContext, reading::Sources,
    synapse_memory::SynapseMemory,
};

/// Maximum wait for calls in flight at the end of the interpreter.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Maximum number of threads besides the one of the calls. An evaluation in `block_in_place`
/// needs one, which takes over the calls; see `Evaluations`. The thread of the evaluation
/// before may not have ended its task yet, and looking up a host name may need one too.
const SPARE_THREADS: usize = 2;

/// A century: an idle thread never ends.
const KEEP_ALIVE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Holds the threads and the finished calls of this process, across forks. The parent's state
/// is leaked and never dropped: threads that do not exist here may hold its locks, and waking
/// its threads or its reactor would wake those of the parent.
#[derive(Debug, Default)]
pub(crate) struct ForkSafe {
    runtime: Option<ProcessRuntime>,
    /// Outlives the threads: the reactor also reads it after `take`, and calls after that
    /// have new threads and the same eventfd.
    finished: Option<Arc<CompletionQueue>>,
}

/// Threads, and the state that they own.
#[derive(Debug)]
pub(crate) struct ProcessRuntime {
    pid: u32,
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    sources: Sources,
    follow: Arc<Follow>,
}

/// The settings of the module that threads need.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) address: String,
    pub(crate) home: Arc<Home>,
    pub(crate) deadline: Duration,
    /// Maximum time for which answers are given without a daemon.
    pub(crate) stale_for: Duration,
    /// Bytes for answers: half of them for the near-cache, half for Python's objects.
    pub(crate) cache_bytes: u64,
    /// The parts of `share_room` that this process evaluates.
    pub(crate) room_capabilities: RoomCapabilities,
    /// Python's function that returns a state without its hidden fields.
    pub(crate) redact: Py<PyAny>,
}

// === impl ForkSafe ===

impl ForkSafe {
    /// Returns the runtime of this process, and starts it if necessary. `start` gets the
    /// previous runtime, possibly that of the parent process.
    pub(crate) fn get_or_start(
        &mut self,
        start: impl FnOnce(Option<&ProcessRuntime>) -> PyResult<ProcessRuntime>,
    ) -> PyResult<&ProcessRuntime> {
        let here = match self.runtime.take() {
            Some(here) if here.is_here() => here,
            foreign => {
                let started = start(foreign.as_ref());
                std::mem::forget(foreign);
                started?
            }
        };
        Ok(self.runtime.insert(here))
    }

    /// Returns the finished calls of this process, and creates their queue if necessary.
    pub(crate) fn finished_calls(&mut self) -> PyResult<Arc<CompletionQueue>> {
        let here = match self.finished.take() {
            Some(here) if here.is_here() => here,
            foreign => {
                std::mem::forget(foreign);
                Arc::new(FinishedCalls::new()?)
            }
        };
        Ok(Arc::clone(self.finished.insert(here)))
    }

    /// Removes the runtime, and returns it if it belongs to this process.
    pub(crate) fn take(&mut self) -> Option<ProcessRuntime> {
        match self.runtime.take() {
            Some(here) if here.is_here() => Some(here),
            foreign => {
                std::mem::forget(foreign);
                None
            }
        }
    }
}

impl Drop for ForkSafe {
    fn drop(&mut self) {
        drop(self.take());
        if let Some(foreign) = self.finished.take_if(|finished| !finished.is_here()) {
            std::mem::forget(foreign);
        }
    }
}

// === impl ProcessRuntime ===

impl ProcessRuntime {
    /// Starts threads in this process. `before` is the previous runtime, possibly that of
    /// the parent process.
    pub(crate) fn start(
        py: Python<'_>,
        settings: &Settings,
        before: Option<&Self>,
    ) -> PyResult<Self> {
        let error = |message: String| PyRuntimeError::new_err(message);
        let runtime =
            start_threads().map_err(|why| error(format!("cannot start threads: {why}")))?;
        let Settings { address, home, deadline, stale_for, cache_bytes, .. } = settings;
        let (client, near_cache) = {
            let _within = runtime.enter();
            let mut options = Options::new([home.server.as_str()]);
            options.deadline = *deadline;
            options.room_capabilities = settings.room_capabilities;
            let client = Client::connect(address, options).map_err(|why| error(why.to_string()))?;
            let mut options = NearCacheOptions::default();
            options.budget_bytes = (cache_bytes / 2).max(1);
            options.stale_for = *stale_for;
            let near_cache = client.near_cache(options);
            (client, near_cache)
        };
        let known_users = Arc::new(match before {
            Some(before) => before.sources.context.known_users.copy_in_child(),
            None => KnownUsers::new(),
        });
        let context = CallContext {
            client,
            near_cache,
            home: home.clone(),
            known_users,
            threads: runtime.handle().clone(),
            deadline: *deadline,
        };
        let memory =
            SynapseMemory::new(py, &context, settings.redact.clone_ref(py), cache_bytes / 2)?;
        Ok(Self {
            pid: std::process::id(),
            runtime: Some(runtime),
            sources: Sources {
                context: Arc::new(context),
                memory: Arc::new(Mutex::new(memory)),
                large_answers: LargeAnswers::new(),
            },
            follow: Arc::default(),
        })
    }

    /// Returns true if the threads are in this process.
    fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Returns everything that answers are made of.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns the changes that the daemon reports.
    pub(crate) fn follow(&self) -> Arc<Follow> {
        Arc::clone(&self.follow)
    }

    /// Runs a future in the threads.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(future));
        }
    }

    /// Ends the threads, including calls in flight.
    pub(crate) fn shut_down(mut self, py: Python<'_>) {
        if let Some(runtime) = self.runtime.take() {
            // Without the GIL, so that Python's other threads do not wait.
            py.detach(|| runtime.shutdown_timeout(SHUTDOWN));
        }
    }
}

impl Drop for ProcessRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the thread of the calls and a spare one.
fn start_threads() -> io::Result<Runtime> {
    let start = || {
        let runtime = Builder::new_multi_thread()
            // With two, which wake each other, a call takes a fifth more CPU time at 100 in
            // flight. Long evaluations run in `Evaluations`, so that other calls go on.
            .worker_threads(1)
            .max_blocking_threads(SPARE_THREADS)
            .thread_keep_alive(KEEP_ALIVE)
            .thread_name("presence-router")
            .enable_all()
            .build()?;
        // If the system refuses a thread later, `block_in_place` panics only without a spare
        // one.
        drop(runtime.spawn_blocking(|| ()));
        Ok(runtime)
    };
    // Tokio panics if the system refuses a thread.
    catch_unwind(start).unwrap_or_else(|_| Err(io::Error::other("the system refuses a thread")))
}
