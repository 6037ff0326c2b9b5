//! The interface of the native half to Python. `_native.pyi` is its reference.

use std::{
    os::fd::{AsRawFd as _, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use presence_router_client::{Address, ServerName};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    answer_value::AnswerValue,
    calls::{CallContext, Interest, Routed},
    completion::{Completion, CompletionQueue, deliver_finished},
    everyone::{Everyone, read_states},
    follow::Event,
    room,
    runtime::{ForkSafe, ProcessRuntime},
    synapse_answer::Home,
};

/// Raises `ValueError` if an address is malformed.
#[pyfunction]
pub(crate) fn check_address(address: &str) -> PyResult<()> {
    match address.parse::<Address>() {
        Ok(_) => Ok(()),
        Err(why) => Err(PyValueError::new_err(why.to_string())),
    }
}

/// Returns true if a value is a server name.
#[pyfunction]
pub(crate) fn is_server_name(value: &Bound<'_, PyAny>) -> bool {
    // Values of other types, and strings of invalid Unicode, are not.
    value.extract::<String>().is_ok_and(|name| ServerName::parse(&name).is_ok())
}

/// Asks one daemon on behalf of one homeserver.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Router {
    address: String,
    home: Arc<Home>,
    deadline: Duration,
    /// Locked only briefly, and only by threads that hold the GIL.
    process: Mutex<ForkSafe>,
}

#[pymethods]
impl Router {
    #[new]
    fn new(
        address: String,
        server_name: String,
        destinations: Vec<String>,
        deadline_ms: u64,
    ) -> PyResult<Self> {
        check_address(&address)?;
        Ok(Self {
            address,
            home: Arc::new(Home { server: server_name, destinations }),
            deadline: Duration::from_millis(deadline_ms),
            process: Mutex::default(),
        })
    }

    fn get_users_for_states(&self, states: &Bound<'_, PyList>, done: Py<PyAny>) -> PyResult<()> {
        let states = read_states(states);
        let completion = self.completion(done)?;
        self.spawn(async move |context| {
            let Routed { answer, failure } = context.users_for_states(states).await;
            let (outcome, detail) = match failure {
                None => ("ok", String::new()),
                Some(why) => (why.outcome(), why.to_string()),
            };
            completion.finish(outcome, detail, answer.into());
        })
    }

    fn get_interested_users(
        &self,
        user_id: &Bound<'_, PyAny>,
        may_be_everyone: bool,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(done)?;
        let Ok(user_id) = user_id.extract::<String>() else {
            completion.fail("malformed", "the user id is not valid Unicode".to_owned());
            return Ok(());
        };
        self.spawn(async move |context| {
            let value = match context.interested_users(user_id.clone(), may_be_everyone).await {
                Ok(Interest::Everyone(hides)) => {
                    Ok(AnswerValue::Everyone(Some(Everyone::new(user_id, hides))))
                }
                Ok(Interest::Senders(senders)) => Ok(AnswerValue::senders(senders)),
                Err(why) => Err(why),
            };
            match value {
                Ok(value) => completion.finish("ok", String::new(), value),
                Err(why) => completion.fail(why.outcome(), why.to_string()),
            }
        })
    }

    fn check_daemon(&self, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(done)?;
        self.spawn(async move |context| match context.check_daemon().await {
            Ok(()) => completion.finish("ok", String::new(), AnswerValue::Nothing),
            Err(why) => completion.fail(why.outcome(), why.to_string()),
        })
    }

    fn next_change(&self, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(done)?;
        self.with_runtime(|process| {
            let (follow, context) = (process.follow(), process.context().clone());
            process.spawn(async move {
                let CallContext { client, home, known_users, evaluations, .. } = &context;
                let event = follow.next(client, home, known_users, evaluations).await;
                let (kind, why, gains) = match event {
                    Event::Connected => ("connected", String::new(), Vec::new()),
                    Event::Disconnected(why) => ("disconnected", why, Vec::new()),
                    Event::Reset => ("reset", String::new(), Vec::new()),
                    Event::Gained(gains) => ("gained", String::new(), gains),
                };
                completion.finish(kind, why, gains.into());
            });
        })
    }

    fn on_create_room(&self, room: &Bound<'_, PyDict>, done: Py<PyAny>) -> PyResult<()> {
        let room = room::read_request(room)?;
        let completion = self.completion(done)?;
        self.spawn(async move |context| match context.on_create_room(room).await {
            Ok(verdict) => {
                let value = AnswerValue::Verdict(Some(verdict));
                completion.finish("ok", String::new(), value);
            }
            Err(why) => completion.fail(why.outcome(), why.to_string()),
        })
    }

    fn add_known_users(&self, py: Python<'_>, user_ids: Vec<String>) -> PyResult<()> {
        let known_users = self.with_runtime(|process| process.context().known_users.clone())?;
        py.detach(|| known_users.remember(user_ids.iter().map(String::as_str)));
        Ok(())
    }

    fn finish_seeding(&self) -> PyResult<()> {
        self.with_runtime(|process| process.context().known_users.set_seeded())
    }

    fn completion_fd(&self) -> PyResult<RawFd> {
        Ok(self.finished_calls()?.wakeup().as_raw_fd())
    }

    fn deliver_completions(&self, py: Python<'_>) -> PyResult<Vec<PyErr>> {
        // Not with `process` locked: `done` may ask the next question.
        Ok(deliver_finished(py, &*self.finished_calls()?))
    }

    fn close(&self, py: Python<'_>) {
        let process = self.process().take();
        if let Some(process) = process {
            process.shut_down(py);
        }
    }
}

impl Router {
    fn spawn<F, R>(&self, call: F) -> PyResult<()>
    where
        F: FnOnce(CallContext) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        self.with_runtime(|process| process.spawn(call(process.context().clone())))
    }

    /// Starts the threads of this process, if necessary.
    fn with_runtime<T>(&self, then: impl FnOnce(&ProcessRuntime) -> T) -> PyResult<T> {
        self.process()
            .get_or_start(|before| {
                ProcessRuntime::start(&self.address, &self.home, self.deadline, before)
            })
            .map(then)
    }

    fn completion(&self, done: Py<PyAny>) -> PyResult<Completion> {
        Ok(Completion::new(self.finished_calls()?, done))
    }

    /// Returns the finished calls of this process.
    fn finished_calls(&self) -> PyResult<Arc<CompletionQueue>> {
        self.process().finished_calls()
    }

    fn process(&self) -> MutexGuard<'_, ForkSafe> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
