//! The states of one question, and the audiences that memory has for them.

use std::{
    collections::{HashMap, HashSet, hash_map},
    sync::Arc,
};

use presence_router_client::{NearCache, SharedAnswer};
use pyo3::{prelude::*, types::PyList};

use crate::{
    audience_keys::{Presence, StateKind},
    audience_template::TemplateKey,
    budget::Budget,
    questions::{CallContext, FoundAudiences},
    routes::{RoutedStates, Routes},
    synapse_memory::TemplateRequest,
    text::read_str,
};

/// States that Synapse hands in, each with its audience or waiting for it.
#[derive(Debug)]
pub(crate) struct StatesRequest {
    states: Py<PyList>,
    /// The number of states that are not read yet. The last state is read first.
    unread: usize,
    /// The senders of states that are read, if there are several states.
    senders: HashSet<String>,
    audiences: Vec<RoutedStates>,
    /// The index of each template in `audiences`.
    indexes: HashMap<TemplateKey, usize>,
    /// States whose audience is not in memory.
    waiting: Vec<WaitingState>,
}

#[derive(Debug)]
struct WaitingState {
    position: usize,
    sender: Arc<str>,
    /// `None`: not valid Unicode.
    presence: Option<String>,
    last_of_sender: bool,
}

// === impl StatesRequest ===

impl StatesRequest {
    pub(crate) fn new(states: &Bound<'_, PyList>) -> Self {
        Self {
            states: states.clone().unbind(),
            unread: states.len(),
            senders: HashSet::new(),
            audiences: Vec::new(),
            indexes: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Reads states, and looks up their audiences in a handle of the near-cache. False: the
    /// budget is used up, and another call continues.
    pub(crate) fn read(
        &mut self,
        py: Python<'_>,
        context: &CallContext,
        near_cache: &NearCache,
        budget: &mut Budget,
    ) -> PyResult<bool> {
        let states = self.states.bind(py).clone();
        while let Some(position) = self.unread.checked_sub(1) {
            if !budget.spend() {
                return Ok(false);
            }
            let state = states.get_item(position)?;
            self.read_state(&state, position, states.len() == 1, context, near_cache);
            self.unread = position;
        }
        Ok(true)
    }

    /// Reads one state. If its user id is not valid Unicode, it has no audience: no policy can
    /// name its sender.
    fn read_state(
        &mut self,
        state: &Bound<'_, PyAny>,
        position: usize,
        is_only: bool,
        context: &CallContext,
        near_cache: &NearCache,
    ) {
        let py = state.py();
        let Ok(id) = state.getattr(pyo3::intern!(py, "user_id")) else { return };
        let Some(sender) = read_str(&id) else { return };
        // Before the recipients are known: one who hears of this state must find its sender
        // among the known ones.
        context.known_users.remember(std::iter::once(sender));
        let last_of_sender = is_only || self.senders.insert(sender.to_owned());
        match near_cache.cached_audience(sender) {
            Some(found) => {
                let answer = found.into_shared();
                let presence = match answer.hides() {
                    [] => Presence::Other,
                    hides => Presence::new(read_presence(state).as_deref(), hides),
                };
                let local_sender = context.home.is_local(sender);
                let kind = StateKind { local_sender, last_of_sender, presence };
                self.add_state(position, kind, answer);
            }
            None => self.waiting.push(WaitingState {
                position,
                sender: sender.into(),
                presence: read_presence(state),
                last_of_sender,
            }),
        }
    }

    /// Returns the senders whose audience is not in memory, without repeats.
    pub(crate) fn missing_senders(&self) -> Vec<Arc<str>> {
        let mut senders: Vec<_> =
            self.waiting.iter().map(|waiting| waiting.sender.clone()).collect();
        senders.sort_unstable();
        senders.dedup();
        senders
    }

    /// Returns true if memory has the audiences of all states.
    pub(crate) fn is_answered(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes over audiences that the daemon sent, and returns the states with their audiences.
    pub(crate) fn into_routes(mut self, found: &FoundAudiences, context: &CallContext) -> Routes {
        let mut unanswered = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let WaitingState { position, sender, presence, last_of_sender } = waiting;
            match found.answers.get(&sender) {
                Some(Some(answer)) => {
                    let presence = Presence::new(presence.as_deref(), answer.hides());
                    let local_sender = context.home.is_local(&sender);
                    let kind = StateKind { local_sender, last_of_sender, presence };
                    self.add_state(position, kind, answer.clone());
                }
                Some(None) => {}
                None => unanswered.push(String::from(&*sender)),
            }
        }
        Routes::new(self.states, self.audiences, unanswered)
    }

    fn add_state(&mut self, position: usize, kind: StateKind, answer: SharedAnswer) {
        if answer.as_set().is_none() {
            return;
        }
        let key = TemplateKey { number: answer.number(), kind };
        match self.indexes.entry(key) {
            hash_map::Entry::Occupied(index) => {
                if let Some(audience) = self.audiences.get_mut(*index.get()) {
                    audience.positions.push(position);
                }
            }
            hash_map::Entry::Vacant(index) => {
                let template = TemplateRequest::new(index.key().clone(), answer);
                index.insert(self.audiences.len());
                self.audiences.push(RoutedStates { template, positions: vec![position] });
            }
        }
    }
}

fn read_presence(state: &Bound<'_, PyAny>) -> Option<String> {
    let presence = state.getattr(pyo3::intern!(state.py(), "state")).ok()?;
    read_str(&presence).map(str::to_owned)
}
