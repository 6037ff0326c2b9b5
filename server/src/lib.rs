//! The presence-router daemon as a library; `main.rs` only starts it.
//!
//! [`routing`] decides who may see whom, and is pure.

#![forbid(unsafe_code)]

pub mod routing;
