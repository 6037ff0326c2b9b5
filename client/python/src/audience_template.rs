//! The keys of an audience as Python dictionaries, from which an answer is made at once:
//! `dict.fromkeys(template, states)`.
//!
//! A template is built in slices. Later it only grows: by local users who ask for their
//! interest and are in the open part of the audience, since only they need waking. Whatever
//! else changes gives it another key, or makes it outdated.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};

use crate::{
    audience_keys::{Audience, ListedKeys, StateKind},
    budget::{Budget, work_of_user},
    hides::Fields,
    interned_ids::InternedIds,
    known_users::{AskedPosition, AskedState, KnownUsers},
};

/// The key of a template: the answer, and the kind of states.
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
    /// The listed keys. `None`: all of them are added.
    beginning: Option<Arc<TemplateBeginning>>,
    /// The group of listed keys, and the number in it, of the next one to add.
    next_listed: (usize, usize),
    elements: usize,
}

/// The part of a template that needs no Python: it can be computed in any thread.
#[derive(Debug)]
pub(crate) struct TemplateBeginning {
    keys: Vec<(Fields, Vec<String>)>,
    unsent: bool,
    open: bool,
    has_hides: bool,
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
        let ListedKeys { keys, unsent } =
            audience.listed_keys(|user| known_users.sees_everyone(user));
        Self {
            keys: keys.into_iter().collect(),
            unsent,
            open: audience.recipients.is_open(),
            has_hides: !audience.hides.is_empty(),
            named_servers,
            asked,
        }
    }

    /// Returns true unless users who asked were removed since.
    pub(crate) fn is_of_this_hour(&self, known_users: &KnownUsers) -> bool {
        self.asked.first.is_of_same_period(known_users.asked_state().first)
    }

    /// Returns true if something that the listed keys depend on has changed.
    pub(crate) fn is_outdated(&self, named_servers: u64, known_users: &KnownUsers) -> bool {
        let now = known_users.asked_state();
        (self.has_hides && self.asked.changes_of_everyone != now.changes_of_everyone)
            || (self.open && self.named_servers != named_servers)
            || (self.open && !self.asked.first.is_of_same_period(now.first))
    }
}

// === impl AudienceTemplate ===

impl AudienceTemplate {
    /// Begins a template.
    pub(crate) fn new(beginning: Arc<TemplateBeginning>) -> Self {
        let TemplateBeginning { unsent, open, has_hides, named_servers, asked, .. } = *beginning;
        Self {
            parts: Vec::new(),
            unsent,
            asked: open.then_some(asked.first),
            changes_of_everyone: has_hides.then_some(asked.changes_of_everyone),
            named_servers: open.then_some(named_servers),
            beginning: Some(beginning),
            next_listed: (0, 0),
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
        self.beginning.is_none()
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
        while let Some(beginning) = self.beginning.clone() {
            let (group, next) = self.next_listed;
            let Some((hidden, keys)) = beginning.keys.get(group) else {
                self.beginning = None;
                break;
            };
            let Some(key) = keys.get(next) else {
                self.next_listed = (group + 1, 0);
                continue;
            };
            if !budget.spend() {
                return Ok(false);
            }
            let key = ids.get(py, key);
            self.insert(py, *hidden, &key)?;
            self.next_listed = (group, next + 1);
        }
        let work = work_of_user(audience.recipients, audience.hides.iter().map(|hide| &hide.users));
        while let Some(asked) = self.asked {
            let Some((users, next)) = known_users.asked_after(asked, budget.left().div_ceil(work))
            else {
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
            budget.spend_up_to(users.len().saturating_mul(work));
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
