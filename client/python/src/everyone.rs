//! The answer about a user who may see everyone, with its hides. The module keeps the
//! answer until Synapse hands in all states, and then applies it as it was given.

use pyo3::{prelude::*, types::PyList};

use crate::{
    hides::{Fields, Hide, hidden_of_sender},
    text::read_str,
};

/// The answer "everyone", for one user.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Everyone {
    /// The user, who sees their own presence in full.
    user_id: String,
    hides: Vec<Hide>,
}

impl Everyone {
    pub(crate) fn new(user_id: &str, hides: &[presence_router_client::Hide]) -> Self {
        Self { user_id: user_id.to_owned(), hides: hides.iter().map(Hide::from).collect() }
    }
}

#[pymethods]
impl Everyone {
    fn hidden_of(&self, states: &Bound<'_, PyList>) -> Vec<(usize, u8)> {
        if self.hides.is_empty() {
            return Vec::new();
        }
        let hidden = states.iter().map(|state| self.hidden_of_state(&state));
        let hidden = hidden.enumerate().filter(|(_, fields)| *fields != Fields::NONE);
        hidden.map(|(position, Fields(bits))| (position, bits)).collect()
    }
}

impl Everyone {
    fn hidden_of_state(&self, state: &Bound<'_, PyAny>) -> Fields {
        let py = state.py();
        let (user_id, presence) = (pyo3::intern!(py, "user_id"), pyo3::intern!(py, "state"));
        let [user_id, presence] = [user_id, presence].map(|name| state.getattr(name).ok());
        let user_id = user_id.as_ref().and_then(read_str);
        if user_id == Some(&self.user_id) {
            return Fields::NONE;
        }
        hidden_of_sender(&self.hides, user_id, presence.as_ref().and_then(read_str))
    }
}
