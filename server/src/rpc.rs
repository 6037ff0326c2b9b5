//! The gRPC side: contract in, contract out. Decides nothing.
//!
//! To read in this order: [`fault`] is every refusal and its one mapping to
//! gRPC; `request` checks what callers send; `express` says a set in the
//! contract's words; `unary` computes the answers of the two unary calls and
//! `stream` those of `RouteStates`; [`service`] joins them to tonic, [`room`] is the
//! service for new rooms, and [`policy`] that for operators; `access` writes the
//! log of calls, `large_request` bounds the memory that requests take, and `transport`
//! carries calls between connections and services; [`listener`] accepts connections and
//! [`server`] runs all of it.

mod access;
mod express;
pub mod fault;
mod large_request;
pub mod listener;
pub mod policy;
mod request;
pub mod room;
pub mod server;
pub mod service;
pub mod stream;
mod transport;
pub mod unary;
