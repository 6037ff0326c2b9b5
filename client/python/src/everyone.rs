//! The answer about a user who may see everyone, with its hides. The module keeps the
//! answer until Synapse hands in all states, and then applies it as it was given.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyList, PyString},
};

use crate::hides::{Fields, Hide, State, hidden_of_sender};

/// The answer "everyone", for one user.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Everyone {
    /// The user, who sees their own presence in full.
    user_id: String,
    hides: Vec<Hide>,
}

impl Everyone {
    pub(crate) fn new(user_id: String, hides: Vec<Hide>) -> Self {
        Self { user_id, hides }
    }
}

#[pymethods]
impl Everyone {
    fn hidden_of(&self, states: &Bound<'_, PyList>) -> Vec<(usize, u8)> {
        if self.hides.is_empty() {
            return Vec::new();
        }
        let hidden = read_states(states).into_iter().map(|state| {
            let own = state.user_id.as_ref() == Some(&self.user_id);
            if own { Fields::NONE } else { hidden_of_sender(&self.hides, &state) }
        });
        let hidden = hidden.enumerate().filter(|(_, fields)| *fields != Fields::NONE);
        hidden.map(|(position, Fields(bits))| (position, bits)).collect()
    }
}

/// Reads Synapse's `UserPresenceState`s.
pub(crate) fn read_states(states: &Bound<'_, PyList>) -> Vec<State> {
    let py = states.py();
    let (user_id, presence) = (pyo3::intern!(py, "user_id"), pyo3::intern!(py, "state"));
    // Most states have the same presence as the previous one.
    let mut last: Option<Arc<str>> = None;
    let read = |state: Bound<'_, PyAny>| {
        let [id, found] = [user_id, presence].map(|name| state.getattr(name).ok());
        let [id, found] = [&id, &found].map(|value| read_str(value.as_ref()?));
        if found != last.as_deref() {
            last = found.map(Arc::from);
        }
        State { user_id: id.map(str::to_owned), presence: last.clone() }
    };
    states.iter().map(read).collect()
}

fn read_str<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    value.cast::<PyString>().ok()?.to_str().ok()
}
