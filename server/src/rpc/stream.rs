//! The two kinds of streams. Each stream is a task that takes requests in order, and answers
//! from one snapshot at a time.
//!
//! Flow control is HTTP/2's own. Responses wait in a short channel; while the client does not
//! read, the task waits, and so do the client's requests. The client then gets one change for
//! all revisions that pass meanwhile: from the revision that it has to the one that is current
//! when it reads again.
//!
//! Reading order: `route_states` and `watch_changes` are the tasks; they begin with `resume`,
//! and send through an `outbox`. [`route`] answers requests of `RouteStates`: `sets` remembers
//! the sets that the client has, by the ids of the `set_table`, `batch` routes many states with
//! these sets, and `shadow_effects` counts the effects of shadow rules; `changes` writes the
//! difference between two revisions, and `named_servers` the difference between the servers that
//! they name.

mod batch;
mod changes;
mod index;
mod named_servers;
mod outbox;
mod resume;
pub mod route;
pub(super) mod route_states;
mod set_table;
mod sets;
mod shadow_effects;
pub(super) mod watch_changes;

pub(super) use self::outbox::ResponseSender;
pub use self::set_table::SetUpdate;
