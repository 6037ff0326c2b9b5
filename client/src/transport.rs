//! What calls go over: any gRPC channel, its type erased, so that a [`Client`]
//! has none.
//!
//! [`Client`]: crate::Client

use tonic::{
    Status,
    body::Body,
    codegen::{Body as HttpBody, Bytes, StdError, http},
};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

/// A gRPC channel.
///
/// Fails with a status, as calls do: it keeps what caused it, and unlike a boxed
/// error it does not stand in the way of proofs that futures are `Send`.
pub(crate) type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

pub(crate) fn erase<S, B>(channel: S) -> Transport
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<StdError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    let channel = channel.map_response(|response: http::Response<B>| response.map(Body::new));
    BoxCloneSyncService::new(channel.map_err(|error: S::Error| Status::from_error(error.into())))
}
