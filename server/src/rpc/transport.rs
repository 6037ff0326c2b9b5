//! Carries calls between sockets and services: HTTP/2 by hyper, one task for
//! each connection.
//!
//! To read in this order: `connection` serves one connection from its first byte
//! to its last, over `client_io`, and `ending` says why it was closed; `call`
//! stands around all services and follows one call, from its `request_body` until its
//! answer's `body` is sent; `deadline` is how long the caller of a call waits.
//!
//! It decides nothing about a call but when it is over. What is logged of one is
//! the access log's business.

mod body;
pub(super) mod call;
mod client_io;
pub(super) mod connection;
pub(super) mod deadline;
mod ending;
mod request_body;
