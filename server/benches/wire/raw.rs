//! A codec that decodes nothing, so that the client costs little; and a server
//! that does no more, whose cost is the transport's.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::bytes::{Buf, BufMut};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Bytes, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

/// Messages as the bytes that they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

/// Answers whatever comes by deliveries without anything in them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor;

/// Field 3 of a `RouteStatesResponse`, empty.
const NO_DELIVERIES: &[u8] = &[3 << 3 | 2, 0];

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

// === impl Raw ===

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
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
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}

// === impl Floor ===

impl NamedService for Floor {
    const NAME: &'static str = "presence_router.v1.PresenceRouterService";
}

impl Service<http::Request<Body>> for Floor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(Raw).streaming(Self, request).await) })
    }
}

impl StreamingService<Bytes> for Floor {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let answers = request.into_inner().map(|request| {
            request?;
            Ok(Bytes::from_static(NO_DELIVERIES))
        });
        std::future::ready(Ok(Response::new(Box::pin(answers))))
    }
}
