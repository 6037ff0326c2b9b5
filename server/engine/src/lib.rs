//! Who may see whose Matrix presence.
#![forbid(unsafe_code)]

pub mod policy;
pub mod routing;
