//! Wraps all services, and follows each call from its headers to the head of its answer; the
//! [`response_body`](super::response_body) follows it from there.
//!
//! A caller always gets a status, also at the call's deadline, and after a panic of a service. An
//! error of the transport gets the details that all errors have. The access log records every
//! call, even a cancelled one.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::Service;

use super::request_body::RequestBody;
use super::response_body::CallBody;
use crate::rpc::error::RpcError;
use crate::rpc::transport::access_log::{CallRecord, ConnectionLog, UnaryStats, deadline_passed};

/// The services, as one connection calls them.
#[derive(Clone, Debug)]
pub(super) struct CallService<S> {
    services: S,
    connection: Arc<ConnectionLog>,
    settings: CallSettings,
}

/// The settings of all calls.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct CallSettings {
    /// The limit to report for a message that is too large.
    pub(in crate::rpc) request_bytes: usize,
    /// Cancelled when answers that have nothing to send must end.
    pub(in crate::rpc) drain: CancellationToken,
}

/// A call whose answer has not begun.
#[derive(Debug)]
pub(super) struct CallFuture<F> {
    /// `None` once the call was answered.
    call: Option<Call<F>>,
}

#[derive(Debug)]
struct Call<F> {
    answer: F,
    record: Arc<CallRecord>,
    deadline: Option<Pin<Box<Sleep>>>,
    settings: CallSettings,
}

// === impl CallService ===

impl<S> CallService<S> {
    pub(super) fn new(services: S, connection: Arc<ConnectionLog>, settings: CallSettings) -> Self {
        Self { services, connection, settings }
    }
}

impl<S, B> Service<http::Request<B>> for CallService<S>
where
    S: Service<http::Request<RequestBody<B>>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Unpin,
    B: http_body::Body + Send + Unpin + 'static,
{
    type Response = http::Response<CallBody>;
    type Error = Infallible;
    type Future = CallFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let record = CallRecord::begin_call(&self.connection, &request);
        request.extensions_mut().insert(self.connection.peer.clone());
        request.extensions_mut().insert(Arc::clone(&record));
        let deadline = record.deadline().map(|deadline| Box::pin(sleep_until(deadline.instant())));
        let (call, drain) = (Arc::clone(&record), self.settings.drain.clone());
        let request = request.map(|body| RequestBody::new(body, call, drain));
        let answer = self.services.call(request);
        CallFuture {
            call: Some(Call { answer, record, deadline, settings: self.settings.clone() }),
        }
    }
}

// === impl CallFuture ===

impl<F> Future for CallFuture<F>
where
    F: Future<Output = Result<http::Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<http::Response<CallBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Not reached: a future is not polled after its end.
        let Some(call) = &mut self.call else { return Poll::Pending };
        let Some(response) = call.poll_response(cx) else { return Poll::Pending };
        let Some(call) = self.call.take() else { return Poll::Pending };
        Poll::Ready(Ok(call.begin_answer(response)))
    }
}

impl<F> Drop for CallFuture<F> {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.record.note_abandoned();
        }
    }
}

// === impl Call ===

impl<F> Call<F>
where
    F: Future<Output = Result<http::Response<Body>, Infallible>> + Unpin,
{
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Option<http::Response<Body>> {
        let answer = &mut self.answer;
        // After a panic, the answer is not polled again, only dropped.
        match catch_unwind(AssertUnwindSafe(|| Pin::new(answer).poll(cx))) {
            Ok(Poll::Ready(Ok(response))) => return Some(response),
            Ok(Poll::Ready(Err(never))) => match never {},
            Ok(Poll::Pending) => {}
            // The panic hook has written the reason.
            Err(_) => return Some(Status::from(RpcError::Internal).into_http()),
        }
        let (timer, deadline) = self.deadline.as_mut().zip(self.record.deadline())?;
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Some(Status::deadline_exceeded(deadline_passed(deadline)).into_http())
            }
            Poll::Pending => None,
        }
    }

    fn begin_answer(self, mut response: http::Response<Body>) -> http::Response<CallBody> {
        let Self { record, deadline, settings, .. } = self;
        // Only errors have their status in the head of the response.
        if let Some(status) = Status::from_header_map(response.headers()) {
            let limit = settings.request_bytes;
            let status = with_details(status, record.call_path(), limit, &mut response);
            record.note_refusal(&status);
        }
        if let Some(stats) = response.extensions_mut().remove::<UnaryStats>() {
            record.set_unary_stats(stats);
        }
        response.map(|body| CallBody::new(body, record, deadline, settings.drain))
    }
}

/// Adds the details that all errors have to an error of the transport.
fn with_details(
    status: Status,
    path: &str,
    request_bytes: usize,
    response: &mut http::Response<Body>,
) -> Status {
    let error = RpcError::from_transport(&status, path, request_bytes)
        .filter(|_| status.details().is_empty());
    let Some(error) = error else { return status };
    let detailed = Status::from(error);
    match detailed.add_header(response.headers_mut()) {
        Ok(()) => detailed,
        Err(_) => status,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body::{Body as _, Frame};
    use hyper::body::Bytes;
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::logging::captured::Captured;
    use crate::rpc::transport::access_log::CallLog;
    use crate::rpc::transport::peer::Peer;

    /// An answer whose body polls this function.
    struct Answer<F>(F);

    impl<F: FnMut() -> Poll<Option<Result<Frame<Bytes>, Status>>> + Unpin> http_body::Body
        for Answer<F>
    {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            (self.0)()
        }
    }

    /// Calls a service. Returns the status that the caller gets, and the line in the log.
    async fn status_of<F>(service: impl Fn() -> F, timeout: Option<&str>) -> (Code, String)
    where
        F: Future<Output = Result<http::Response<Body>, Infallible>> + 'static,
    {
        let captured = Captured::start();
        let connection =
            Arc::new(ConnectionLog::new(Arc::new(CallLog::default()), Peer::Unix(None)));
        let drain = CancellationToken::new();
        let settings = CallSettings { request_bytes: 1, drain };
        let services = service_fn(move |_| Box::pin(service()));
        let service = CallService::new(services, connection, settings);
        let mut request = http::Request::new(Body::empty());
        *request.uri_mut() = "/presence_router.v1.Test/Method".parse().unwrap();
        if let Some(timeout) = timeout {
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        let Ok(response) = service.oneshot(request).await;
        let in_head = Status::from_header_map(response.headers());
        let mut body = Box::pin(response.into_body());
        let mut last = None;
        if !body.is_end_stream() {
            while let Some(Ok(frame)) =
                std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await
            {
                last = frame.into_trailers().ok();
            }
        }
        drop(body);
        let in_trailers = last.and_then(|trailers| Status::from_header_map(&trailers));
        let line = captured.lines("Method").pop().unwrap();
        (in_head.or(in_trailers).map_or(Code::Unknown, |status| status.code()), line)
    }

    fn answer(
        body: impl FnMut() -> Poll<Option<Result<Frame<Bytes>, Status>>> + Unpin + Send + 'static,
    ) -> Result<http::Response<Body>, Infallible> {
        Ok(http::Response::new(Body::new(Answer(body))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_always_gets_a_status() {
        let panics = || async { panic!("in the head") };
        let (code, line) = status_of(panics, None).await;
        assert_eq!(code, Code::Internal);
        assert!(line.contains("code=Internal"), "{line}");

        let panics = || async { answer(|| panic!("in the body")) };
        let (code, line) = status_of(panics, None).await;
        assert_eq!(code, Code::Internal);
        assert!(line.contains("code=Internal"), "{line}");

        let fails = || async { answer(|| Poll::Ready(Some(Err(Status::data_loss("gone"))))) };
        let (code, line) = status_of(fails, None).await;
        assert_eq!(code, Code::DataLoss);
        assert!(line.contains("code=DataLoss") && line.contains("gone"), "{line}");

        // An answer that has ended cannot get a status any more.
        let ends = || async { answer(|| Poll::Ready(None)) };
        let (code, line) = status_of(ends, None).await;
        assert_eq!(code, Code::Unknown);
        assert!(line.contains("code=Unknown"), "{line}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_also_ends_an_answer_that_never_waits() {
        let hangs = || std::future::pending();
        let (code, line) = status_of(hangs, Some("3S")).await;
        assert_eq!(code, Code::DeadlineExceeded);
        assert!(line.contains("the call's deadline of 3s passed"), "{line}");

        let begins = || async { answer(|| Poll::Pending) };
        assert_eq!(status_of(begins, Some("3S")).await.0, Code::DeadlineExceeded);

        let pours = || async {
            let begun = tokio::time::Instant::now();
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(begun.elapsed() >= Duration::from_secs(2));
            answer(|| Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))))
        };
        assert_eq!(status_of(pours, Some("1S")).await.0, Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_refusal_of_the_transport_gets_details() {
        let refuses = || async { Ok(Status::out_of_range("too much").into_http()) };
        let (code, line) = status_of(refuses, None).await;
        assert_eq!(code, Code::OutOfRange);
        assert!(line.contains("`limits.request_bytes`, 1"), "{line}");
    }
}
