//! The body of an answer, until the status is sent to the caller.
//!
//! It ends at the call's deadline, and at shutdown once all ready frames are sent: answers with
//! nothing to send at that moment, such as those of health watches and reflection, get a reason
//! instead of a cut connection. A body that panics ends with a status as well.

use std::convert::Infallible;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Frame;
use hyper::body::{Buf, Bytes};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use crate::rpc::error::RpcError;
use crate::rpc::transport::access_log::{CallRecord, deadline_passed};

/// The body of an unfinished answer.
#[derive(Debug)]
pub(super) struct CallBody {
    /// `None` after the end.
    inner: Option<Body>,
    record: Arc<CallRecord>,
    deadline: Option<Pin<Box<Sleep>>>,
    drain: Drain,
}

/// The wait for the shutdown.
#[derive(Debug)]
enum Drain {
    /// The answer has always been ready so far.
    NotAwaited(CancellationToken),
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
}

/// Bytes of an answer. The call counts as unfinished until the transport has written the bytes
/// or given them up.
#[derive(Debug)]
pub(super) struct AnswerBytes {
    bytes: Bytes,
    _under_way: TaskTrackerToken,
}

// === impl CallBody ===

impl CallBody {
    pub(super) fn new(
        body: Body,
        record: Arc<CallRecord>,
        deadline: Option<Pin<Box<Sleep>>>,
        drain: CancellationToken,
    ) -> Self {
        Self { inner: Some(body), record, deadline, drain: Drain::NotAwaited(drain) }
    }

    /// Ends the answer with a status, and drops the rest of the answer.
    fn end_with(&mut self, status: &Status) -> Frame<AnswerBytes> {
        self.inner = None;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            // The text cannot be a header: send the code without it.
            let _ = Status::new(status.code(), "").add_header(&mut trailers);
        }
        self.record.note_status(status);
        Frame::trailers(trailers)
    }

    /// Passes a frame on to the caller. Notes the status that its trailers contain.
    fn pass_on(&mut self, frame: Frame<Bytes>) -> Frame<AnswerBytes> {
        if let Some(trailers) = frame.trailers_ref() {
            self.inner = None;
            match trailers.get("grpc-status") {
                Some(status) if status == "0" => self.record.note_ok(),
                _ => {
                    let status = Status::from_header_map(trailers);
                    self.record.note_status(&status.unwrap_or_else(no_status));
                }
            }
        }
        let record = &self.record;
        frame.map_data(|bytes| AnswerBytes { bytes, _under_way: record.keep_under_way() })
    }

    /// The status that ends the answer early: at the deadline, or at shutdown.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if let Some((timer, deadline)) = self.deadline.as_mut().zip(self.record.deadline())
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Status::deadline_exceeded(deadline_passed(deadline)));
        }
        self.drain.poll(cx).map(|()| RpcError::ShuttingDown.into())
    }

    /// Returns true if the deadline has passed. Without this check, an answer that always has
    /// more to send would not end at its deadline.
    fn is_overdue(&self) -> bool {
        let timer = self.deadline.as_ref();
        timer.is_some_and(|timer| timer.deadline() <= Instant::now())
    }
}

/// The status that callers assume for an answer without one.
fn no_status() -> Status {
    Status::new(Code::Unknown, "the answer had no status")
}

impl http_body::Body for CallBody {
    type Data = AnswerBytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<AnswerBytes>, Infallible>>> {
        let is_overdue = self.is_overdue();
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let next = if is_overdue {
            Ok(Poll::Pending)
        } else {
            // After a panic, the body is not polled again, only dropped.
            catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx)))
        };
        let frame = match next {
            Ok(Poll::Ready(Some(Ok(frame)))) => self.pass_on(frame),
            Ok(Poll::Ready(Some(Err(status)))) => self.end_with(&status),
            Ok(Poll::Ready(None)) => {
                self.inner = None;
                // Has no effect if the status was in the head.
                self.record.note_status(&no_status());
                return Poll::Ready(None);
            }
            Ok(Poll::Pending) => match self.poll_end(cx) {
                Poll::Ready(status) => self.end_with(&status),
                Poll::Pending => return Poll::Pending,
            },
            // The panic hook has written the reason.
            Err(_) => self.end_with(&RpcError::Internal.into()),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for CallBody {
    fn drop(&mut self) {
        // Has no effect if a status was sent.
        self.record.note_abandoned();
    }
}

// === impl Drain ===

impl Drain {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::NotAwaited(token) = self {
            *self = Self::Awaited(Box::pin(token.clone().cancelled_owned()));
        }
        match self {
            Self::Awaited(cancelled) => cancelled.as_mut().poll(cx),
            // Not reached.
            Self::NotAwaited(_) => Poll::Pending,
        }
    }
}

// === impl AnswerBytes ===

impl Buf for AnswerBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
