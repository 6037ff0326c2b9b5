//! Carries calls between sockets and services: HTTP/2 by hyper, one task for
//! each connection.
//!
//! To read in this order: [`listener`] accepts connections, each with a `peer`; `connection`
//! serves one from its first byte to its last, over `client_io`, and `close_reason` is the reason
//! for which it was closed; `call` stands around all services and follows one call, from its
//! `request_body` until its answer's `response_body` is sent; `deadline` is how long the caller of a
//! call waits. `large_request` bounds the memory that requests take, and `access_log` writes
//! the log of calls.
//!
//! It decides nothing about a call but when it is over. What is logged of one is
//! the access log's business.

pub(in crate::rpc) mod access_log;
pub(super) mod call;
mod client_io;
mod close_reason;
pub(super) mod connection;
mod deadline;
pub(super) mod large_request;
pub mod listener;
mod peer;
mod request_body;
mod response_body;
mod seldom_line;
