//! The threads, and what lives in them, of one operating system process.
//! Synapse may fork after a module was made; threads do not come along.

use std::{sync::Arc, time::Duration};

use presence_router_client::{Client, Options};
use pyo3::{PyResult, Python, exceptions::PyRuntimeError};
use tokio::runtime::{Builder, Runtime};

use crate::{calls::Caller, keys::Home, memory::Memory};

/// How long the end of the interpreter waits for calls under way.
const SHUTDOWN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// Always there until dropped.
    runtime: Option<Runtime>,
    caller: Caller,
}

impl Process {
    /// Starts threads in this process. `before`: what there was before, perhaps
    /// in the process that this one was forked from.
    pub(crate) fn start(
        address: &str,
        home: &Arc<Home>,
        deadline: Duration,
        before: Option<&Self>,
    ) -> PyResult<Self> {
        let error = |what: String| PyRuntimeError::new_err(what);
        let runtime = Builder::new_multi_thread()
            // Two, because one of them may be waiting for the GIL.
            .worker_threads(2)
            .thread_name("presence-router")
            .enable_all()
            .build()
            .map_err(|why| error(format!("cannot start threads: {why}")))?;
        let client = {
            let _within = runtime.enter();
            let mut options = Options::new([home.server.as_str()]);
            options.deadline = deadline;
            Client::connect(address, options).map_err(|why| error(why.to_string()))?
        };
        let memory = Arc::new(match before {
            Some(before) => before.caller.memory.copy_in_child(),
            None => Memory::new(),
        });
        let caller = Caller { client, home: home.clone(), memory, deadline };
        Ok(Self { pid: std::process::id(), runtime: Some(runtime), caller })
    }

    /// Whether its threads are in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Runs a future in the threads.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(future));
        }
    }

    /// Ends the threads, calls under way included.
    pub(crate) fn stop(mut self, py: Python<'_>) {
        if self.is_here()
            && let Some(runtime) = self.runtime.take()
        {
            // Without the GIL: a thread may be waiting for it.
            py.detach(|| runtime.shutdown_timeout(SHUTDOWN));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        match self.runtime.take() {
            Some(runtime) if self.is_here() => runtime.shutdown_background(),
            // The threads to wait for do not exist in this process.
            runtime => std::mem::forget(runtime),
        }
    }
}
