//! Answers from one snapshot. Nothing here changes anything or knows another snapshot.

pub mod shadow;
mod terms;
pub mod visibility;
