//! The interface of the native half to Python. `_native.pyi` is its reference.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use presence_router_client::{Address, ServerName};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList, PySet},
};

use crate::{
    calls::{CallContext, Interest, Routed},
    completion::Completion,
    everyone::{Everyone, read_states},
    follow::{Event, Gain},
    room,
    runtime::{ForkSafe, ProcessRuntime},
    synapse_answer::{Home, Shown, SynapseAnswer},
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

    fn get_users_for_states(
        &self,
        states: &Bound<'_, PyList>,
        call_from_thread: Py<PyAny>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let states = read_states(states);
        let completion = Completion::new(call_from_thread, done);
        self.spawn(async move |context| {
            let Routed { answer, failure } = context.users_for_states(states).await;
            let (outcome, detail) = match failure {
                None => ("ok", String::new()),
                Some(why) => (why.outcome(), why.to_string()),
            };
            completion.finish(outcome, &detail, |py| {
                let SynapseAnswer { groups, unsent } = answer;
                let group = |(keys, Shown { whole, less }): (Vec<String>, Shown)| {
                    let less: Vec<_> =
                        less.into_iter().map(|(at, hidden)| (at, hidden.0)).collect();
                    (keys, whole, less)
                };
                let groups: Vec<_> = groups.into_iter().map(group).collect();
                (groups, unsent).into_pyobject(py).map(Bound::into_any)
            });
        })
    }

    fn get_interested_users(
        &self,
        user_id: &Bound<'_, PyAny>,
        may_be_everyone: bool,
        call_from_thread: Py<PyAny>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = Completion::new(call_from_thread, done);
        let Ok(user_id) = user_id.extract::<String>() else {
            completion.fail("malformed", "the user id is not valid Unicode");
            return Ok(());
        };
        self.spawn(async move |context| {
            match context.interested_users(user_id.clone(), may_be_everyone).await {
                Ok(Interest::Everyone(hides)) => {
                    let everyone = Everyone::new(user_id, hides);
                    completion.finish("ok", "", |py| Ok(Bound::new(py, everyone)?.into_any()));
                }
                Ok(Interest::Senders(senders)) => {
                    completion.finish("ok", "", |py| PySet::new(py, senders).map(Bound::into_any));
                }
                Err(why) => completion.fail(why.outcome(), &why.to_string()),
            }
        })
    }

    fn check_daemon(&self, call_from_thread: Py<PyAny>, done: Py<PyAny>) -> PyResult<()> {
        let completion = Completion::new(call_from_thread, done);
        self.spawn(async move |context| match context.check_daemon().await {
            Ok(()) => completion.finish("ok", "", |py| Ok(py.None().into_bound(py))),
            Err(why) => completion.fail(why.outcome(), &why.to_string()),
        })
    }

    fn next_change(&self, call_from_thread: Py<PyAny>, done: Py<PyAny>) -> PyResult<()> {
        let completion = Completion::new(call_from_thread, done);
        self.with_runtime(|process| {
            let (follow, context) = (process.follow(), process.context().clone());
            process.spawn(async move {
                let event = follow.next(&context.client, &context.home, &context.known_users).await;
                let (kind, why, gains) = match event {
                    Event::Connected => ("connected", String::new(), Vec::new()),
                    Event::Disconnected(why) => ("disconnected", why, Vec::new()),
                    Event::Reset => ("reset", String::new(), Vec::new()),
                    Event::Gained(gains) => ("gained", String::new(), gains),
                };
                let gains: Vec<_> = gains
                    .into_iter()
                    .map(|Gain { senders, recipients, remote }| (senders, recipients, remote))
                    .collect();
                completion.finish(kind, &why, |py| gains.into_pyobject(py).map(Bound::into_any));
            });
        })
    }

    fn on_create_room(
        &self,
        room: &Bound<'_, PyDict>,
        call_from_thread: Py<PyAny>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let room = room::read_request(room)?;
        let completion = Completion::new(call_from_thread, done);
        self.spawn(async move |context| match context.on_create_room(room).await {
            Ok(verdict) => {
                completion.finish("ok", "", |py| verdict.into_pyobject(py).map(Bound::into_any));
            }
            Err(why) => completion.fail(why.outcome(), &why.to_string()),
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

    fn close(&self, py: Python<'_>) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        let mut slot = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_start(|before| {
            ProcessRuntime::start(&self.address, &self.home, self.deadline, before)
        })
        .map(then)
    }
}
