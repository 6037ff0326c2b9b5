//! Who may see whose presence: one definition, everything else derived from it.
//!
//! `visible(sender, recipient)` holds if they are not the same user, some allow
//! rule matches the pair, and no deny rule does. Audience and interest are that
//! relation read from its two sides; [`query::visibility`] has one function for both, so
//! they cannot disagree.
//!
//! To read in this order, each module built on those before it:
//!
//! - `presence_router_ids` says what an id is;
//! - [`model`]: the rules that decide, and the homeserver that asks;
//! - [`snapshot`]: the rules over evaluated sets and numbered users, at one moment;
//! - [`query`]: who sees whom by a snapshot, and what rules in shadow would change;
//! - [`change`]: who gained and who lost sight of whom from one snapshot to the next,
//!   and what remains valid of answers that somebody remembers;
//! - [`engine`]: the writer, which makes the snapshots.
//!
//! The facade of the crate names what an embedder needs. Only the daemon's stream needs the
//! rest, which may change in any version: signatures and parts ([`query::visibility`]), what
//! remains valid of remembered answers ([`change::membership_delta`],
//! [`change::set_mapping`]), rules in shadow ([`query::shadow`]), and sets and ids as they
//! are stored ([`snapshot::members`], [`snapshot::user_table`], [`snapshot::keys`]).
//!
//! Pure: no protocol, no database, no file, no clock.

pub mod change;
pub mod engine;
pub mod model;
pub mod query;
pub mod snapshot;
