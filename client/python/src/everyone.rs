//! The answer about a user who may see everyone, with what of it is hidden. It is
//! kept until Synapse hands in every state there is, and decides then as was
//! decided when it was given.

use pyo3::{
    prelude::*,
    types::{PyList, PyString},
};

use crate::hides::{Fields, Hide, State, hidden_of_sender};

/// Everyone, as one user sees them.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Everyone {
    /// Who sees their own presence in full.
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
        let hidden = states.iter().map(|state| {
            let state = read_state(&state);
            let own = state.user_id.as_ref() == Some(&self.user_id);
            if own { Fields::NONE } else { hidden_of_sender(&self.hides, &state) }
        });
        let hidden = hidden.enumerate().filter(|(_, fields)| *fields != Fields::NONE);
        hidden.map(|(position, Fields(bits))| (position, bits)).collect()
    }
}

/// Reads one of Synapse's `UserPresenceState`.
pub(crate) fn read_state(state: &Bound<'_, PyAny>) -> State {
    let text = |name: &Bound<'_, PyString>| state.getattr(name).ok()?.extract().ok();
    State {
        user_id: text(pyo3::intern!(state.py(), "user_id")),
        presence: text(pyo3::intern!(state.py(), "state")),
    }
}
