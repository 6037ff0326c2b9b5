//! Questions about policies that are loaded.
//!
//! About one policy: [`explain`] says why a pair is visible or not, [`verify`] checks
//! what routing decides, [`graph`] shows who sees whom at a glance. Both of the first
//! rest on `reference`, which evaluates a document naively, for some users, and
//! [`verify`] and the policy's tests on `answer`, which asks a snapshot about one user.
//! About two policies: [`compare`] says in what they differ, [`members_files`] which
//! files lost their users, and [`impact`] what would become visible, and what would not
//! be any more.
//!
//! Changes nothing, and knows nothing of who asks.

pub(in crate::policy) mod answer;
pub mod compare;
pub mod explain;
pub mod graph;
pub mod impact;
pub mod members_files;
mod reference;
mod verdict;
pub mod verify;
