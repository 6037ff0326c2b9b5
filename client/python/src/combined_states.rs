//! Combines several audiences into one dictionary: recipients of the same audiences share one
//! set of states. The work is proportional to the keys of all audiences, and happens in slices.

use std::collections::HashMap;

use pyo3::{
    prelude::*,
    types::{PyDict, PyList, PySet},
};

use crate::{
    budget::Budget,
    state_set::{Part, StateSet, StateSets, Version},
    synapse_memory::SynapseMemory,
};

/// The dictionary of several parts, as far as it is built.
#[derive(Debug)]
pub(crate) struct CombinedStates {
    /// At first the number of its combination for each key, in the end its set of states.
    keys: Py<PyDict>,
    /// The combinations that occurred, from number 1 on.
    combinations: Vec<Combination>,
    /// The number of each combination, by the one before it and the part that is added.
    numbers: HashMap<(usize, usize), usize>,
    /// The sets of the combinations that some keys have.
    sets: HashMap<usize, Py<PySet>>,
    /// The set that is being built, and the number of its combination.
    current: Option<(usize, StateSet)>,
    /// The number of parts whose keys have their combination.
    combined: usize,
    /// The keys that this step handles, and the next of them.
    step: Option<(Py<PyList>, usize)>,
}

/// The parts that a key is in: those of another combination, and one more.
#[derive(Debug)]
struct Combination {
    /// 0: none.
    before: usize,
    part: usize,
}

// === impl CombinedStates ===

impl CombinedStates {
    pub(crate) fn new(py: Python<'_>) -> Self {
        Self {
            keys: PyDict::new(py).unbind(),
            combinations: Vec::new(),
            numbers: HashMap::new(),
            sets: HashMap::new(),
            current: None,
            combined: 0,
            step: None,
        }
    }

    /// Builds more of the dictionary. `None`: the budget is used up, and another call continues.
    pub(crate) fn build<'py>(
        &mut self,
        py: Python<'py>,
        parts: &[Part],
        sets: &mut StateSets,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        while let Some(part) = parts.get(self.combined) {
            if !self.add_part(py, part, budget)? {
                return Ok(None);
            }
            self.combined += 1;
        }
        if !self.replace_numbers(py, parts, sets, memory, budget)? {
            return Ok(None);
        }
        Ok(Some(self.keys.bind(py).clone()))
    }

    /// Adds one part to the combination of each of its keys.
    fn add_part(&mut self, py: Python<'_>, part: &Part, budget: &mut Budget) -> PyResult<bool> {
        let (list, mut next) = match self.step.take() {
            Some((list, next)) => (list.into_bound(py), next),
            // A copy: the template may grow between two turns.
            None => (part.keys.bind(py).keys(), 0),
        };
        let keys = self.keys.bind(py).clone();
        while next < list.len() {
            if !budget.spend() {
                self.step = Some((list.unbind(), next));
                return Ok(false);
            }
            let key = list.get_item(next)?;
            let before = match keys.get_item(&key)? {
                Some(number) => number.extract()?,
                None => 0,
            };
            keys.set_item(key, self.number_of(before, self.combined))?;
            next += 1;
        }
        Ok(true)
    }

    fn number_of(&mut self, before: usize, part: usize) -> usize {
        let combinations = &mut self.combinations;
        *self.numbers.entry((before, part)).or_insert_with(|| {
            combinations.push(Combination { before, part });
            combinations.len()
        })
    }

    /// Replaces the number of each key by the set of its states.
    fn replace_numbers(
        &mut self,
        py: Python<'_>,
        parts: &[Part],
        sets: &mut StateSets,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<bool> {
        let keys = self.keys.bind(py).clone();
        let (list, mut next) = match self.step.take() {
            Some((list, next)) => (list.into_bound(py), next),
            None => (keys.keys(), 0),
        };
        while next < list.len() {
            let key = list.get_item(next)?;
            let number: usize = keys.as_any().get_item(&key)?.extract()?;
            let set = match self.sets.get(&number) {
                Some(set) => Some(set.clone_ref(py)),
                None => self.build_set(py, number, parts, sets, memory, budget)?,
            };
            let Some(set) = set.filter(|_| budget.spend()) else {
                self.step = Some((list.unbind(), next));
                return Ok(false);
            };
            keys.set_item(key, set)?;
            next += 1;
        }
        Ok(true)
    }

    /// Builds more of the set of a combination.
    fn build_set(
        &mut self,
        py: Python<'_>,
        number: usize,
        parts: &[Part],
        sets: &mut StateSets,
        memory: &SynapseMemory,
        budget: &mut Budget,
    ) -> PyResult<Option<Py<PySet>>> {
        let mut current = match self.current.take() {
            Some((of, current)) if of == number => current,
            _ => sets.begin(py, self.versions_of(number, parts))?,
        };
        if !sets.complete(py, &mut current, memory, budget)? {
            self.current = Some((number, current));
            return Ok(None);
        }
        self.sets.insert(number, current.set.clone_ref(py));
        Ok(Some(current.set))
    }

    fn versions_of(&self, mut number: usize, parts: &[Part]) -> Vec<Version> {
        let mut versions = Vec::new();
        while let Some(Combination { before, part }) =
            number.checked_sub(1).and_then(|index| self.combinations.get(index))
        {
            if let Some(Part { hidden, positions, .. }) = parts.get(*part) {
                versions.extend(positions.iter().map(|position| (*position, *hidden)));
            }
            number = *before;
        }
        versions
    }
}
