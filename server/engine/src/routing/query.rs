//! Computes answers from one snapshot, without changing it and without knowing another.

pub mod shadow;
mod terms;
pub mod visibility;
