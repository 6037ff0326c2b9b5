//! The gRPC contract of presence-router.
//!
//! [`v1`] holds what is generated from `proto/presence_router/v1/*.proto`; the
//! comments there are the reference manual. [`ids`] is the one definition of user ids, and
//! of the globs that set expressions are made of: the daemon's policy and every Rust
//! client evaluate them by it. [`server`] is the service for who serves it,
//! with [`wire`] for what its stream carries by the thousand.

#![forbid(unsafe_code)]

/// User ids, server names and globs.
pub use presence_router_ids as ids;

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

/// The server's side of version 1: the service, with the types of [`wire`] for what
/// comes and goes by the thousand. On the
/// wire they are those of [`v1`], whose own service serves for fakes in tests.
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

/// Descriptors of the contract and of what it imports: an encoded
/// `google.protobuf.FileDescriptorSet`, with comments. Reflection serves it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The domain of every `google.rpc.ErrorInfo` that the daemon sends.
pub const ERROR_DOMAIN: &str = "presence-router";
