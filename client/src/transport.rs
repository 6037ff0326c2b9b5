//! Erases the type of a gRPC channel, so that [`Client`] needs no type parameter.
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
/// Its error is a status, as for calls: a status keeps its cause and, unlike a boxed
/// error, does not prevent the compiler from proving that futures are `Send`.
pub(crate) type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

pub(crate) fn erase_type<S, B>(channel: S) -> Transport
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
