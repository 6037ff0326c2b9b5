//! The input of routing: the rules, the calling homeserver, and the two sides of a pair.
//! This module knows nothing of numbers, classes and evaluated sets.

pub mod caller;
pub mod ruleset;
pub mod side;
