//! The request log: one line for each call at info, never a user id. Calls of
//! health checks and reflection are at debug, as they come by themselves.
//!
//! It stands around all services, so that calls which the transport refuses
//! before they reach one are logged too, and get the contract's error details.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Code, Request, Response, Status};
use tower::{Layer, Service};
use tracing::{debug, info};

use super::fault::Fault;
use super::listener::Peer;
use super::stream::Tally;
use crate::logging::CALLS;
use crate::revision::Revision;

/// What a unary call was about. Travels in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// States or questions in the request.
    pub(super) asked: usize,
    /// Entries of the answer.
    pub(super) answered: usize,
    /// The revision of the answer.
    pub(super) revision: Revision,
}

/// The log of one stream, written when it ends.
#[derive(Debug)]
pub(super) struct StreamLog {
    method: &'static str,
    peer: Option<Peer>,
    since: Instant,
}

/// Puts [`AccessLog`] around services.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessLayer {
    /// The limit that a refused message exceeded.
    pub(super) request_bytes: usize,
}

/// Logs the calls of a service.
#[derive(Clone, Debug)]
pub(super) struct AccessLog<S> {
    inner: S,
    request_bytes: usize,
}

// === impl Answered ===

impl Answered {
    /// An answer with this note for the log.
    pub(super) fn on<T>(self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        response.extensions_mut().insert(self);
        response
    }
}

// === impl StreamLog ===

impl StreamLog {
    pub(super) fn new<T>(method: &'static str, request: &Request<T>) -> Self {
        Self { method, peer: request.extensions().get().cloned(), since: Instant::now() }
    }

    pub(super) fn ended(self, tally: &Tally, refused: Option<&Status>) {
        let peer = self.peer.map(tracing::field::display);
        let Tally { batches, states, interests, refused: requests_refused, revision } = tally;
        let revision = revision.map(tracing::field::display);
        let seconds = self.since.elapsed().as_secs_f64();
        let code = refused.map_or(Code::Ok, Status::code);
        let why = refused.map(Status::message);
        info!(
            method = self.method,
            peer,
            ?code,
            batches,
            states,
            interests,
            requests_refused,
            revision,
            seconds,
            why,
            "stream ended"
        );
    }
}

// === impl AccessLayer ===

impl<S> Layer<S> for AccessLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner, request_bytes: self.request_bytes }
    }
}

// === impl AccessLog ===

impl<S> Service<http::Request<Body>> for AccessLog<S>
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
        let path = request.uri().path().to_owned();
        let peer: Option<Peer> = request.extensions().get().cloned();
        let since = Instant::now();
        let request_bytes = self.request_bytes;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            // Only refusals have their status in the head of the response.
            let status = Status::from_header_map(response.headers());
            let status = status.map(|status| explained(status, request_bytes, &mut response));
            let answered = response.extensions().get::<Answered>();
            log(&path, peer, since, status.as_ref(), answered);
            Ok(response)
        })
    }
}

/// Gives a refusal of the transport's the details that all refusals have.
fn explained(status: Status, request_bytes: usize, response: &mut http::Response<Body>) -> Status {
    let fault = Fault::of_transport(&status, request_bytes).filter(|_| status.details().is_empty());
    let Some(fault) = fault else { return status };
    let explained = Status::from(fault);
    match explained.add_header(response.headers_mut()) {
        Ok(()) => explained,
        Err(_) => status,
    }
}

fn log(
    path: &str,
    peer: Option<Peer>,
    since: Instant,
    status: Option<&Status>,
    answered: Option<&Answered>,
) {
    let mut parts = path.rsplit('/');
    let (method, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let peer = peer.map(tracing::field::display);
    let code = status.map_or(Code::Ok, Status::code);
    let why = status.map(Status::message);
    let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    if !service.starts_with("presence_router.") {
        debug!(method, service, peer, ?code, why, micros, "call");
    } else if matches!(method, "RouteStates" | "WatchChanges") && status.is_none() {
        // Told when it ends, with what it did.
        debug!(method, peer, "stream began");
    } else if let Some(Answered { asked, answered, revision }) = answered {
        info!(target: CALLS, method, peer, ?code, asked, answered, %revision, micros, "call");
    } else {
        info!(method, peer, ?code, why, micros, "call");
    }
}
