//! What became of visibility, of sets and of users' memberships from one snapshot to a
//! later one. Nothing here makes a snapshot: [`super::engine`] does.
//!
//! [`difference`] has the pairs that changed. [`membership_delta`] and [`set_mapping`]
//! are for readers that remember parts of answers: the first under one ruleset, after
//! edits of the directory; the second from one ruleset to another.

pub mod difference;
pub mod membership_delta;
pub mod set_mapping;
