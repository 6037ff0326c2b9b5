//! The senders that a user may see, as Python sets that all users with the same interest
//! share. A set is built in slices. Later it only grows: by senders that become known.

use std::vec::IntoIter;

use presence_router_client::Set;
use pyo3::{prelude::*, types::PySet};

use crate::{
    audience_keys::{is_shown, listed_senders},
    budget::Budget,
    gc::untrack_set_of_strings,
    hides::Hide,
    interned_ids::InternedIds,
    known_users::KnownUsers,
};

/// The senders of one interest.
#[derive(Debug)]
pub(crate) struct InterestSet {
    pub(crate) senders: Py<PySet>,
    /// For an open interest: this number of known senders is considered.
    known: usize,
    open: bool,
    /// Listed senders that are still to be added.
    listed: IntoIter<String>,
    elements: usize,
}

// === impl InterestSet ===

impl InterestSet {
    /// Begins a set. `listed` are its listed senders if they are computed already.
    pub(crate) fn new(
        py: Python<'_>,
        senders: &Set,
        hides: &[Hide],
        listed: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let listed = listed.unwrap_or_else(|| listed_senders(senders, hides));
        let set = PySet::empty(py)?;
        untrack_set_of_strings(&set);
        Ok(Self {
            senders: set.unbind(),
            known: 0,
            open: senders.is_open(),
            listed: listed.into_iter(),
            elements: 0,
        })
    }

    /// Returns true if no senders are missing.
    pub(crate) fn is_complete(&self, known_users: &KnownUsers) -> bool {
        self.listed.len() == 0 && (!self.open || self.known == known_users.known_len())
    }

    /// Adds senders that are still missing. False: the budget is used up, and another call
    /// continues.
    pub(crate) fn complete(
        &mut self,
        py: Python<'_>,
        senders: &Set,
        hides: &[Hide],
        known_users: &KnownUsers,
        ids: &mut InternedIds,
        budget: &mut Budget,
    ) -> PyResult<bool> {
        let set = self.senders.bind(py);
        while self.listed.len() > 0 {
            if !budget.spend() {
                return Ok(false);
            }
            if let Some(sender) = self.listed.next() {
                set.add(ids.get(py, &sender))?;
                self.elements += 1;
            }
        }
        while self.open && self.known < known_users.known_len() {
            let new = known_users.known_after(self.known, budget.left());
            if new.is_empty() || !budget.spend_many(new.len()) {
                return Ok(false);
            }
            for sender in &new {
                if senders.contains(sender) && is_shown(hides, sender) {
                    set.add(ids.get_shared(py, sender))?;
                    self.elements += 1;
                }
            }
            self.known += new.len();
        }
        Ok(true)
    }

    /// Returns the number of senders.
    pub(crate) fn elements(&self) -> usize {
        self.elements
    }
}
