//! Admits large requests, one at a time, to a service whose requests are usually small. A policy
//! to check or to plan may have hundreds of megabytes, and is received whole before the service
//! handles it, so that many callers together could fill the memory.
//!
//! It does not know policies. The service itself limits the size of one request.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as _, Frame};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};
use tonic::server::NamedService;
use tower::{Layer, Service};

use crate::rpc::error::RpcError;

/// Longest time from the first bytes of a large request to its last ones, including the wait for
/// its turn, so that a stalled caller does not delay others for longer.
const MAX_RECEIVE_TIME: Duration = Duration::from_secs(60);

/// Bytes before a message: one for a flag, and four for the length.
const PREFIX_BYTES: usize = 5;

/// Puts [`LargeRequests`] around a service.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct LargeRequestLayer {
    /// Most bytes of a message that does not wait for its turn.
    small: usize,
    turn: Arc<Semaphore>,
}

/// A service that receives one large request at a time.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct LargeRequests<S> {
    inner: S,
    layer: LargeRequestLayer,
}

/// A request whose first frames were read already.
struct ResumedBody {
    first: VecDeque<Frame<Bytes>>,
    rest: Body,
    /// The latest end of a large request.
    overdue: Option<Pin<Box<Sleep>>>,
}

// === impl LargeRequestLayer ===

impl LargeRequestLayer {
    pub(in crate::rpc) fn new(small: usize) -> Self {
        Self { small, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl<S> Layer<S> for LargeRequestLayer {
    type Service = LargeRequests<S>;

    fn layer(&self, inner: S) -> LargeRequests<S> {
        LargeRequests { inner, layer: self.clone() }
    }
}

// === impl LargeRequests ===

impl<S: NamedService> NamedService for LargeRequests<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for LargeRequests<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let LargeRequestLayer { small, turn } = self.layer.clone();
        // The call takes the service that is ready; a clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let (first, length) = match first_frames(&mut body).await {
                Ok(read) => read,
                Err(status) => return Ok(status.into_http()),
            };
            if length.is_none_or(|length| length <= small) {
                let body = Body::new(ResumedBody { first, rest: body, overdue: None });
                return inner.call(http::Request::from_parts(head, body)).await;
            }
            let end = Instant::now() + MAX_RECEIVE_TIME;
            let Ok(Ok(turn)) = timeout_at(end, turn.acquire_owned()).await else {
                return Ok(overdue_status().into_http());
            };
            let overdue = Some(Box::pin(sleep_until(end)));
            let body = Body::new(ResumedBody { first, rest: body, overdue });
            let answer = inner.call(http::Request::from_parts(head, body)).await;
            // The request was in memory until now.
            drop(turn);
            answer
        })
    }
}

/// Reads a request until the length of its message is known. The length is `None` if the request
/// ends earlier.
async fn first_frames(body: &mut Body) -> Result<(VecDeque<Frame<Bytes>>, Option<usize>), Status> {
    let mut first = VecDeque::new();
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            prefix.extend(data.iter().take(PREFIX_BYTES - prefix.len()));
        }
        first.push_back(frame);
        if let [_, length @ ..] = prefix.as_slice()
            && let Ok(length) = <[u8; 4]>::try_from(length)
        {
            let length = u32::from_be_bytes(length);
            return Ok((first, Some(usize::try_from(length).unwrap_or(usize::MAX))));
        }
    }
    Ok((first, None))
}

fn overdue_status() -> Status {
    RpcError::RequestOverdue { seconds: MAX_RECEIVE_TIME.as_secs() }.into()
}

// === impl ResumedBody ===

impl http_body::Body for ResumedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(frame) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.rest).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some(overdue) = &mut self.overdue else { return Poll::Pending };
        overdue.as_mut().poll(cx).map(|()| Some(Err(overdue_status())))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }
}
