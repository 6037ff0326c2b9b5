//! The input of routing: the rules that decide, the homeserver that asks, and the two
//! sides of a pair. Knows nothing of numbers, classes and evaluated sets.

pub mod caller;
pub mod ruleset;
pub mod side;
