//! Facts about rooms, and the evaluation of conditions by these facts.
//!
//! `RoomFacts` remembers facts that only the state of a room changes; Python loads them, and has
//! them forgotten when the state changes. Numbers of members are not among them: Python hands them
//! over for each question. A question says which facts it lacks, and its verdict counts them as
//! unknown.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use presence_router_client::{PresenceSharing, RoomCondition, RoomConditions, UserGlob};
use pyo3::{
    prelude::*,
    sync::MutexExt as _,
    types::{PyDict, PyList},
};
use quick_cache::unsync::Cache;

use crate::text::read_str;

/// A fact that a question lacks: its kind, the room, and for "members" the number of the patterns.
pub(crate) type MissingFact = (&'static str, String, usize);

/// The facts about rooms of one process.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct RoomFacts(Mutex<Memory>);

/// Ids of rooms.
type Children = Arc<HashSet<Box<str>>>;

#[derive(Debug)]
struct Memory {
    states: Cache<Box<str>, Arc<RoomState>>,
    /// The children of spaces. `None`: this homeserver is not in the space.
    spaces: Cache<Box<str>, Option<Children>>,
    /// Every list of patterns of members who do not count, by its number; the first is empty.
    patterns: Vec<Box<[UserGlob]>>,
    /// The largest numbers of members that are not beyond a limit of a condition, with the number
    /// of the patterns.
    limits: BTreeSet<(usize, u64)>,
}

/// The facts that the state of one room states. `None`: unknown; as the hint: the room has none.
#[derive(Debug)]
struct RoomState {
    encrypted: Option<bool>,
    join_rule: Option<Box<str>>,
    history_visibility: Option<Box<str>>,
    /// `None`: the room has no such hint.
    presence_sharing: Option<PresenceSharing>,
}

/// Numbers of joined members for one question, by room and number of patterns. `None`: unknown.
#[derive(Debug, Default)]
pub(crate) struct MemberCounts(HashMap<(String, usize), Option<u64>>);

/// The evaluation of conditions for one question.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    memory: RefCell<MutexGuard<'a, Memory>>,
    counts: MemberCounts,
    missing: RefCell<BTreeSet<MissingFact>>,
}

/// One room, as a question sees it.
#[derive(Debug)]
struct Room<'e, 'a> {
    id: &'e str,
    evaluation: &'e Evaluation<'a>,
    /// Looked up once, when a condition needs it.
    state: std::cell::OnceCell<Option<Arc<RoomState>>>,
}

#[pymethods]
impl RoomFacts {
    #[new]
    fn new(rooms: usize) -> Self {
        Self(Mutex::new(Memory {
            states: Cache::new(rooms.max(1)),
            spaces: Cache::new(rooms.max(1)),
            patterns: vec![Box::default()],
            limits: BTreeSet::new(),
        }))
    }

    fn put_state(
        &self,
        py: Python<'_>,
        room_id: &str,
        encrypted: Option<bool>,
        join_rule: Option<&str>,
        history_visibility: Option<&str>,
        presence_sharing: Option<&str>,
    ) {
        let state = RoomState {
            encrypted,
            join_rule: join_rule.map(Into::into),
            history_visibility: history_visibility.map(Into::into),
            // A value that is no hint is none.
            presence_sharing: presence_sharing.and_then(PresenceSharing::parse),
        };
        self.lock(py).states.insert(room_id.into(), Arc::new(state));
    }

    fn put_space(&self, py: Python<'_>, space_id: &str, children: Option<Vec<String>>) {
        let children = children
            .map(|children| Arc::new(children.into_iter().map(String::into_boxed_str).collect()));
        self.lock(py).spaces.insert(space_id.into(), children);
    }

    fn forget(&self, py: Python<'_>, room_ids: Vec<String>) {
        let mut memory = self.lock(py);
        for room_id in &room_ids {
            memory.states.remove(room_id.as_str());
            memory.spaces.remove(room_id.as_str());
        }
    }

    fn forget_all(&self, py: Python<'_>) {
        let mut memory = self.lock(py);
        memory.states.clear();
        memory.spaces.clear();
    }

    /// Counts in the reactor's thread: 100,000 members and a pattern take about ten milliseconds.
    fn count_members(&self, py: Python<'_>, patterns: usize, members: &Bound<'_, PyList>) -> usize {
        let memory = self.lock(py);
        let patterns = memory.patterns.get(patterns).map(|list| &**list).unwrap_or_default();
        let counts = |user: &Bound<'_, PyAny>| {
            // An id that is not valid Unicode matches no pattern.
            read_str(user).is_none_or(|user| !patterns.iter().any(|one| one.matches(user)))
        };
        members.iter().filter(counts).count()
    }

    fn member_limits(&self, py: Python<'_>) -> Vec<(usize, u64)> {
        self.lock(py).limits.iter().copied().collect()
    }
}

impl RoomFacts {
    /// Notes the numbers of members at which conditions begin or end to be met.
    pub(crate) fn note_limits(&self, py: Python<'_>, all: &[RoomConditions]) {
        let mut memory = self.lock(py);
        for condition in all.iter().flat_map(RoomConditions::iter) {
            let (count, limit) = match condition {
                RoomCondition::AtMost(count) => (count, Some(count.members)),
                RoomCondition::AtLeast(count) => (count, count.members.checked_sub(1)),
                _ => continue,
            };
            let number = memory.number_of(&count.not_counting);
            memory.limits.extend(limit.map(|limit| (number, limit)));
        }
    }

    /// Begins the evaluation for one question.
    pub(crate) fn evaluate(&self, py: Python<'_>, counts: MemberCounts) -> Evaluation<'_> {
        Evaluation { memory: RefCell::new(self.lock(py)), counts, missing: RefCell::default() }
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Memory> {
        // A poisoned lock is fine: all of it can be loaded again.
        self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Memory ===

impl Memory {
    /// Returns the number of a list of patterns. Policies have few lists.
    fn number_of(&mut self, patterns: &[UserGlob]) -> usize {
        match self.patterns.iter().position(|list| **list == *patterns) {
            Some(number) => number,
            None => {
                self.patterns.push(patterns.into());
                self.patterns.len() - 1
            }
        }
    }
}

// === impl MemberCounts ===

impl MemberCounts {
    /// Reads the counts of Python's dictionary.
    pub(crate) fn read(counts: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let Some(counts) = counts else { return Ok(Self::default()) };
        let counts = counts.iter().map(|(key, count)| Ok((key.extract()?, count.extract()?)));
        counts.collect::<PyResult<_>>().map(Self)
    }
}

// === impl Evaluation ===

impl Evaluation<'_> {
    /// Returns true if any of the rooms that two users share meets some conditions, `None` if a
    /// missing fact decides it. `None` as rooms: they share none.
    pub(crate) fn is_met_by_any(
        &self,
        conditions: &RoomConditions,
        shared: Option<&Bound<'_, PyAny>>,
    ) -> Option<bool> {
        let Some(shared) = shared else { return Some(false) };
        if conditions.is_any_room() {
            return shared.is_truthy().ok();
        }
        // Something that cannot be read is an unknown room.
        let mut met = Some(false);
        for room in shared.try_iter().ok()? {
            let room = room.ok();
            let one = match room.as_ref().and_then(read_str) {
                None => None,
                Some(id) => conditions.are_met_by(&Room {
                    id,
                    evaluation: self,
                    state: std::cell::OnceCell::new(),
                }),
            };
            match one {
                Some(true) => return Some(true),
                Some(false) => {}
                None => met = None,
            }
        }
        met
    }

    /// Returns the facts that were missing, sorted.
    pub(crate) fn into_missing(self) -> Vec<MissingFact> {
        self.missing.into_inner().into_iter().collect()
    }

    fn note_missing(&self, kind: &'static str, room_id: &str, patterns: usize) {
        self.missing.borrow_mut().insert((kind, room_id.to_owned(), patterns));
    }
}

// === impl Room ===

impl Room<'_, '_> {
    fn state(&self) -> Option<&RoomState> {
        let state = self.state.get_or_init(|| {
            let found = self.evaluation.memory.borrow_mut().states.get(self.id).cloned();
            if found.is_none() {
                self.evaluation.note_missing("state", self.id, 0);
            }
            found
        });
        state.as_deref()
    }
}

impl presence_router_client::RoomFacts for Room<'_, '_> {
    fn room_id(&self) -> &str {
        self.id
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        let patterns = self.evaluation.memory.borrow_mut().number_of(not_counting);
        match self.evaluation.counts.0.get(&(self.id.to_owned(), patterns)) {
            Some(count) => *count,
            None => {
                self.evaluation.note_missing("members", self.id, patterns);
                None
            }
        }
    }

    fn is_encrypted(&self) -> Option<bool> {
        self.state()?.encrypted
    }

    fn join_rule(&self) -> Option<&str> {
        self.state()?.join_rule.as_deref()
    }

    fn history_visibility(&self) -> Option<&str> {
        self.state()?.history_visibility.as_deref()
    }

    fn is_in_space(&self, space: &str) -> Option<bool> {
        match self.evaluation.memory.borrow_mut().spaces.get(space) {
            Some(children) => children.as_ref().map(|children| children.contains(self.id)),
            None => {
                self.evaluation.note_missing("space", space, 0);
                None
            }
        }
    }

    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool> {
        Some(self.state()?.presence_sharing == Some(hint))
    }
}
