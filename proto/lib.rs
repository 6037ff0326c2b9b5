//! The gRPC contract of presence-router.
//!
//! [`v1`] is generated from `proto/presence_router/v1/*.proto`; the comments in those
//! files are the reference manual. [`ids`] is the only definition of user ids and of the
//! globs in set expressions: the daemon's policy and every Rust client use it.
//! [`rooms`] converts conditions on rooms. [`server`] is the daemon's side of the service, with the faster message types of
//! [`wire`] for messages that a stream carries by the thousand.

#![forbid(unsafe_code)]

/// User ids, server names and globs.
pub use presence_router_ids as ids;

pub mod rooms;
#[cfg(feature = "server")]
pub mod wire;

/// Version 1 of the contract, package `presence_router.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    clippy::all,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::str_to_string,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("presence_router.v1");
}

/// The server's side of version 1: the service, with the types of [`wire`] for the most
/// frequent messages. Their encoding is the same as in [`v1`]; fakes in tests use the
/// service of [`v1`].
#[cfg(feature = "server")]
#[allow(
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    clippy::all,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::str_to_string,
    reason = "generated code"
)]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/server/presence_router.v1.rs"));
}

/// Descriptors of the contract and of its imports: an encoded
/// `google.protobuf.FileDescriptorSet`, with comments. The reflection service returns it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The domain of every `google.rpc.ErrorInfo` that the daemon sends.
pub const ERROR_DOMAIN: &str = "presence-router";
