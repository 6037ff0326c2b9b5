//! Changes of visibility, of sets and of users' memberships from one snapshot to a later
//! one. Only [`super::engine`] creates snapshots.
//!
//! [`difference`] computes the pairs that changed. [`membership_delta`] and [`set_mapping`]
//! are for readers that cache parts of answers: the first after edits of the directory
//! under one ruleset, the second from one ruleset to another.

pub mod difference;
pub mod membership_delta;
pub mod set_mapping;
