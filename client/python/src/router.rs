//! The interface of the native half to Python. `_native.pyi` is its reference.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    os::fd::{AsRawFd as _, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use presence_router_client::{Address, RoomCapabilities, RoomConditions, ServerName};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    sync::MutexExt as _,
    types::{PyDict, PyList, PyString},
};

use tokio::time::Instant;

use crate::{
    answer_value::{AnswerValue, Sliced},
    budget::{Budget, ELEMENTS_PER_TURN},
    completion::{Completion, CompletionQueue},
    delivery::deliver_finished,
    everyone::Everyone,
    failure::Failure,
    find::{find_interest, find_routes, is_everyone},
    find_visibility,
    follow::{Event, ExactEvent},
    home::Home,
    questions::{CallContext, FoundAudiences},
    reading::{Reading, Sources},
    room,
    runtime::{ForkSafe, ProcessRuntime, Settings},
    states_request::StatesRequest,
    synapse_memory::{InterestRequest, lock},
    text::read_str,
    visibility::Visibility,
};

/// Senders in one question about all known ones.
const SENDERS_AT_ONCE: usize = 1000;

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

/// Answers the questions of one homeserver, from memory or by asking one daemon.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Router {
    settings: Settings,
    /// Locked only briefly.
    process: Mutex<ForkSafe>,
}

#[pymethods]
impl Router {
    #[new]
    #[pyo3(signature = (
        address, server_name, destinations, deadline_ms, stale_for_ms, cache_mib, redact,
        decides_alone=false
    ))]
    #[expect(clippy::too_many_arguments, reason = "the module's configuration has so many keys")]
    fn new(
        address: String,
        server_name: String,
        destinations: Vec<String>,
        deadline_ms: u64,
        stale_for_ms: u64,
        cache_mib: u64,
        redact: Py<PyAny>,
        decides_alone: bool,
    ) -> PyResult<Self> {
        check_address(&address)?;
        let room_capabilities =
            if decides_alone { RoomCapabilities::ALL } else { RoomCapabilities::NONE };
        let settings = Settings {
            address,
            home: Arc::new(Home { server: server_name, destinations }),
            deadline: Duration::from_millis(deadline_ms),
            stale_for: Duration::from_millis(stale_for_ms),
            cache_bytes: cache_mib.saturating_mul(1 << 20),
            room_capabilities,
            redact,
        };
        Ok(Self { settings, process: Mutex::default() })
    }

    fn routes_in_memory<'py>(
        &self,
        py: Python<'py>,
        states: &Bound<'py, PyList>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if states.len() > ELEMENTS_PER_TURN {
            return Ok(None);
        }
        let Sources { context, memory, .. } = self.sources(py)?;
        let mut request = StatesRequest::new(states);
        let mut budget = Budget::of_turn();
        let complete = request.read(py, &context, &context.near_cache, &mut budget)?;
        if !complete || !request.is_answered() {
            return Ok(None);
        }
        let mut routes = request.into_routes(&FoundAudiences::default(), &context);
        let mut memory = lock(&memory, py);
        if !routes.large_templates(&memory).is_empty() {
            return Ok(None);
        }
        let built = routes.build(py, &mut memory, &mut budget)?;
        if built.is_none() {
            routes.keep_begun(&mut memory);
        }
        Ok(built)
    }

    fn find_routes(
        &self,
        py: Python<'_>,
        states: &Bound<'_, PyList>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let mut reading = Reading::new(StatesRequest::new(states), self.sources(py)?);
        if states.len() <= ELEMENTS_PER_TURN && reading.read(py, &mut Budget::of_turn())? {
            find_routes(py, reading, completion);
        } else {
            let value = AnswerValue::Reading(Some(Box::new(reading)));
            completion.finish("memory", String::new(), value);
        }
        Ok(())
    }

    fn interest_in_memory<'py>(
        &self,
        py: Python<'py>,
        user_id: &Bound<'py, PyString>,
        may_be_everyone: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        // `find_interest` reports a text that is not valid Unicode.
        let Ok(user_id) = user_id.to_str() else { return Ok(None) };
        let Sources { context, memory, .. } = self.sources(py)?;
        let local = context.home.is_local(user_id);
        if local {
            context.known_users.note_question(user_id);
        }
        let Some(found) = context.near_cache.cached_interest(user_id) else { return Ok(None) };
        let answer = found.into_shared();
        if is_everyone(&answer, local && may_be_everyone) {
            context.known_users.note_answer(user_id, true);
            let everyone = Everyone::new(user_id, answer.hides());
            return Ok(Some(Bound::new(py, everyone)?.into_any()));
        }
        let open = answer.as_set().is_some_and(|senders| senders.is_open());
        if open && !context.known_users.is_seeded() {
            return Ok(None);
        }
        if local {
            context.known_users.note_answer(user_id, false);
        }
        let mut request = InterestRequest::new(answer);
        let mut memory = lock(&memory, py);
        if memory.needs_listed_senders(&request) {
            return Ok(None);
        }
        let senders = memory.interest(py, &mut request, &mut Budget::of_turn())?;
        if senders.is_none() {
            memory.keep_interest(&mut request);
        }
        Ok(senders.map(Bound::into_any))
    }

    fn find_interest(
        &self,
        py: Python<'_>,
        user_id: &Bound<'_, PyString>,
        may_be_everyone: bool,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let Ok(user_id) = user_id.to_str().map(str::to_owned) else {
            completion.fail("malformed", "the user id is not valid Unicode".to_owned());
            return Ok(());
        };
        let sources = self.sources(py)?;
        if sources.context.home.is_local(&user_id) {
            sources.context.known_users.note_question(&user_id);
        }
        let threads = sources.context.threads.clone();
        threads.spawn(find_interest(user_id, may_be_everyone, completion, sources));
        Ok(())
    }

    fn visible_senders(&self, py: Python<'_>, user_id: &str) -> PyResult<Option<Visibility>> {
        Ok(find_visibility::visible_senders(&self.sources(py)?.context, user_id))
    }

    fn find_visible_senders(
        &self,
        py: Python<'_>,
        user_id: &Bound<'_, PyString>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let Ok(user_id) = user_id.to_str().map(str::to_owned) else {
            completion.fail("malformed", "the user id is not valid Unicode".to_owned());
            return Ok(());
        };
        self.spawn(py, async move |context| {
            find_visibility::find_visible_senders(&context, &user_id, completion).await;
        })
    }

    fn recipients_of(
        &self,
        py: Python<'_>,
        senders: Vec<String>,
    ) -> PyResult<Vec<Option<Visibility>>> {
        Ok(find_visibility::recipients_of(&self.sources(py)?.context, &senders))
    }

    fn find_recipients_of(
        &self,
        py: Python<'_>,
        senders: Vec<String>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        self.spawn(py, async move |context| {
            find_visibility::find_recipients_of(&context, &senders, completion).await;
        })
    }

    fn find_senders_without_rooms(
        &self,
        py: Python<'_>,
        answer: &Bound<'_, Visibility>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let answer = answer.get().clone();
        let large_answers = self.sources(py)?.large_answers;
        self.spawn(py, async move |context| {
            let find = || answer.senders_without_rooms(&context.known_users);
            // Compares every known user with the set; calls go on in another thread.
            let senders = Sliced::of_items(large_answers.run(find).await);
            completion.finish("ok", String::new(), AnswerValue::Senders(senders));
        })
    }

    fn named_servers(&self, py: Python<'_>) -> PyResult<(u64, Vec<String>)> {
        Ok(find_visibility::named_servers(&self.sources(py)?.context))
    }

    fn is_away(&self, py: Python<'_>) -> PyResult<bool> {
        self.with_runtime(py, |process| process.sources().context.near_cache.is_away())
    }

    fn check_daemon(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        self.spawn(py, async move |context| match context.check_daemon().await {
            Ok(()) => completion.finish("ok", String::new(), AnswerValue::Nothing),
            Err(why) => completion.fail(why.outcome(), why.to_string()),
        })
    }

    fn next_event(&self, py: Python<'_>, with_gains: bool, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let follow = self.with_runtime(py, ProcessRuntime::follow)?;
        let large_answers = self.sources(py)?.large_answers;
        self.spawn(py, async move |context| {
            let (kind, why, gains) = match follow.next(&context, &large_answers, with_gains).await {
                Event::Connected => ("connected", String::new(), Vec::new()),
                Event::Disconnected(why) => ("disconnected", why, Vec::new()),
                Event::Refused(why) => ("refused", why, Vec::new()),
                Event::Reset => ("reset", String::new(), Vec::new()),
                Event::Gained(gains) => ("gained", String::new(), gains),
            };
            completion.finish(kind, why, gains.into());
        })
    }

    fn next_change(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        let follow = self.with_runtime(py, ProcessRuntime::follow)?;
        let large_answers = self.sources(py)?.large_answers;
        self.spawn(py, async move |context| {
            let (kind, why, change) = match follow.next_exact(&context, &large_answers).await {
                ExactEvent::Connected(change) => ("connected", String::new(), Some(change)),
                ExactEvent::Disconnected(why) => ("disconnected", why, None),
                ExactEvent::Refused(why) => ("refused", why, None),
                ExactEvent::Reset(change) => ("reset", String::new(), Some(change)),
                ExactEvent::Changed(change) => ("changed", String::new(), Some(change)),
            };
            let value = change.map_or(AnswerValue::Nothing, |one| AnswerValue::Change(Some(one)));
            completion.finish(kind, why, value);
        })
    }

    fn find_answers_about_rooms(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<()> {
        let completion = self.completion(py, done)?;
        self.spawn(py, async move |context| {
            let (answers, failure) = answers_about_rooms(&context).await;
            let answers = AnswerValue::Visibilities(answers.into_iter().map(Some).collect());
            match failure {
                None => completion.finish("ok", String::new(), answers),
                Some(why) => completion.finish(why.outcome(), why.to_string(), answers),
            }
        })
    }

    fn on_create_room(
        &self,
        py: Python<'_>,
        room: &Bound<'_, PyDict>,
        done: Py<PyAny>,
    ) -> PyResult<()> {
        let room = room::read_request(room)?;
        let completion = self.completion(py, done)?;
        self.spawn(py, async move |context| match context.on_create_room(room).await {
            Ok(verdict) => {
                let value = AnswerValue::Verdict(Some(verdict));
                completion.finish("ok", String::new(), value);
            }
            Err(why) => completion.fail(why.outcome(), why.to_string()),
        })
    }

    fn add_known_users(&self, py: Python<'_>, user_ids: &Bound<'_, PyList>) -> PyResult<()> {
        let ids = user_ids.iter();
        let ids: Vec<String> = ids.filter_map(|id| read_str(&id).map(str::to_owned)).collect();
        let known_users =
            self.with_runtime(py, |process| process.sources().context.known_users.clone())?;
        py.detach(|| known_users.remember(ids.iter().map(String::as_str)));
        Ok(())
    }

    fn finish_seeding(&self, py: Python<'_>) -> PyResult<()> {
        self.with_runtime(py, |process| process.sources().context.known_users.set_seeded())
    }

    fn cache_stats(&self, py: Python<'_>) -> PyResult<HashMap<&'static str, u64>> {
        let stats =
            self.with_runtime(py, |process| process.sources().context.near_cache.stats())?;
        Ok(HashMap::from([
            ("hits", stats.hits),
            ("misses", stats.misses),
            ("stale", stats.stale),
            ("ended", stats.closed),
            ("errors", stats.errors),
            ("evictions", stats.evictions),
            ("bytes", stats.bytes),
            ("entries", stats.entries),
        ]))
    }

    fn completion_fd(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.finished_calls(py)?.wakeup().as_raw_fd())
    }

    fn deliver_completions(&self, py: Python<'_>) -> PyResult<Vec<PyErr>> {
        // Not with `process` locked: `done` may ask the next question.
        Ok(deliver_finished(py, &self.finished_calls(py)?))
    }

    fn close(&self, py: Python<'_>) {
        let process = self.process(py).take();
        if let Some(process) = process {
            process.shut_down(py);
        }
    }
}

impl Router {
    fn spawn<F, R>(&self, py: Python<'_>, call: F) -> PyResult<()>
    where
        F: FnOnce(Arc<CallContext>) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        self.with_runtime(py, |process| process.spawn(call(process.sources().context.clone())))
    }

    fn sources(&self, py: Python<'_>) -> PyResult<Sources> {
        self.with_runtime(py, |process| process.sources().clone())
    }

    /// Starts the threads of this process, if necessary.
    fn with_runtime<T>(
        &self,
        py: Python<'_>,
        then: impl FnOnce(&ProcessRuntime) -> T,
    ) -> PyResult<T> {
        self.process(py)
            .get_or_start(|before| ProcessRuntime::start(py, &self.settings, before))
            .map(then)
    }

    fn completion(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<Completion> {
        Ok(Completion::new(self.finished_calls(py)?, done))
    }

    /// Returns the finished calls of this process.
    fn finished_calls(&self, py: Python<'_>) -> PyResult<Arc<CompletionQueue>> {
        self.process(py).finished_calls()
    }

    fn process(&self, py: Python<'_>) -> MutexGuard<'_, ForkSafe> {
        // A thread that must wait lets other Python threads run meanwhile.
        self.process.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns one of the audiences of known senders for each distinct list of conditions on rooms,
/// as far as the daemon answers in time, and the last failure.
async fn answers_about_rooms(context: &CallContext) -> (Vec<Visibility>, Option<Failure>) {
    let mut failure = None;
    let mut numbers = HashSet::new();
    let mut seen: BTreeSet<Vec<RoomConditions>> = BTreeSet::new();
    let mut answers = Vec::new();
    let mut next = 0;
    loop {
        let senders = context.known_users.known_after(next, SENDERS_AT_ONCE);
        if senders.is_empty() {
            return (answers, failure);
        }
        next += senders.len();
        let found = context.find_audiences(senders, Instant::now()).await;
        failure = found.failure.or(failure);
        for (sender, answer) in found.answers {
            let Some(answer) = answer else { continue };
            if !numbers.insert(answer.number()) {
                continue;
            }
            let visibility = Visibility::new(&sender, answer);
            let conditions = visibility.room_conditions();
            if !conditions.is_empty() && seen.insert(conditions) {
                answers.push(visibility);
            }
        }
    }
}
