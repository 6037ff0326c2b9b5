//! States that are read in slices, and everything that answers are made of.

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;

use crate::{
    budget::Budget, large_answers::LargeAnswers, questions::CallContext,
    states_request::StatesRequest, synapse_memory::SynapseMemory,
};

/// Everything that answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) context: Arc<CallContext>,
    pub(crate) memory: Arc<Mutex<SynapseMemory>>,
    pub(crate) large_answers: LargeAnswers,
}

/// States that are read in slices.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) request: StatesRequest,
    pub(crate) sources: Sources,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn new(request: StatesRequest, sources: Sources) -> Self {
        Self { request, sources }
    }

    /// Reads more states. False: the budget is used up, and another call continues.
    pub(crate) fn read(&mut self, py: Python<'_>, budget: &mut Budget) -> PyResult<bool> {
        // The caller has looked already.
        let near_cache = self.sources.context.near_cache.without_counting();
        self.request.read(py, &self.sources.context, &near_cache, budget)
    }
}
