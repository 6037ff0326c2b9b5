//! Hidden fields of states: for which users, and with which exceptions for values of
//! `presence`. Python chooses the replacement of a hidden field.

use std::{
    collections::HashMap,
    ops::{BitOr, BitOrAssign},
    sync::Arc,
};

use presence_router_client::{Coverage, Set, v1};

use crate::error::AnswerError;

/// The parts of a state that decide its recipients and hidden fields. `None`: the text is
/// not valid Unicode, so that no policy can name it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) user_id: Option<String>,
    pub(crate) presence: Option<Arc<str>>,
}

/// Fields of a presence; the bits are those of `_native.pyi`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fields(pub(crate) u8);

/// Fields that are hidden from some recipients, or of some senders.
#[derive(Clone, Debug)]
pub(crate) struct Hide {
    /// The users to whom the hide applies: recipients in an answer about states, senders
    /// in an answer about interest.
    pub(crate) users: Set,
    fields: Fields,
    /// Values of `presence` for which nothing is hidden.
    unless: Vec<String>,
}

/// The hides of the states of a batch.
#[derive(Debug)]
pub(crate) struct Hides<'a> {
    states: &'a [State],
    all: Vec<Hide>,
    /// The indexes in `all` of each state's hides, by the state's position.
    of: HashMap<usize, Vec<usize>>,
}

/// The fields hidden from all recipients on one server, by the position of the state.
pub(crate) type OnServer = HashMap<usize, Fields>;

// === impl Fields ===

impl Fields {
    pub(crate) const NONE: Self = Self(0);
    /// Hide everything: show `offline`, without status and activity.
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const STATUS_MSG: Self = Self(0b0010);
    pub(crate) const LAST_ACTIVE_TS: Self = Self(0b0100);
    pub(crate) const CURRENTLY_ACTIVE: Self = Self(0b1000);
}

impl From<presence_router_client::Fields> for Fields {
    fn from(fields: presence_router_client::Fields) -> Self {
        if fields.presence {
            return Self::ALL;
        }
        let bits = [
            (fields.status_msg, Self::STATUS_MSG),
            (fields.last_active_ts, Self::LAST_ACTIVE_TS),
            (fields.currently_active, Self::CURRENTLY_ACTIVE),
        ];
        union_of_fields(bits.into_iter().filter(|(is, _)| *is).map(|(_, field)| field))
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Fields {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

// === impl Hide ===

impl Hide {
    pub(crate) fn new(hide: &v1::Hide) -> Result<Self, AnswerError> {
        let hide = presence_router_client::Hide::from_message(hide)?;
        Ok(Self { users: hide.users, fields: hide.fields.into(), unless: hide.unless_presence })
    }

    /// Returns the fields of a state that this hide hides from, or of, its users.
    pub(crate) fn hidden_fields(&self, state: &State) -> Fields {
        let presence = state.presence.as_deref();
        let shown = presence.is_some_and(|presence| self.unless.iter().any(|one| one == presence));
        if shown { Fields::NONE } else { self.fields }
    }
}

/// Returns the fields of a state that the hides of an interest answer hide. For a sender
/// that cannot be looked up these are all fields, as soon as there is any hide.
pub(crate) fn hidden_of_sender(hides: &[Hide], state: &State) -> Fields {
    let concerns = |hide: &&Hide| state.user_id.as_ref().is_some_and(|id| hide.users.contains(id));
    match state.user_id {
        None if !hides.is_empty() => Fields::ALL,
        _ => union_of_fields(hides.iter().filter(concerns).map(|hide| hide.hidden_fields(state))),
    }
}

fn union_of_fields(fields: impl Iterator<Item = Fields>) -> Fields {
    fields.fold(Fields::NONE, Fields::bitor)
}

// === impl Hides ===

impl<'a> Hides<'a> {
    pub(crate) fn new(states: &'a [State]) -> Self {
        Self { states, all: Vec::new(), of: HashMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a hide of the states at these positions.
    pub(crate) fn add_hide(&mut self, hide: Hide, positions: &[usize]) {
        for position in positions {
            self.of.entry(*position).or_default().push(self.all.len());
        }
        self.all.push(hide);
    }

    /// Returns the fields of a state that are hidden from one recipient. `None`: no hide
    /// applies to the recipient, for any presence.
    pub(crate) fn hidden_from(&self, user_id: &str, position: usize) -> Option<Fields> {
        let state = self.states.get(position)?;
        let hides = self.hides_of(position).map(|(_, hide)| hide);
        let hides = hides.filter(|hide| hide.users.contains(user_id));
        hides.map(|hide| hide.hidden_fields(state)).reduce(Fields::bitor)
    }

    /// Adds the fields hidden from one recipient to those of the recipient's server.
    pub(crate) fn add_user(&self, user_id: &str, positions: &[usize], hidden: &mut OnServer) {
        for position in positions {
            if let Some(fields) = self.hidden_from(user_id, *position) {
                *hidden.entry(*position).or_default() |= fields;
            }
        }
    }

    /// Adds the fields hidden from recipients in an open set who live on a server. Open
    /// sets have no list of members, so the result may include too many fields.
    pub(crate) fn add_open(
        &self,
        set: &Set,
        server: &str,
        positions: &[usize],
        hidden: &mut OnServer,
    ) {
        if set.coverage_on_server(server) == Coverage::Nobody {
            return;
        }
        // Most positions have the same hides.
        let mut there: HashMap<usize, bool> = HashMap::new();
        for position in positions {
            let Some(state) = self.states.get(*position) else { continue };
            let concerned = self.hides_of(*position).filter(|(place, hide)| {
                let lives = || hide.users.coverage_on_server(server) != Coverage::Nobody;
                *there.entry(*place).or_insert_with(lives)
            });
            let fields = union_of_fields(concerned.map(|(_, hide)| hide.hidden_fields(state)));
            *hidden.entry(*position).or_default() |= fields;
        }
    }

    fn hides_of(&self, position: usize) -> impl Iterator<Item = (usize, &Hide)> {
        let places = self.of.get(&position).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| Some((*place, self.all.get(*place)?)))
    }
}
