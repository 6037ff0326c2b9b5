//! Ends what would wait for ever when the daemon ends: answers that have
//! nothing to send at that moment, such as those of health watches and
//! reflection, get a reason instead of a cut connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};
use tower::{Layer, Service};

use super::fault::Fault;

/// Puts [`Drain`] around services.
#[derive(Clone, Debug)]
pub(super) struct DrainLayer(pub(super) CancellationToken);

/// Gives each answer of a service a [`DrainBody`].
#[derive(Clone, Debug)]
pub(super) struct Drain<S> {
    inner: S,
    shutdown: CancellationToken,
}

/// An answer that ends at shutdown, once all that is ready was sent.
#[derive(Debug)]
struct DrainBody {
    /// `None` once it was ended.
    inner: Option<Body>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
}

// === impl DrainLayer ===

impl<S> Layer<S> for DrainLayer {
    type Service = Drain<S>;

    fn layer(&self, inner: S) -> Drain<S> {
        Drain { inner, shutdown: self.0.clone() }
    }
}

// === impl Drain ===

impl<S> Service<http::Request<Body>> for Drain<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.inner.call(request);
        let shutdown = Box::pin(self.shutdown.clone().cancelled_owned());
        Box::pin(async move {
            let drained = |inner| Body::new(DrainBody { inner: Some(inner), shutdown });
            Ok(answer.await?.map(drained))
        })
    }
}

// === impl DrainBody ===

impl http_body::Body for DrainBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(self.shutdown.as_mut().poll(cx));
        self.inner = None;
        let mut trailers = http::HeaderMap::new();
        let ended = Status::from(Fault::ShuttingDown).add_header(&mut trailers);
        Poll::Ready(Some(ended.map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}
