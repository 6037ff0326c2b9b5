//! Python values of answers, built in the reactor's thread a slice at a time: an answer may
//! have 100,000 ids, and the reactor has other work to do.

use std::{
    sync::{Arc, Mutex},
    vec::IntoIter,
};

use pyo3::{IntoPyObjectExt as _, prelude::*, types::PyList};

use crate::{
    budget::Budget,
    change::Change,
    everyone::Everyone,
    follow::Gain,
    reading::Reading,
    room::Verdict,
    routes::Routes,
    synapse_memory::{InterestRequest, SynapseMemory, lock},
    visibility::Visibility,
};

/// A value for Python, as far as it is built. `_native.pyi` describes the values.
#[derive(Debug)]
pub(crate) enum AnswerValue {
    /// `None`.
    Nothing,
    /// Not a value yet: see [`AnswerValue::take_reading`].
    Reading(Option<Box<Reading>>),
    Routes(Box<Routes>, Arc<Mutex<SynapseMemory>>),
    Interest(Box<InterestRequest>, Arc<Mutex<SynapseMemory>>),
    Everyone(Option<Everyone>),
    Gains(Sliced<SlicedGain>),
    Verdict(Option<Verdict>),
    /// `None` for a user without an answer.
    Visibilities(Vec<Option<Visibility>>),
    Senders(Sliced<Item<String>>),
    Change(Option<Change>),
}

/// A part of a value.
pub(crate) trait BuildInSlices {
    /// Builds more of the part. `None`: the budget is used up, and another call continues.
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>>;
}

/// A list of parts.
#[derive(Debug)]
pub(crate) struct Sliced<T> {
    list: Option<Py<PyList>>,
    /// The part that the budget has interrupted.
    current: Option<T>,
    rest: IntoIter<T>,
}

/// A part that is converted at once: an id, or a position.
#[derive(Debug)]
pub(crate) struct Item<T>(Option<T>);

/// Senders that recipients may now see.
#[derive(Debug)]
pub(crate) struct SlicedGain {
    senders: Sliced<Item<String>>,
    recipients: Option<Sliced<Item<String>>>,
    remote: bool,
}

// === impl AnswerValue ===

impl From<Vec<Gain>> for AnswerValue {
    fn from(gains: Vec<Gain>) -> Self {
        let gain = |Gain { senders, recipients, remote }| SlicedGain {
            senders: Sliced::of_items(senders),
            recipients: recipients.map(Sliced::of_items),
            remote,
        };
        Self::Gains(Sliced::new(gains.into_iter().map(gain).collect()))
    }
}

impl AnswerValue {
    /// Returns true if it costs about so many elements at most to build the value.
    pub(crate) fn fits(&self, py: Python<'_>, elements: usize) -> bool {
        match self {
            Self::Nothing | Self::Everyone(_) | Self::Verdict(_) => true,
            Self::Visibilities(answers) => answers.len() <= elements,
            Self::Change(change) => change.as_ref().is_none_or(|change| change.len() <= elements),
            Self::Senders(senders) => senders.rest.len() <= elements,
            Self::Routes(routes, memory) => routes.fits(&lock(memory, py), elements),
            Self::Interest(request, memory) => {
                lock(memory, py).work_of_interest(request) <= elements
            }
            // More states than one turn reads.
            Self::Reading(_) => false,
            Self::Gains(gains) => {
                let lengths = gains.rest.as_slice().iter().map(SlicedGain::len);
                lengths.fold(0, usize::saturating_add) <= elements
            }
        }
    }

    /// Reads more states if this is not a value yet. `Some`: they are all read, and the call
    /// continues with them.
    pub(crate) fn take_reading(
        &mut self,
        py: Python<'_>,
        budget: &mut Budget,
    ) -> PyResult<Option<Reading>> {
        let Self::Reading(reading) = self else { return Ok(None) };
        let complete = match reading {
            Some(reading) => reading.read(py, budget)?,
            None => false,
        };
        Ok(reading.take_if(|_| complete).map(|reading| *reading))
    }
}

impl BuildInSlices for AnswerValue {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Nothing => Ok(Some(py.None().into_bound(py))),
            // Its caller takes it when it is complete.
            Self::Reading(_) => Ok(None),
            Self::Routes(routes, memory) => routes.build(py, &mut lock(memory, py), budget),
            Self::Interest(request, memory) => {
                let senders = lock(memory, py).interest(py, request, budget)?;
                Ok(senders.map(Bound::into_any))
            }
            Self::Everyone(everyone) => {
                everyone.take().map(|one| Ok(Bound::new(py, one)?.into_any())).transpose()
            }
            Self::Gains(gains) => gains.build(py, budget),
            // At most as many as one turn handles.
            Self::Visibilities(answers) => std::mem::take(answers).into_bound_py_any(py).map(Some),
            Self::Senders(senders) => senders.build(py, budget),
            // Python takes its lists later.
            Self::Change(change) => {
                change.take().map(|one| Ok(Bound::new(py, one)?.into_any())).transpose()
            }
            // A room has at most 10,000 events.
            Self::Verdict(verdict) => {
                verdict.take().map(|one| one.into_pyobject(py).map(Bound::into_any)).transpose()
            }
        }
    }
}

// === impl Sliced ===

impl<T> Sliced<T> {
    fn new(parts: Vec<T>) -> Self {
        Self { list: None, current: None, rest: parts.into_iter() }
    }
}

impl<T> Sliced<Item<T>> {
    pub(crate) fn of_items(items: Vec<T>) -> Self {
        Self::new(items.into_iter().map(|item| Item(Some(item))).collect())
    }
}

impl<T: BuildInSlices> BuildInSlices for Sliced<T> {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let list = self.list.get_or_insert_with(|| PyList::empty(py).unbind()).bind(py);
        loop {
            let Some(mut part) = self.current.take().or_else(|| self.rest.next()) else {
                return Ok(Some(list.clone().into_any()));
            };
            match part.build(py, budget)? {
                Some(value) => list.append(value)?,
                None => {
                    self.current = Some(part);
                    return Ok(None);
                }
            }
        }
    }
}

// === impl Item ===

impl<T: for<'py> IntoPyObject<'py>> BuildInSlices for Item<T> {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !budget.spend() {
            return Ok(None);
        }
        self.0.take().map(|item| item.into_bound_py_any(py)).transpose()
    }
}

// === impl SlicedGain ===

impl SlicedGain {
    fn len(&self) -> usize {
        self.senders.rest.len() + self.recipients.as_ref().map_or(0, |users| users.rest.len())
    }
}

impl BuildInSlices for SlicedGain {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(senders) = self.senders.build(py, budget)? else { return Ok(None) };
        let recipients = match &mut self.recipients {
            None => None,
            Some(recipients) => match recipients.build(py, budget)? {
                None => return Ok(None),
                built => built,
            },
        };
        let value = (senders, recipients, self.remote);
        value.into_pyobject(py).map(|value| Some(value.into_any()))
    }
}
