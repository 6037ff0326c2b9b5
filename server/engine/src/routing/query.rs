//! Computes answers from one snapshot, without changing it and without knowing another.

pub mod conditional_members;
pub mod parts;
pub mod shadow;
mod terms;
pub mod visibility;

#[cfg(test)]
pub(in crate::routing) mod tests;
