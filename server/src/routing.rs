//! Who may see whose presence: one definition, everything else derived from it.
//!
//! `visible(sender, recipient)` holds if they are not the same user, some allow
//! rule matches the pair, and no deny rule does. Audience and interest are that
//! relation read from its two sides; [`relation`] has one function for both, so
//! they cannot disagree.
//!
//! To read in this order: [`user_id`] says what an id is, [`plan`] what is
//! decided by, [`members`] how a set is kept, [`people`] who is numbered,
//! [`snapshot`] how a plan becomes sets, [`relation`] who sees whom, and
//! [`caller`] which part of it concerns a homeserver.
//!
//! Pure: no protocol, no database, no file, no clock.

pub mod caller;
pub mod members;
pub mod people;
pub mod plan;
pub mod relation;
pub mod snapshot;
pub mod user_id;
