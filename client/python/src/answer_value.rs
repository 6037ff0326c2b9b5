//! Python values of answers, built in the reactor's thread a slice at a time: an answer may
//! have 100,000 ids, and the reactor has other work to do.

use std::vec::IntoIter;

use pyo3::{
    IntoPyObjectExt as _,
    prelude::*,
    types::{PyList, PySet},
};

use crate::{
    everyone::Everyone,
    follow::Gain,
    room::Verdict,
    synapse_answer::{Shown, SynapseAnswer},
};

/// The number of ids and positions that may still be converted in this turn of the reactor.
#[derive(Debug)]
pub(crate) struct Budget(usize);

/// A value for Python, as far as it is built. `_native.pyi` describes the values.
#[derive(Debug)]
pub(crate) enum AnswerValue {
    /// `None`.
    Nothing,
    Keys(Sliced<KeyGroup>, usize),
    Senders(SlicedSet),
    Everyone(Option<Everyone>),
    Gains(Sliced<SlicedGain>),
    Verdict(Option<Verdict>),
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

/// A set of user ids.
#[derive(Debug)]
pub(crate) struct SlicedSet {
    set: Option<Py<PySet>>,
    rest: IntoIter<String>,
}

/// A part that is converted at once: an id, or a position.
#[derive(Debug)]
pub(crate) struct Item<T>(Option<T>);

/// Keys that get the same states; the states in full, and those with hidden fields.
#[derive(Debug)]
pub(crate) struct KeyGroup {
    keys: Sliced<Item<String>>,
    whole: Sliced<Item<usize>>,
    less: Sliced<Item<(usize, u8)>>,
}

/// Senders that recipients may now see.
#[derive(Debug)]
pub(crate) struct SlicedGain {
    senders: Sliced<Item<String>>,
    recipients: Option<Sliced<Item<String>>>,
    remote: bool,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(elements: usize) -> Self {
        Self(elements)
    }

    /// Counts one element. False: none is left.
    fn spend(&mut self) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        is_left
    }
}

// === impl AnswerValue ===

impl From<SynapseAnswer> for AnswerValue {
    fn from(SynapseAnswer { groups, unsent }: SynapseAnswer) -> Self {
        let group = |(keys, Shown { whole, less }): (Vec<String>, Shown)| KeyGroup {
            keys: Sliced::of_items(keys),
            whole: Sliced::of_items(whole),
            less: Sliced::of_items(less.into_iter().map(|(at, hidden)| (at, hidden.0)).collect()),
        };
        Self::Keys(Sliced::new(groups.into_iter().map(group).collect()), unsent)
    }
}

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
    /// Creates the value for the senders that a user may see.
    pub(crate) fn senders(senders: Vec<String>) -> Self {
        Self::Senders(SlicedSet { set: None, rest: senders.into_iter() })
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
            Self::Keys(groups, unsent) => {
                let Some(groups) = groups.build(py, budget)? else { return Ok(None) };
                (groups, *unsent).into_pyobject(py).map(|value| Some(value.into_any()))
            }
            Self::Senders(senders) => senders.build(py, budget),
            Self::Everyone(everyone) => {
                everyone.take().map(|one| Ok(Bound::new(py, one)?.into_any())).transpose()
            }
            Self::Gains(gains) => gains.build(py, budget),
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
    fn of_items(items: Vec<T>) -> Self {
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

// === impl SlicedSet ===

impl BuildInSlices for SlicedSet {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let set = match &self.set {
            Some(set) => set.bind(py).clone(),
            None => self.set.insert(PySet::empty(py)?.unbind()).bind(py).clone(),
        };
        while self.rest.len() > 0 && budget.spend() {
            if let Some(user_id) = self.rest.next() {
                set.add(user_id)?;
            }
        }
        Ok((self.rest.len() == 0).then(|| set.into_any()))
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

// === impl KeyGroup ===

impl BuildInSlices for KeyGroup {
    fn build<'py>(
        &mut self,
        py: Python<'py>,
        budget: &mut Budget,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        // A list that is complete returns itself again.
        let Some(keys) = self.keys.build(py, budget)? else { return Ok(None) };
        let Some(whole) = self.whole.build(py, budget)? else { return Ok(None) };
        let Some(less) = self.less.build(py, budget)? else { return Ok(None) };
        (keys, whole, less).into_pyobject(py).map(|value| Some(value.into_any()))
    }
}

// === impl SlicedGain ===

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
