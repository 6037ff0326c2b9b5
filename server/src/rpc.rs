//! The gRPC side: contract in, contract out. Decides nothing.
//!
//! To read in this order: [`error`] is every refusal and its one mapping to
//! gRPC, and [`limits`] what bounds a caller; `validate` checks what callers send;
//! [`convert`] writes sets and policies as messages of the contract; [`unary`] computes the
//! answers of the two unary calls, on a thread of their own where that may take long
//! (`blocking`), and [`stream`] those of streams; `services` joins
//! them to tonic, `transport` carries calls between sockets and services, and [`server`]
//! runs all of it.

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
