//! The answer to `get_users_for_states`, built in the reactor's thread from the audiences of
//! its states: in one turn if it is small, otherwise in slices.

use std::cmp::Reverse;

use pyo3::{
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};

use crate::{
    budget::Budget,
    combined_states::CombinedStates,
    state_set::{Part, StateSets},
    synapse_memory::{SynapseMemory, TemplateRequest},
};

/// States with their audiences, and the answer as far as it is built.
#[derive(Debug)]
pub(crate) struct Routes {
    audiences: Vec<RoutedStates>,
    sets: StateSets,
    /// Users of states that have no answer.
    unanswered: Vec<String>,
    /// Positions of states whose audience was given up.
    given_up: Vec<usize>,
    /// The number of audiences in `parts`.
    ready: usize,
    parts: Vec<Part>,
    unsent: usize,
    combined: Option<CombinedStates>,
}

/// States that have the same audience and are of the same kind.
#[derive(Debug)]
pub(crate) struct RoutedStates {
    pub(crate) template: TemplateRequest,
    /// Positions of the states.
    pub(crate) positions: Vec<usize>,
}

// === impl Routes ===

impl Routes {
    pub(crate) fn new(
        states: Py<PyList>,
        audiences: Vec<RoutedStates>,
        unanswered: Vec<String>,
    ) -> Self {
        Self {
            audiences,
            sets: StateSets::new(states),
            unanswered,
            given_up: Vec::new(),
            ready: 0,
            parts: Vec::new(),
            unsent: 0,
            combined: None,
        }
    }

    /// Returns the indexes of the audiences whose templates should be begun outside of the
    /// reactor's thread, because memory does not have them and they are large.
    pub(crate) fn large_templates(&self, memory: &SynapseMemory) -> Vec<usize> {
        let audiences = self.audiences.iter().enumerate();
        let large = audiences.filter(|(_, one)| memory.needs_listed_keys(&one.template));
        large.map(|(index, _)| index).collect()
    }

    /// Returns the template of an audience.
    pub(crate) fn template_mut(&mut self, index: usize) -> Option<&mut TemplateRequest> {
        self.audiences.get_mut(index).map(|audience| &mut audience.template)
    }

    /// Gives up an audience: its states have no answer.
    pub(crate) fn give_up(&mut self, index: usize) {
        if let Some(audience) = self.audiences.get_mut(index) {
            self.given_up.append(&mut audience.positions);
        }
    }

    /// Returns true if the answer costs about so many elements at most.
    pub(crate) fn fits(&self, memory: &SynapseMemory, elements: usize) -> bool {
        let mut left = elements;
        self.audiences.iter().all(|one| {
            let cost = memory.work_of_template(&one.template).saturating_add(one.positions.len());
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        })
    }

    /// Keeps what is built for the next question, if nobody continues this one.
    pub(crate) fn keep_begun(&mut self, memory: &mut SynapseMemory) {
        for audience in &mut self.audiences {
            memory.keep_template(&mut audience.template);
        }
    }

    /// Builds more of the answer. `None`: the budget is used up, and another call continues.
    pub(crate) fn build<'py>(
        &mut self,
        py: Python<'py>,
        memory: &mut SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        while let Some(RoutedStates { template, positions }) = self.audiences.get_mut(self.ready) {
            if positions.is_empty() {
                self.ready += 1;
                continue;
            }
            let Some(found) = memory.template(py, template, budget)? else { return Ok(None) };
            if found.unsent {
                self.unsent += positions.len();
            }
            let part = |(hidden, keys)| Part { keys, hidden, positions: positions.clone() };
            self.parts.extend(found.parts.into_iter().map(part));
            self.ready += 1;
        }
        // The parts of one audience have no key in common.
        let at_once = match &self.combined {
            None if self.audiences.len() <= 1 => self.build_at_once(py, memory, budget)?,
            _ => None,
        };
        let keys = match at_once {
            None => self.combine(py, memory, budget)?,
            keys => keys,
        };
        let Some(keys) = keys else { return Ok(None) };
        let mut unanswered = std::mem::take(&mut self.unanswered);
        for position in &self.given_up {
            unanswered.extend(self.sets.sender_of(py, *position));
        }
        let answer = (keys, self.unsent, unanswered).into_pyobject(py)?;
        Ok(Some(Bound::<PyTuple>::into_any(answer)))
    }

    /// Builds the answer of one audience, if it is small enough. `None`: it is too large.
    fn build_at_once<'py>(
        &self,
        py: Python<'py>,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let sizes = self.parts.iter().map(|part| part.keys.bind(py).len() + part.positions.len());
        if !budget.spend_many(sizes.sum()) {
            return Ok(None);
        }
        let mut largest_first: Vec<&Part> = self.parts.iter().collect();
        largest_first.sort_by_key(|part| Reverse(part.keys.bind(py).len()));
        let mut answer: Option<Bound<'py, PyDict>> = None;
        for part in largest_first {
            let set = self.sets.set_at_once(py, part, memory)?;
            let keys = memory.fromkeys.bind(py).call1((&part.keys, set))?.cast_into::<PyDict>()?;
            match &answer {
                None => answer = Some(keys),
                Some(answer) => answer.update(keys.as_mapping())?,
            }
        }
        Ok(Some(answer.unwrap_or_else(|| PyDict::new(py))))
    }

    fn combine<'py>(
        &mut self,
        py: Python<'py>,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let combined = match &mut self.combined {
            Some(combined) => combined,
            None => self.combined.insert(CombinedStates::new(py)),
        };
        combined.build(py, &self.parts, &mut self.sets, memory, budget)
    }
}
