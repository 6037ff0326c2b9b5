//! Brings one result into the reactor's thread, exactly once, whatever happens.

use pyo3::prelude::*;

/// Who waits for a result. Dropped without one (the call panicked, or the
/// threads are being stopped), it says so: Synapse waits without a timeout.
#[derive(Debug)]
pub(crate) struct Completion(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// `reactor.callFromThread`.
    call_from_thread: Py<PyAny>,
    /// Called in the reactor's thread with outcome, detail, value.
    done: Py<PyAny>,
}

impl Completion {
    pub(crate) fn new(call_from_thread: Py<PyAny>, done: Py<PyAny>) -> Self {
        Self(Some(Waiting { call_from_thread, done }))
    }

    /// Hands over a value, which is made while the GIL is held. With an outcome
    /// other than "ok", it is what there is.
    pub(crate) fn finish<F>(mut self, outcome: &'static str, detail: &str, value: F)
    where
        F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
    {
        let Some(waiting) = self.0.take() else { return };
        // `None`: the interpreter is ending, and nobody waits any more.
        Python::try_attach(|py| match value(py) {
            Ok(value) => waiting.send(py, outcome, detail, Some(value)),
            Err(why) => waiting.send(py, "failed", &why.to_string(), None),
        });
    }

    pub(crate) fn fail(mut self, outcome: &'static str, detail: &str) {
        if let Some(waiting) = self.0.take() {
            Python::try_attach(|py| waiting.send(py, outcome, detail, None));
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            Python::try_attach(|py| waiting.send(py, "failed", "the call was abandoned", None));
        }
    }
}

impl Waiting {
    fn send(self, py: Python<'_>, outcome: &str, detail: &str, value: Option<Bound<'_, PyAny>>) {
        let args = (self.done, outcome, detail, value);
        if let Err(why) = self.call_from_thread.call1(py, args) {
            // Only a reactor that is gone refuses.
            why.write_unraisable(py, None);
        }
    }
}
