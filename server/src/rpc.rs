//! The gRPC side: receives and sends messages of the contract. It makes no decision itself.
//!
//! Reading order: [`error`] lists the errors of calls and maps them to gRPC in one place, and
//! [`limits`] bounds the callers; `validate` checks requests; [`convert`] writes sets and
//! policies as messages of the contract; [`unary`] computes the answers of the two unary calls,
//! on a thread of their own if that may take long (`blocking`), and [`stream`] the answers of
//! streams; `services` connects them to tonic, `transport` carries calls between sockets and
//! services, and [`server`] runs everything.

mod blocking;
pub mod convert;
pub mod error;
pub mod limits;
pub mod server;
mod services;
pub mod stream;
pub mod transport;
pub mod unary;
mod validate;
