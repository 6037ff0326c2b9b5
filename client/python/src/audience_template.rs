//! The keys of an audience as Python dictionaries, from which an answer is made at once:
//! `dict.fromkeys(template, states)`.
//!
//! A template is built in slices. Later it only grows: by local users who ask for their
//! interest and are in the open part of the audience, since only they need waking. Whatever
//! else changes gives it another key, or makes it outdated.

use std::vec::IntoIter;

use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};

use crate::{
    audience_keys::{Audience, KeysByHidden, ListedKeys, StateKind},
    budget::Budget,
    hides::Fields,
    interned_ids::InternedIds,
    known_users::{AskedPosition, AskedState, KnownUsers},
};

/// What identifies a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemplateKey {
    /// Number of the answer. Another answer has another number.
    pub(crate) number: u64,
    pub(crate) kind: StateKind,
}

/// The keys of one audience for one kind of states.
#[derive(Debug)]
pub(crate) struct AudienceTemplate {
    /// The keys that get the same fields of a state.
    pub(crate) parts: Vec<(Fields, Py<PyDict>)>,
    /// True if some servers of the audience have no name that Synapse could send to.
    pub(crate) unsent: bool,
    /// `Some` for an open audience: the users who asked lately up to this position are
    /// considered.
    asked: Option<AskedPosition>,
    /// Of the users who see everyone, if there are hides.
    changes_of_everyone: Option<u64>,
    /// Number of the servers that the policy names, if the audience is open.
    named_servers: Option<u64>,
    /// Listed keys that are still to be added.
    listed: IntoIter<(Fields, IntoIter<String>)>,
    current: Option<(Fields, IntoIter<String>)>,
    elements: usize,
}

/// The part of a template that needs no Python: it can be computed in any thread.
#[derive(Debug)]
pub(crate) struct TemplateBeginning {
    listed: ListedKeys,
    named_servers: u64,
    asked: AskedState,
}

// === impl TemplateBeginning ===

impl TemplateBeginning {
    /// Computes the listed keys. `named_servers` is the number of the list in `audience`.
    pub(crate) fn new(
        audience: &Audience<'_>,
        named_servers: u64,
        known_users: &KnownUsers,
    ) -> Self {
        // Before the look at the users: a change in between makes the template outdated.
        let asked = known_users.asked_state();
        let listed = audience.listed_keys(|user| known_users.sees_everyone(user));
        Self { listed, named_servers, asked }
    }
}

// === impl AudienceTemplate ===

impl AudienceTemplate {
    /// Begins a template.
    pub(crate) fn new(audience: &Audience<'_>, beginning: TemplateBeginning) -> Self {
        let TemplateBeginning { listed, named_servers, asked } = beginning;
        let open = audience.recipients.is_open();
        Self {
            parts: Vec::new(),
            unsent: listed.unsent,
            asked: open.then_some(asked.first),
            changes_of_everyone: (!audience.hides.is_empty()).then_some(asked.changes_of_everyone),
            named_servers: open.then_some(named_servers),
            listed: split_keys(listed.keys),
            current: None,
            elements: 0,
        }
    }

    /// Returns true if something that the template depends on has changed in another way than
    /// it can follow.
    pub(crate) fn is_outdated(&self, named_servers: u64, known_users: &KnownUsers) -> bool {
        if self.asked.is_none() && self.changes_of_everyone.is_none() {
            return false;
        }
        let state = known_users.asked_state();
        self.changes_of_everyone.is_some_and(|seen| seen != state.changes_of_everyone)
            || self.named_servers.is_some_and(|seen| seen != named_servers)
            || self.asked.is_some_and(|asked| !asked.is_of_same_period(state.end))
    }

    /// Returns true if no keys are missing. False also if the template is outdated.
    pub(crate) fn is_complete(&self, named_servers: u64, known_users: &KnownUsers) -> bool {
        self.current.is_none()
            && self.listed.len() == 0
            && !self.is_outdated(named_servers, known_users)
            && self.asked.is_none_or(|asked| asked == known_users.asked_state().end)
    }

    /// Adds keys that are still missing. False: the budget is used up, and another call
    /// continues.
    pub(crate) fn complete(
        &mut self,
        py: Python<'_>,
        audience: &Audience<'_>,
        known_users: &KnownUsers,
        ids: &mut InternedIds,
        budget: &mut Budget,
    ) -> PyResult<bool> {
        while let Some((hidden, mut keys)) = self.current.take().or_else(|| self.listed.next()) {
            while keys.len() > 0 {
                if !budget.spend() {
                    self.current = Some((hidden, keys));
                    return Ok(false);
                }
                if let Some(key) = keys.next() {
                    let key = ids.get(py, &key);
                    self.insert(py, hidden, &key)?;
                }
            }
        }
        while let Some(asked) = self.asked {
            let Some((users, next)) = known_users.asked_after(asked, budget.left()) else {
                // Another hour began. Until the next look these keys are good enough: they may
                // wake somebody who no longer asks.
                break;
            };
            if users.is_empty() {
                if asked != known_users.asked_state().end {
                    return Ok(false);
                }
                break;
            }
            budget.spend_many(users.len());
            for user in &users {
                if audience.recipients.contains(user)
                    && let Some(hidden) =
                        audience.hidden_from_local(user, |user| known_users.sees_everyone(user))
                {
                    let key = ids.get_shared(py, user);
                    self.insert(py, hidden, &key)?;
                }
            }
            self.asked = Some(next);
        }
        Ok(true)
    }

    /// Returns the number of keys.
    pub(crate) fn elements(&self) -> usize {
        self.elements
    }

    fn insert(
        &mut self,
        py: Python<'_>,
        hidden: Fields,
        key: &Bound<'_, PyString>,
    ) -> PyResult<()> {
        self.elements += 1;
        let found = self.parts.iter().find(|(fields, _)| *fields == hidden);
        let part = match found {
            Some((_, part)) => part.bind(py).clone(),
            None => {
                let part = PyDict::new(py);
                self.parts.push((hidden, part.clone().unbind()));
                part
            }
        };
        part.set_item(key, py.None())
    }
}

fn split_keys(keys: KeysByHidden) -> IntoIter<(Fields, IntoIter<String>)> {
    let keys = keys.into_iter().map(|(hidden, keys)| (hidden, keys.into_iter()));
    keys.collect::<Vec<_>>().into_iter()
}
