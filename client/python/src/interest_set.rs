//! The senders that a user may see, as Python sets that all users with the same interest
//! share. A set is built in slices. Later it only grows: by senders that become known.

use std::sync::Arc;

use presence_router_client::Set;
use pyo3::{prelude::*, types::PySet};

use crate::{
    audience_keys::is_shown,
    budget::{Budget, work_of_user},
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
    /// The listed senders, and the number of those that are added.
    listed: Arc<[String]>,
    added: usize,
    elements: usize,
}

// === impl InterestSet ===

impl InterestSet {
    /// Begins a set. `listed` are its listed senders.
    pub(crate) fn new(py: Python<'_>, senders: &Set, listed: Arc<[String]>) -> PyResult<Self> {
        let set = PySet::empty(py)?;
        untrack_set_of_strings(&set);
        Ok(Self {
            senders: set.unbind(),
            known: 0,
            open: senders.is_open(),
            listed,
            added: 0,
            elements: 0,
        })
    }

    /// Returns true if no senders are missing.
    pub(crate) fn is_complete(&self, known_users: &KnownUsers) -> bool {
        self.added == self.listed.len() && (!self.open || self.known == known_users.known_len())
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
        while let Some(sender) = self.listed.get(self.added) {
            if !budget.spend() {
                return Ok(false);
            }
            set.add(ids.get(py, sender))?;
            self.added += 1;
            self.elements += 1;
        }
        let work = work_of_user(senders, hides.iter().map(|hide| &hide.users));
        while self.open && self.known < known_users.known_len() {
            let new = known_users.known_after(self.known, budget.left().div_ceil(work));
            if new.is_empty() {
                return Ok(false);
            }
            budget.spend_up_to(new.len().saturating_mul(work));
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
