//! The presence-router daemon as a library; `main.rs` only wires it to a
//! command line.
//!
//! To read in this order: the engine, a crate of its own, decides who may see whom by an
//! operator's text, and [`files`] gives it the files that a policy names; [`live`] keeps the policy in force, at
//! a [`revision`]; [`rpc`] answers callers; [`config`] is what an operator can
//! set, [`reloader`] loads the policy again when its files change, by what [`source`] knows
//! of them, and [`lifecycle`] joins it all to signals and sockets, and to what the process
//! may use: [`descriptors`] and the [`logging`] to standard error. [`hint`] and [`sample`]
//! are for people who try it.

#![forbid(unsafe_code)]

pub mod config;
pub mod descriptors;
pub mod files;
pub mod hint;
pub mod lifecycle;
pub mod live;
pub mod logging;
pub mod reloader;
pub mod revision;
pub mod rpc;
pub mod sample;
pub mod source;
