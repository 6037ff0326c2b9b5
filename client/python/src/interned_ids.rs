//! One Python string for each user id, with its cached hash, however many dictionaries and
//! sets contain it.

use std::sync::Arc;

use pyo3::{prelude::*, types::PyString};
use quick_cache::unsync::Cache;

/// A bounded table of strings. It forgets the ids that were used least.
#[derive(Debug)]
pub(crate) struct InternedIds(Cache<Arc<str>, Py<PyString>>);

// === impl InternedIds ===

impl InternedIds {
    pub(crate) fn new(ids: usize) -> Self {
        Self(Cache::new(ids))
    }

    /// Returns the string of a user id.
    pub(crate) fn get<'py>(&mut self, py: Python<'py>, id: &str) -> Bound<'py, PyString> {
        if let Some(interned) = self.0.get(id) {
            return interned.bind(py).clone();
        }
        let interned = PyString::new(py, id);
        self.0.insert(id.into(), interned.clone().unbind());
        interned
    }

    /// Returns the string of a user id that is kept elsewhere, too.
    pub(crate) fn get_shared<'py>(
        &mut self,
        py: Python<'py>,
        id: &Arc<str>,
    ) -> Bound<'py, PyString> {
        if let Some(interned) = self.0.get(&**id) {
            return interned.bind(py).clone();
        }
        let interned = PyString::new(py, id);
        self.0.insert(id.clone(), interned.clone().unbind());
        interned
    }
}
