//! The presence-router daemon as a library; `main.rs` only wires it to a
//! command line.
//!
//! To read in this order: [`routing`] decides who may see whom, and is pure;
//! [`policy`] turns an operator's text into what routing decides by, and
//! [`files`] gives it the files it names; [`live`] keeps the policy in force, at
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
pub mod policy;
pub mod reloader;
pub mod revision;
pub mod routing;
pub mod rpc;
pub mod sample;
pub mod source;
