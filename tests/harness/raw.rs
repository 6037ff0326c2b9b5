//! Calls with bytes instead of messages, for what no generated client sends.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame};

use presence_router_proto::server::presence_router_service_server::SERVICE_NAME;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::codegen::{Bytes, Service};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Sends a message as it is, and drops what comes back.
#[derive(Clone, Copy, Default)]
struct Raw;

/// The status that a call ends with whose request is these bytes, frames and
/// all.
pub(crate) async fn ended_with(channel: &Channel, method: &str, request: &'static str) -> Status {
    encoded_ended_with(channel, method, "identity", request).await
}

/// The same for any service, and for bytes that are no text.
pub(crate) async fn frames_ended_with(channel: &Channel, path: &str, request: Vec<u8>) -> Status {
    let path = PathAndQuery::try_from(path).unwrap();
    sent_ended_with(channel, path, "identity", request).await
}

/// The same for a call that says how its messages are compressed.
pub(crate) async fn encoded_ended_with(
    channel: &Channel,
    method: &str,
    encoding: &str,
    request: &'static str,
) -> Status {
    sent_ended_with(channel, path(method), encoding, request.into()).await
}

async fn sent_ended_with(
    channel: &Channel,
    path: PathAndQuery,
    encoding: &str,
    request: Vec<u8>,
) -> Status {
    let request = Full(Some(request.into()));
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("grpc-encoding", encoding)
        .header("te", "trailers")
        .body(tonic::body::Body::new(request))
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let mut body = pin!(response.into_body());
    loop {
        let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
        let frame = frame.expect("a status at the end").unwrap();
        if let Some(trailers) = frame.trailers_ref() {
            return Status::from_header_map(trailers).unwrap();
        }
    }
}

/// A request of one frame.
struct Full(Option<Bytes>);

impl Body for Full {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

/// A stream of byte messages.
pub(crate) struct RawStream {
    requests: mpsc::UnboundedSender<Vec<u8>>,
    responses: Streaming<()>,
}

/// A unary call with a message of these bytes.
pub(crate) async fn unary(channel: &Channel, method: &str, message: Vec<u8>) -> Result<(), Status> {
    unary_at(channel, path(method).as_str(), message).await
}

/// The same for any service.
pub(crate) async fn unary_at(
    channel: &Channel,
    path: &str,
    message: Vec<u8>,
) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    client.unary(tonic::Request::new(message), path, Raw).await.map(|_| ())
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/{SERVICE_NAME}/{method}")).unwrap()
}

impl RawStream {
    pub(crate) async fn start(channel: &Channel, method: &str) -> Self {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let (requests, outgoing) = mpsc::unbounded_channel();
        let outgoing = tonic::Request::new(UnboundedReceiverStream::new(outgoing));
        let responses = client.streaming(outgoing, path(method), Raw).await.unwrap().into_inner();
        Self { requests, responses }
    }

    pub(crate) fn send(&self, message: Vec<u8>) {
        self.requests.send(message).unwrap();
    }

    /// The status that the daemon ends the stream with.
    pub(crate) async fn refusal(&mut self) -> Status {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.responses.message());
            match next.await.expect("the daemon answers") {
                Ok(Some(())) => {}
                Ok(None) => panic!("the stream ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut;
        out.put_slice(&message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        use bytes::Buf;
        message.advance(message.remaining());
        Ok(Some(()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
