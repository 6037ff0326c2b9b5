//! The visibility of presence: one definition, from which all answers are derived.
//!
//! `visible(sender, recipient)` holds if sender and recipient are not the same user, some
//! allow rule matches the pair, and no deny rule does. Audience and interest are that
//! relation read from its two sides; [`query::visibility`] has one function for both, so
//! they cannot disagree.
//!
//! In reading order; each module builds on the earlier ones:
//!
//! - `presence_router_ids`: the definition of ids;
//! - [`model`]: the rules that decide, and the homeserver that asks;
//! - [`snapshot`]: the rules over evaluated sets and numbered users, at one moment;
//! - [`query`]: visibility by a snapshot, and the effect that rules in shadow would have;
//! - [`change`]: pairs gained and lost from one snapshot to the next, and the parts of
//!   cached answers that stay valid;
//! - [`engine`]: the writer, which makes the snapshots.
//!
//! The facade of the crate names what an embedder needs. Only the daemon's stream needs the
//! rest, which may change in any version: signatures and parts ([`query::visibility`]), the
//! validity of cached answers ([`change::membership_delta`],
//! [`change::set_mapping`]), rules in shadow ([`query::shadow`]), and sets and ids as they
//! are stored ([`snapshot::members`], [`snapshot::user_table`], [`snapshot::keys`]).
//!
//! Pure: no protocol, no database, no file, no clock.

pub mod change;
pub mod engine;
pub mod model;
pub mod query;
pub mod snapshot;
