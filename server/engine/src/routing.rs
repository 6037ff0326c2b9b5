//! Who may see whose presence: one definition, everything else derived from it.
//!
//! `visible(sender, recipient)` holds if they are not the same user, some allow
//! rule matches the pair, and no deny rule does. Audience and interest are that
//! relation read from its two sides; [`relation`] has one function for both, so
//! they cannot disagree.
//!
//! To read in this order: `presence_router_ids` says what an id is, [`plan`] what is
//! decided by, [`members`] how a set is kept, [`people`] who is numbered,
//! [`sets`] which sets there are, `roles` what the rules make of them, and
//! `classes` which users are in the same; [`snapshot`] is all of that at one
//! moment, [`relation`] who sees whom by it, and [`caller`] which part of that
//! concerns a homeserver. [`difference`] is who sees whom no more, or anew, from
//! one snapshot to the next, [`moves`] what that does to sets, and [`carried`] what
//! stays of them under another plan; [`shadow`] is about rules that decide nothing. [`engine`] is the writer, `chunked` how its snapshots
//! share what did not change.
//!
//! Pure: no protocol, no database, no file, no clock.

pub mod caller;
pub mod carried;
mod chunked;
mod classes;
pub mod difference;
pub mod engine;
pub mod members;
pub mod moves;
pub mod people;
pub mod plan;
pub mod relation;
mod roles;
pub mod sets;
pub mod shadow;
pub mod snapshot;
