//! Carries calls between sockets and services: HTTP/2 by hyper, one task for
//! each connection.
//!
//! Reading order: [`listener`] accepts connections, each with a `peer`; `connection` serves one
//! from its first byte to its last, over `client_io`, and `close_reason` is the reason for its
//! end; `call` wraps all services and follows one call, from its `request_body` until the
//! `response_body` of its answer is sent; `deadline` is the longest time that the caller waits.
//! `large_request` bounds the memory that requests take, and `access_log` writes the log of
//! calls.
//!
//! The transport makes no decision about a call except about its end. The access log decides
//! the contents of the log.

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
