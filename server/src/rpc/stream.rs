//! The two kinds of streams: each is a task that takes requests in order, and answers
//! from one snapshot at a time.
//!
//! Flow control is HTTP/2's own. Responses wait in a short channel; when the
//! client does not read, the task waits, and with it whatever the client sends.
//! However many revisions go by then, the client gets one change: from the revision
//! that it has to the one that is current when it reads on.
//!
//! To read in this order: `route_states` and `watch_changes` are the tasks; they begin by
//! `resume`, and send by an `outbox`. [`route`] answers requests of `RouteStates`: `sets`
//! remembers what the client has, by the ids of the `set_table`, `batch` routes many states
//! by it, and `shadow_effects` counts for rules in shadow; `changes` writes the difference
//! of two revisions.

mod batch;
mod changes;
mod index;
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
