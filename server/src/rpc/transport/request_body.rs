//! The body of a request.
//!
//! It records that the caller went away, since no caller receives the answer that the service
//! then gives, such as that the request is incomplete.
//!
//! It also reads on for a while after its service has stopped reading. A client cannot know yet
//! that its call was rejected, and h2 charges the connection for ever for short messages that
//! arrive on a stream after its reset. A client that sends ahead would sooner or later lose all
//! its streams because some of them were rejected.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::rpc::transport::access_log::CallRecord;

/// The longest time for which the daemon reads on after the end of a call: h2 ignores messages on
/// a reset stream for the same time.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// The body of an unfinished request.
#[derive(Debug)]
pub(super) struct RequestBody<B: Body + Send + Unpin + 'static> {
    /// `None` once it has ended.
    inner: Option<B>,
    record: Arc<CallRecord>,
    drain: CancellationToken,
}

// === impl RequestBody ===

impl<B: Body + Send + Unpin + 'static> RequestBody<B> {
    /// Returns a body that is not read on after `drain` is cancelled.
    pub(super) fn new(inner: B, record: Arc<CallRecord>, drain: CancellationToken) -> Self {
        Self { inner: Some(inner), record, drain }
    }
}

impl<B: Body + Send + Unpin + 'static> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let next = Pin::new(inner).poll_frame(cx);
        match next {
            Poll::Ready(Some(Err(_))) => {
                self.inner = None;
                self.record.lose_caller();
            }
            Poll::Ready(None) => self.inner = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl<B: Body + Send + Unpin + 'static> Drop for RequestBody<B> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) else { return };
        // There is no runtime when the process ends.
        if let Ok(runtime) = Handle::try_current() {
            let drain = self.drain.clone();
            runtime.spawn(async move {
                tokio::select! {
                    _ = timeout(LEFTOVERS, read_to_end(inner)) => {}
                    () = drain.cancelled() => {}
                }
            });
        }
    }
}

async fn read_to_end<B: Body + Unpin>(mut body: B) {
    loop {
        let next = std::future::poll_fn(|cx| {
            let frame = Pin::new(&mut body).poll_frame(cx);
            frame.map(|frame| matches!(frame, Some(Ok(_))))
        });
        if !next.await {
            return;
        }
        tokio::task::consume_budget().await;
    }
}
