//! The daemon's answer about one user, for a module that decides alone: about each pair, by the
//! rooms that its two users share.

use std::collections::HashMap;

use presence_router_client::{
    Counterparts, RoomConditions, RoomMates, ServerQuestion, SharedAnswer,
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    hides::Fields,
    known_users::KnownUsers,
    room_facts::{Evaluation, MemberCounts, MissingFact, RoomFacts},
    text::read_str,
};

/// Positions of visible users, or of their states, with the fields that are hidden, and the facts
/// that were missing.
type Verdicts = (Vec<(usize, u8)>, Vec<MissingFact>);

/// The facts about rooms of this process, and numbers of members for this question.
type Known<'py> = (Bound<'py, RoomFacts>, Option<Bound<'py, PyDict>>);

/// The recipients of one sender, or the senders that one recipient may see. Never changes.
#[pyclass(frozen)]
#[derive(Clone, Debug)]
pub(crate) struct Visibility {
    user_id: String,
    answer: SharedAnswer,
}

impl Visibility {
    pub(crate) fn new(user_id: &str, answer: SharedAnswer) -> Self {
        Self { user_id: user_id.to_owned(), answer }
    }

    /// Returns the known senders that the user may see without a shared room, and those that the
    /// answer lists, in any thread.
    pub(crate) fn senders_without_rooms(&self, known_users: &KnownUsers) -> Vec<String> {
        let Some(set) = self.answer.as_set() else { return Vec::new() };
        let mut senders: Vec<String> =
            set.listed_candidates().into_iter().map(str::to_owned).collect();
        if set.is_open_to_strangers() {
            let is_member = |user: &str| set.contains_if(user, |_| Some(false)) == Some(true);
            senders.extend(known_users.known_where(is_member));
        }
        senders.sort_unstable();
        senders.dedup();
        senders
    }

    /// Returns the distinct conditions on rooms that the answer and its hides depend on, sorted.
    pub(crate) fn room_conditions(&self) -> Vec<RoomConditions> {
        let hides = self.answer.hides().iter().map(|hide| &hide.users);
        let sets = self.answer.as_set().into_iter().chain(hides);
        let mut conditions: Vec<_> = sets.flat_map(|set| set.room_conditions()).cloned().collect();
        conditions.sort_unstable();
        conditions.dedup();
        conditions
    }
}

#[pymethods]
impl Visibility {
    #[getter]
    fn user_id(&self) -> &str {
        &self.user_id
    }

    #[getter]
    fn number(&self) -> u64 {
        self.answer.number()
    }

    #[getter]
    fn revision(&self) -> &str {
        self.answer.revision()
    }

    #[getter]
    fn is_stale(&self) -> bool {
        self.answer.is_stale()
    }

    #[getter]
    fn depends_on_rooms(&self) -> bool {
        self.counterparts().depends_on_rooms()
    }

    #[getter]
    fn is_open_to_strangers(&self) -> bool {
        self.answer.as_set().is_some_and(|set| set.is_open_to_strangers())
    }

    fn note_member_limits(&self, py: Python<'_>, facts: &RoomFacts) {
        facts.note_limits(py, &self.room_conditions());
    }

    fn hides_as(&self, other: &Self) -> bool {
        self.answer.number() == other.answer.number() || self.answer.hides() == other.answer.hides()
    }

    fn shown_states(
        &self,
        py: Python<'_>,
        states: &Bound<'_, PyList>,
        shared_rooms: Option<&Bound<'_, PyList>>,
        known: Known<'_>,
    ) -> PyResult<Verdicts> {
        let (user_id, presence) = (pyo3::intern!(py, "user_id"), pyo3::intern!(py, "state"));
        let mut visible = Vec::new();
        let evaluation = evaluate(py, &known)?;
        for (position, state) in states.iter().enumerate() {
            let Ok(sender) = state.getattr(user_id) else { continue };
            // No policy can name a sender whose id is not valid Unicode.
            let Some(sender) = read_str(&sender) else { continue };
            let presence = state.getattr(presence).ok();
            let presence = presence.as_ref().and_then(read_str);
            let shared = rooms_at(shared_rooms, position)?;
            if let Some(hidden) =
                self.hidden_if_visible(sender, presence, &evaluation, shared.as_ref())
            {
                visible.push((position, hidden.0));
            }
        }
        Ok((visible, evaluation.into_missing()))
    }

    fn recipients(
        &self,
        py: Python<'_>,
        presence: Option<&str>,
        users: &Bound<'_, PyList>,
        shared_rooms: Option<&Bound<'_, PyList>>,
        known: Known<'_>,
    ) -> PyResult<Verdicts> {
        let mut visible = Vec::new();
        let evaluation = evaluate(py, &known)?;
        for (position, user) in users.iter().enumerate() {
            let Some(user) = read_str(&user) else { continue };
            let shared = rooms_at(shared_rooms, position)?;
            if let Some(hidden) =
                self.hidden_if_visible(user, presence, &evaluation, shared.as_ref())
            {
                visible.push((position, hidden.0));
            }
        }
        Ok((visible, evaluation.into_missing()))
    }

    fn server_sees(
        &self,
        py: Python<'_>,
        server: &str,
        presence: &str,
        room_mates: &Bound<'_, PyDict>,
        complete: bool,
        known: Known<'_>,
    ) -> PyResult<(Option<u8>, Vec<MissingFact>)> {
        let mut rooms: HashMap<String, Bound<'_, PyAny>> = HashMap::with_capacity(room_mates.len());
        for (user, shared) in room_mates.iter() {
            if let Some(user) = read_str(&user) {
                rooms.insert(user.to_owned(), shared);
            }
        }
        let users = rooms.keys().map(String::as_str);
        let room_mates =
            if complete { RoomMates::complete(users) } else { RoomMates::incomplete(users) };
        let evaluation = evaluate(py, &known)?;
        let question =
            ServerQuestion::of_audience(server, &self.user_id, presence, self.answer.clone());
        let verdict = question.decide(room_mates, |_, user, conditions| {
            evaluation.is_met_by_any(conditions, rooms.get(user))
        });
        let hidden = verdict.visible.then(|| Fields::from(verdict.hidden).0);
        Ok((hidden, evaluation.into_missing()))
    }
}

impl Visibility {
    fn counterparts(&self) -> Counterparts<'_> {
        self.answer.counterparts_of(&self.user_id)
    }

    /// Returns the fields that are hidden between the user and another one. `None`: nothing may
    /// be shown. Without a presence (not valid Unicode), no hide has an exception for it.
    fn hidden_if_visible(
        &self,
        other: &str,
        presence: Option<&str>,
        evaluation: &Evaluation<'_>,
        shared: Option<&Bound<'_, PyAny>>,
    ) -> Option<Fields> {
        let share_room = |conditions: &RoomConditions| evaluation.is_met_by_any(conditions, shared);
        let counterparts = self.counterparts();
        if counterparts.contains_if(other, share_room) != Some(true) {
            return None;
        }
        let hides = counterparts.hides();
        if hides.is_empty() {
            return Some(Fields::NONE);
        }
        Some(counterparts.hidden_fields_if(other, presence.unwrap_or_default(), share_room).into())
    }
}

fn evaluate<'a>(py: Python<'_>, (facts, counts): &'a Known<'_>) -> PyResult<Evaluation<'a>> {
    Ok(facts.get().evaluate(py, MemberCounts::read(counts.as_ref())?))
}

/// Returns the rooms at a position. `None`: none are shared.
fn rooms_at<'py>(
    shared_rooms: Option<&Bound<'py, PyList>>,
    position: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(shared_rooms) = shared_rooms else { return Ok(None) };
    let rooms = shared_rooms
        .get_item(position)
        .map_err(|_| PyValueError::new_err("there are fewer entries of shared rooms than users"))?;
    Ok((!rooms.is_none()).then_some(rooms))
}
