//! Analyses of loaded policies.
//!
//! Of one policy: [`explain`] finds the reasons why a pair is visible or not, [`verify`]
//! checks the decisions of routing, [`graph`] draws the visible pairs as a graph. `explain`
//! and `verify` build on `reference`, which evaluates a document naively, for some users;
//! `verify` and the policy's tests build on `answer`, which asks a snapshot about one user.
//! Of two policies: [`compare`] lists the differences, [`members_files`] finds files that
//! lost their users, and [`impact`] computes the pairs that would become visible, and those
//! that would stop being visible.
//!
//! Changes nothing, and knows nothing of the caller.

pub(in crate::policy) mod answer;
pub mod compare;
pub mod explain;
pub mod graph;
pub mod impact;
pub mod members_files;
mod reference;
mod verdict;
pub mod verify;
