//! The native half of the Python package `presence_router`: answers Synapse's questions from
//! memory, in the reactor's thread, or asks the daemon in threads of its own. These threads
//! never take the GIL; the reactor's thread fetches the results from a queue.
//!
//! Reading order: `router` is the interface to Python. `states_request` looks up the audiences
//! of states in the client's near-cache, and `questions` asks for those that are missing; `find`
//! does so for whole calls, after `reading` the states in slices. `large_answers` evaluates what
//! is too large for the reactor's thread, in the threads that `evaluations` limits.
//! `audience_keys`, `hides`, `home` and `known_users`, which know no Python, say which keys of
//! Synapse's dictionary an audience has. `synapse_memory` keeps them in Python's form:
//! `audience_template` for audiences and `interest_set` for interests, both made of
//! `interned_ids`; `gc` spares Python the search of these sets. `routes` is the answer about
//! states: `combined_states` of several audiences, with their `state_set`s; `everyone` is an
//! answer for later use. `budget` limits the work of one turn of the reactor.
//!
//! A module that decides alone takes another way: `find_visibility` finds the answer about one
//! user, `visibility` evaluates it over the rooms that users share, and `room_facts` remembers
//! facts about rooms.
//!
//! `follow` waits for changes, and `change` is one in full; `room` asks about new rooms, `text`
//! reads texts, `failure` names the reasons for which there is no answer. `runtime` owns the
//! threads; `completion` passes a result to the reactor's thread through the queue of
//! `finished_calls`; `delivery` takes it there, and `answer_value` builds its Python value.

mod answer_value;
mod audience_keys;
mod audience_template;
mod budget;
mod change;
mod combined_states;
mod completion;
mod delivery;
mod evaluations;
mod everyone;
mod failure;
mod find;
mod find_visibility;
mod finished_calls;
mod follow;
mod gc;
mod hides;
mod home;
mod interest_set;
mod interned_ids;
mod known_users;
mod large_answers;
mod questions;
mod reading;
mod room;
mod room_facts;
mod router;
mod routes;
mod runtime;
mod state_set;
mod states_request;
mod synapse_memory;
mod text;
mod visibility;

/// The extension module `presence_router._native`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::change::Change;
    #[pymodule_export]
    use super::change::ChangedPairs;
    #[pymodule_export]
    use super::everyone::Everyone;
    #[pymodule_export]
    use super::room_facts::RoomFacts;
    #[pymodule_export]
    use super::router::Router;
    #[pymodule_export]
    use super::router::check_address;
    #[pymodule_export]
    use super::router::is_server_name;
    #[pymodule_export]
    use super::visibility::Visibility;

    /// Of the whole wheel.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
