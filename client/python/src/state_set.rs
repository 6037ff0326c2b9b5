//! Python sets of states, some of them without their hidden fields.

use std::{collections::HashMap, vec::IntoIter};

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyList, PySet},
};

use crate::{budget::Budget, hides::Fields, synapse_memory::SynapseMemory, text::read_str};

/// Keys that get the same states.
#[derive(Debug)]
pub(crate) struct Part {
    /// A template: its values mean nothing.
    pub(crate) keys: Py<PyDict>,
    /// The fields that are hidden from these keys.
    pub(crate) hidden: Fields,
    /// Positions of the states.
    pub(crate) positions: Vec<usize>,
}

/// A state of a batch, and its fields that are hidden.
pub(crate) type Version = (usize, Fields);

/// The states of a batch, and their versions without hidden fields: one object for each, in
/// however many sets it is.
#[derive(Debug)]
pub(crate) struct StateSets {
    states: Py<PyList>,
    redacted: HashMap<Version, Py<PyAny>>,
}

/// A set, as far as it is built.
#[derive(Debug)]
pub(crate) struct StateSet {
    pub(crate) set: Py<PySet>,
    rest: IntoIter<Version>,
}

// === impl StateSets ===

impl StateSets {
    pub(crate) fn new(states: Py<PyList>) -> Self {
        Self { states, redacted: HashMap::new() }
    }

    /// Returns the user of a state.
    pub(crate) fn sender_of(&self, py: Python<'_>, position: usize) -> Option<String> {
        let state = self.states.bind(py).get_item(position).ok()?;
        let user_id = state.getattr(pyo3::intern!(py, "user_id")).ok()?;
        read_str(&user_id).map(str::to_owned)
    }

    /// Creates the set of one part.
    pub(crate) fn set_at_once<'py>(
        &self,
        py: Python<'py>,
        part: &Part,
        memory: &SynapseMemory,
    ) -> PyResult<Bound<'py, PySet>> {
        let set = PySet::empty(py)?;
        for position in &part.positions {
            let state = self.states.bind(py).get_item(*position)?;
            if part.hidden == Fields::NONE {
                add_state(&set, &state)?;
            } else {
                add_state(&set, &redact(memory, &state, part.hidden)?)?;
            }
        }
        Ok(set)
    }

    /// Begins a set.
    pub(crate) fn begin(&self, py: Python<'_>, versions: Vec<Version>) -> PyResult<StateSet> {
        Ok(StateSet { set: PySet::empty(py)?.unbind(), rest: versions.into_iter() })
    }

    /// Adds states that are still missing. False: the budget is used up, and another call
    /// continues.
    pub(crate) fn complete(
        &mut self,
        py: Python<'_>,
        set: &mut StateSet,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<bool> {
        let StateSet { set, rest } = set;
        let set = set.bind(py);
        while rest.len() > 0 {
            if !budget.spend() {
                return Ok(false);
            }
            let Some((position, hidden)) = rest.next() else { break };
            let state = self.states.bind(py).get_item(position)?;
            if hidden == Fields::NONE {
                add_state(set, &state)?;
                continue;
            }
            let version = match self.redacted.get(&(position, hidden)) {
                Some(version) => version.bind(py).clone(),
                None => {
                    let version = redact(memory, &state, hidden)?;
                    self.redacted.insert((position, hidden), version.clone().unbind());
                    version
                }
            };
            add_state(set, &version)?;
        }
        Ok(true)
    }
}

fn redact<'py>(
    memory: &SynapseMemory,
    state: &Bound<'py, PyAny>,
    hidden: Fields,
) -> PyResult<Bound<'py, PyAny>> {
    memory.redact.bind(state.py()).call1((state, hidden.0))
}

/// Adds a state. Synapse accepts anything that other servers send: a list may take the place
/// of a text, and a set cannot contain such a state. Only that state is dropped.
fn add_state(set: &Bound<'_, PySet>, state: &Bound<'_, PyAny>) -> PyResult<()> {
    match set.add(state) {
        Err(why) if why.is_instance_of::<PyTypeError>(set.py()) => Ok(()),
        added => added,
    }
}
