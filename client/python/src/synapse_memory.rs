//! The memory of the reactor's thread, in the form that Synapse takes: templates of
//! dictionaries, and sets. All of it can be built again from the answers of the near-cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use presence_router_client::{NamedServers, NearCache, SharedAnswer};
use pyo3::{
    prelude::*,
    sync::MutexExt as _,
    types::{PyDict, PySet},
};
use quick_cache::{Weighter, unsync::Cache};

use crate::{
    audience_keys::{Audience, listed_senders},
    audience_template::{AudienceTemplate, TemplateBeginning, TemplateKey},
    budget::{Budget, ELEMENTS_PER_TURN, work_of_evaluation},
    hides::{Fields, Hide},
    home::Home,
    interest_set::InterestSet,
    interned_ids::InternedIds,
    known_users::KnownUsers,
    questions::CallContext,
};

/// Bytes of a key in a dictionary or of an element in a set, with its share of the table, and
/// of its string that several of them share.
const ELEMENT_BYTES: u64 = 96;

/// Bytes for each of which one string is kept for reuse.
const BYTES_FOR_ONE_ID: u64 = 512;

/// Derived from the answers of one near-cache. Only the reactor's thread uses it.
#[derive(Debug)]
pub(crate) struct SynapseMemory {
    pub(crate) home: Arc<Home>,
    pub(crate) known_users: Arc<KnownUsers>,
    /// Python's function that returns a state without its hidden fields.
    pub(crate) redact: Py<PyAny>,
    /// `dict.fromkeys`.
    pub(crate) fromkeys: Py<PyAny>,
    near_cache: NearCache,
    ids: InternedIds,
    derived: Cache<DerivedKey, Derived, ByElements>,
    /// All known senders: the interest of users who may see everyone.
    everyone: Option<InterestSet>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum DerivedKey {
    Audience(TemplateKey),
    /// The number of the answer.
    Interest(u64),
}

#[derive(Debug)]
enum Derived {
    Audience(AudienceTemplate),
    Interest(InterestSet),
}

/// Weighs by keys and elements.
#[derive(Clone, Debug)]
struct ByElements;

/// The template of an audience, as far as it is built for one call.
#[derive(Debug)]
pub(crate) struct TemplateRequest {
    pub(crate) key: TemplateKey,
    pub(crate) answer: SharedAnswer,
    /// The beginning, if it was computed in another thread.
    pub(crate) beginning: Option<Arc<TemplateBeginning>>,
    begun: Option<AudienceTemplate>,
}

/// The set of an interest, as far as it is built for one call.
#[derive(Debug)]
pub(crate) struct InterestRequest {
    pub(crate) answer: SharedAnswer,
    /// The listed senders, if they were computed in another thread.
    pub(crate) listed: Option<Arc<[String]>>,
    begun: Option<InterestSet>,
}

/// The keys of an audience, by the fields that are hidden from them.
#[derive(Debug)]
pub(crate) struct TemplateParts {
    pub(crate) parts: Vec<(Fields, Py<PyDict>)>,
    pub(crate) unsent: bool,
}

/// Locks the memory. A thread that must wait lets other Python threads run meanwhile.
pub(crate) fn lock<'a>(
    memory: &'a Mutex<SynapseMemory>,
    py: Python<'_>,
) -> MutexGuard<'a, SynapseMemory> {
    // A poisoned lock is fine: a template or set is in the memory only between two steps.
    memory.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
}

// === impl SynapseMemory ===

impl SynapseMemory {
    /// Creates an empty memory for about so many bytes.
    pub(crate) fn new(
        py: Python<'_>,
        context: &CallContext,
        redact: Py<PyAny>,
        bytes: u64,
    ) -> PyResult<Self> {
        let elements = (bytes / ELEMENT_BYTES).max(1);
        let ids = usize::try_from((bytes / BYTES_FOR_ONE_ID).max(1)).unwrap_or(usize::MAX);
        let fromkeys = py.get_type::<PyDict>().getattr("fromkeys")?.unbind();
        // Most templates and sets have more than some elements.
        let items = usize::try_from(elements / 32).unwrap_or(usize::MAX).max(64);
        Ok(Self {
            home: context.home.clone(),
            known_users: context.known_users.clone(),
            redact,
            fromkeys,
            near_cache: context.near_cache.clone(),
            ids: InternedIds::new(ids),
            derived: Cache::with_weighter(items, elements, ByElements),
            everyone: None,
        })
    }

    /// Returns the keys of an audience. `None`: the budget is used up, and another call
    /// continues.
    pub(crate) fn template(
        &mut self,
        py: Python<'_>,
        request: &mut TemplateRequest,
        budget: &mut Budget,
    ) -> PyResult<Option<TemplateParts>> {
        // Loaded after the answer, so that they are not older.
        let servers = self.near_cache.named_servers();
        let key = DerivedKey::Audience(request.key.clone());
        let named = servers.number();
        if request.begun.is_none()
            && let Some(Derived::Audience(template)) = self.derived.get(&key)
            && template.is_complete(named, &self.known_users)
        {
            return Ok(Some(TemplateParts::of(py, template)));
        }
        let Some(recipients) = request.answer.as_set() else {
            return Ok(Some(TemplateParts { parts: Vec::new(), unsent: false }));
        };
        let hides: Vec<Hide> = request.answer.hides().iter().map(Hide::from).collect();
        let audience = Audience {
            home: &self.home,
            recipients,
            hides: &hides,
            kind: &request.key.kind,
            named_servers: &servers.names().collect::<Vec<_>>(),
        };
        // One that is begun goes on, even if it is outdated by now: it is the answer of the time
        // when the states came, and the next look begins anew.
        let begun = request.begun.take().or_else(|| match self.derived.remove(&key) {
            Some((_, Derived::Audience(template))) => {
                Some(template).filter(|kept| !kept.is_outdated(named, &self.known_users))
            }
            _ => None,
        });
        let mut template = match begun {
            Some(template) => template,
            None => {
                // Of another hour, it would leave out all who asked lately. Otherwise it is the
                // answer of the time when the states came.
                let known_users = &self.known_users;
                let beginning = request.beginning.take();
                let beginning = match beginning.filter(|one| one.is_of_this_hour(known_users)) {
                    Some(beginning) => beginning,
                    None if budget.left() == 0 => return Ok(None),
                    None => {
                        let servers = servers.names().len();
                        budget.spend_up_to(work_of_template(
                            &request.key,
                            &request.answer,
                            servers,
                        ));
                        Arc::new(TemplateBeginning::new(&audience, named, known_users))
                    }
                };
                AudienceTemplate::new(beginning)
            }
        };
        if !template.complete(py, &audience, &self.known_users, &mut self.ids, budget)? {
            request.begun = Some(template);
            return Ok(None);
        }
        let parts = TemplateParts::of(py, &template);
        self.derived.insert(key, Derived::Audience(template));
        Ok(Some(parts))
    }

    /// Returns the senders of an interest: a set that others share. `None`: the budget is used
    /// up, and another call continues.
    pub(crate) fn interest<'py>(
        &mut self,
        py: Python<'py>,
        request: &mut InterestRequest,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PySet>>> {
        let Some(senders) = request.answer.as_set() else { return PySet::empty(py).map(Some) };
        let is_everyone = is_all_known(&request.answer);
        let key = DerivedKey::Interest(request.answer.number());
        let kept = if is_everyone {
            self.everyone.as_ref()
        } else if request.begun.is_some() {
            None
        } else {
            match self.derived.get(&key) {
                Some(Derived::Interest(set)) => Some(set),
                _ => None,
            }
        };
        if let Some(kept) = kept
            && kept.is_complete(&self.known_users)
        {
            return Ok(Some(kept.senders.bind(py).clone()));
        }
        let hides: Vec<Hide> = request.answer.hides().iter().map(Hide::from).collect();
        let begun = if is_everyone { self.everyone.take() } else { request.begun.take() };
        let begun = begun.or_else(|| match self.derived.remove(&key) {
            Some((_, Derived::Interest(set))) => Some(set),
            _ => None,
        });
        let mut set = match begun {
            Some(set) => set,
            // Without those that the answer lists and that have no presence, so that all who see
            // everyone share it.
            None if is_everyone => InterestSet::new(py, senders, Arc::default())?,
            None if request.listed.is_none() && budget.left() == 0 => return Ok(None),
            None => {
                let listed = request.listed.take().unwrap_or_else(|| {
                    budget.spend_up_to(work_of_interest(&request.answer));
                    listed_senders(senders, &hides).into()
                });
                InterestSet::new(py, senders, listed)?
            }
        };
        let known_users = &self.known_users;
        let complete = set.complete(py, senders, &hides, known_users, &mut self.ids, budget)?;
        let found = complete.then(|| set.senders.bind(py).clone());
        if is_everyone {
            self.everyone = Some(set);
        } else if complete {
            self.derived.insert(key, Derived::Interest(set));
        } else {
            request.begun = Some(set);
        }
        Ok(found)
    }

    /// Returns true if the answer is too large to be evaluated in the reactor's thread, and has
    /// to be: its listed keys should be computed elsewhere first.
    pub(crate) fn needs_listed_keys(&self, request: &TemplateRequest) -> bool {
        let servers = self.near_cache.named_servers();
        if !is_large_template(request, servers.names().len()) {
            return false;
        }
        match self.derived.peek(&DerivedKey::Audience(request.key.clone())) {
            Some(Derived::Audience(kept)) => kept.is_outdated(servers.number(), &self.known_users),
            _ => true,
        }
    }

    /// As [`SynapseMemory::needs_listed_keys`], for senders.
    pub(crate) fn needs_listed_senders(&self, request: &InterestRequest) -> bool {
        let number = request.answer.number();
        is_large_interest(request)
            && !is_all_known(&request.answer)
            && !self.derived.contains_key(&DerivedKey::Interest(number))
    }

    /// Returns about the number of elements that a template still costs.
    pub(crate) fn work_of_template(&self, request: &TemplateRequest) -> usize {
        match self.derived.peek(&DerivedKey::Audience(request.key.clone())) {
            Some(Derived::Audience(kept)) => kept.elements(),
            _ => {
                let servers = self.near_cache.named_servers().names().len();
                let asked = match request.answer.as_set() {
                    Some(recipients) if recipients.is_open() => self.known_users.asked_len(),
                    _ => 0,
                };
                let work = work_of_template(&request.key, &request.answer, servers);
                work.saturating_add(asked)
            }
        }
    }

    /// Returns about the number of elements that a set still costs.
    pub(crate) fn work_of_interest(&self, request: &InterestRequest) -> usize {
        let number = request.answer.number();
        let kept = match self.derived.peek(&DerivedKey::Interest(number)) {
            Some(Derived::Interest(kept)) => Some(kept),
            _ if is_all_known(&request.answer) => self.everyone.as_ref(),
            _ => None,
        };
        if kept.is_some_and(|kept| kept.is_complete(&self.known_users)) {
            return 0;
        }
        let known = match request.answer.as_set() {
            Some(senders) if senders.is_open() => self.known_users.known_len(),
            _ => 0,
        };
        work_of_interest(&request.answer).saturating_add(known)
    }

    /// Keeps a template that is not complete, so that its next request goes on with it.
    pub(crate) fn keep_template(&mut self, request: &mut TemplateRequest) {
        if let Some(begun) = request.begun.take() {
            let key = DerivedKey::Audience(request.key.clone());
            self.derived.insert(key, Derived::Audience(begun));
        }
    }

    /// Keeps a set that is not complete, so that its next request goes on with it.
    pub(crate) fn keep_interest(&mut self, request: &mut InterestRequest) {
        if let Some(begun) = request.begun.take() {
            let key = DerivedKey::Interest(request.answer.number());
            self.derived.insert(key, Derived::Interest(begun));
        }
    }
}

// === impl TemplateRequest ===

impl TemplateRequest {
    pub(crate) fn new(key: TemplateKey, answer: SharedAnswer) -> Self {
        Self { key, answer, beginning: None, begun: None }
    }

    /// Computes the beginning of the template, in any thread. `None`: there are no recipients.
    pub(crate) fn compute_beginning(
        &self,
        context: &CallContext,
        servers: &NamedServers,
    ) -> Option<Arc<TemplateBeginning>> {
        let recipients = self.answer.as_set()?;
        let hides: Vec<Hide> = self.answer.hides().iter().map(Hide::from).collect();
        let audience = Audience {
            home: &context.home,
            recipients,
            hides: &hides,
            kind: &self.key.kind,
            named_servers: &servers.names().collect::<Vec<_>>(),
        };
        let known_users = &context.known_users;
        Some(Arc::new(TemplateBeginning::new(&audience, servers.number(), known_users)))
    }
}

// === impl InterestRequest ===

impl InterestRequest {
    pub(crate) fn new(answer: SharedAnswer) -> Self {
        Self { answer, listed: None, begun: None }
    }

    /// Computes the listed senders, in any thread.
    pub(crate) fn compute_listed(&self) -> Arc<[String]> {
        let hides: Vec<Hide> = self.answer.hides().iter().map(Hide::from).collect();
        let listed = self.answer.as_set().map(|senders| listed_senders(senders, &hides));
        listed.unwrap_or_default().into()
    }
}

// === impl TemplateParts ===

impl TemplateParts {
    fn of(py: Python<'_>, template: &AudienceTemplate) -> Self {
        let parts = template.parts.iter();
        let parts = parts.map(|(hidden, keys)| (*hidden, keys.clone_ref(py))).collect();
        Self { parts, unsent: template.unsent }
    }
}

// === impl ByElements ===

impl Weighter<DerivedKey, Derived> for ByElements {
    fn weight(&self, _key: &DerivedKey, derived: &Derived) -> u64 {
        let elements = match derived {
            Derived::Audience(template) => template.elements(),
            Derived::Interest(set) => set.elements(),
        };
        u64::try_from(elements).unwrap_or(u64::MAX).saturating_add(8)
    }
}

/// Returns true if the evaluation of an audience takes longer than one turn of the reactor may.
/// The policy names so many servers.
pub(crate) fn is_large_template(request: &TemplateRequest, servers: usize) -> bool {
    work_of_template(&request.key, &request.answer, servers) > ELEMENTS_PER_TURN
}

/// Returns true if the evaluation of an interest takes longer than one turn of the reactor may.
pub(crate) fn is_large_interest(request: &InterestRequest) -> bool {
    work_of_interest(&request.answer) > ELEMENTS_PER_TURN
}

/// Returns true if an interest is all known senders, in full.
fn is_all_known(answer: &SharedAnswer) -> bool {
    answer.hides().is_empty() && answer.as_set().is_some_and(|senders| senders.is_everyone())
}

fn work_of_template(key: &TemplateKey, answer: &SharedAnswer, servers: usize) -> usize {
    let Some(set) = answer.as_set() else { return 0 };
    let hides = answer.hides().iter().map(|hide| &hide.users);
    let named = if key.kind.local_sender { servers } else { 0 };
    // Servers of listed users are looked at only because of hides.
    let listed = if answer.hides().is_empty() { 0 } else { set.listed_users_bound() };
    work_of_evaluation(set, hides, named.saturating_add(listed))
}

fn work_of_interest(answer: &SharedAnswer) -> usize {
    let hides = answer.hides().iter().map(|hide| &hide.users);
    answer.as_set().map_or(0, |set| work_of_evaluation(set, hides, 0))
}
