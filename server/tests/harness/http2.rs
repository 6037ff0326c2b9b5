//! HTTP/2 below gRPC, for what no generated client does: frames by hand, and calls
//! whose parts a test sends one by one.

use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request};

use super::within;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const SERVICE: &str = "/presence_router.v1.PresenceRouterService";

/// Types and flags of frames.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection of frames that a test writes by hand.
pub(crate) struct Frames(TcpStream);

/// A frame that the daemon sent.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection of an HTTP/2 client without gRPC.
#[derive(Clone)]
pub(crate) struct Http2(SendRequest<Bytes>);

/// A call on one.
pub(crate) struct RawCall {
    pub(crate) request: SendStream<Bytes>,
    answer: ResponseFuture,
}

/// A message as gRPC puts it on the wire.
pub(crate) fn message(message: &impl prost::Message) -> Bytes {
    let length = u32::try_from(message.encoded_len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message.encode_to_vec()].concat().into()
}

// === impl Frames ===

impl Frames {
    /// Connects, and greets as every client does.
    pub(crate) async fn connect(address: &str) -> Self {
        let mut frames = Self(TcpStream::connect(address).await.unwrap());
        frames.0.write_all(PREFACE).await.unwrap();
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // Of a connection that the daemon closed: the test reads why.
        let _ = self.0.write_all(&[&head, payload].concat()).await;
    }

    /// A call that stays open.
    pub(crate) async fn begin_call(&mut self, stream: u32) {
        let path = format!("{SERVICE}/GetInterestedUsers");
        let path = [&[0x04, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat();
        // POST, http, and a path and an authority that the table does not have.
        let block = [&[0x83, 0x86], &path[..], &[0x01, 1], b"x"].concat();
        self.write(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// Raises the window of a stream or, by 0, of the connection.
    pub(crate) async fn raise_window(&mut self, stream: u32, by: u32) {
        self.write(WINDOW_UPDATE, 0, stream, &by.to_be_bytes()).await;
    }

    /// Acknowledges a ping that nobody sent.
    pub(crate) async fn unasked_ack(&mut self) {
        self.write(PING, ACK, 0, b"whatever").await;
    }

    /// Sends a ping, and reads until it is acknowledged or the daemon says goodbye.
    pub(crate) async fn ping(&mut self) -> Frame {
        self.write(PING, 0, 0, b"question").await;
        loop {
            let frame = self.next().await.expect("the connection is open");
            match frame.kind {
                PING if frame.flags & ACK != 0 => return frame,
                GOAWAY => return frame,
                _ => {}
            }
        }
    }

    /// The next frame. `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        within("a frame", async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame { kind: head[3], flags: head[4], payload })
        })
        .await
    }
}

// === impl Http2 ===

impl Http2 {
    /// Connects, with windows that hold all that a test is sent.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::with_window(address, 64 * 1024 * 1024).await
    }

    /// Connects with a window of so many bytes for each stream.
    pub(crate) async fn with_window(address: &str, window: u32) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut http2 = h2::client::Builder::new();
        http2.initial_window_size(window).initial_connection_window_size(64 * 1024 * 1024);
        let (requests, connection) = within("HTTP/2", http2.handshake(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(requests)
    }

    /// Begins a call of `PresenceRouterService`, without a message yet.
    pub(crate) async fn call(&self, method: &str, headers: &[(&str, &str)]) -> RawCall {
        let mut request = Request::post(format!("http://localhost{SERVICE}/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = within("a stream", self.0.clone().ready()).await.unwrap();
        let (answer, request) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        RawCall { request, answer }
    }
}

// === impl RawCall ===

impl RawCall {
    /// Waits for the head of the answer, and keeps the call.
    pub(crate) async fn answer(&mut self) -> RecvStream {
        within("the head of an answer", &mut self.answer).await.unwrap().into_body()
    }

    /// Waits for the head of the answer, with which the request ends.
    pub(crate) async fn head(self) -> Result<(HeaderMap, RecvStream), h2::Error> {
        let answer = within("the head of an answer", self.answer).await?;
        let (head, body) = answer.into_parts();
        Ok((head.headers, body))
    }

    /// Gives it up, as a client does whose caller went away.
    pub(crate) fn cancel(mut self) {
        self.request.send_reset(Reason::CANCEL);
    }
}

/// The status that ends an answer: its number.
pub(crate) fn status(headers: &HeaderMap) -> &str {
    headers["grpc-status"].to_str().unwrap()
}

/// The messages that these bytes are, as gRPC puts them on the wire.
pub(crate) fn messages<M: prost::Message + Default>(mut bytes: &[u8]) -> Vec<M> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        messages.push(M::decode(&bytes[5..5 + length]).unwrap());
        bytes = &bytes[5 + length..];
    }
    messages
}

/// Reads an answer to its end: its bytes and its trailers.
pub(crate) async fn read_to_end(body: &mut RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let read = async {
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            bytes.extend_from_slice(&data);
            body.flow_control().release_capacity(data.len())?;
        }
        Ok((bytes, body.trailers().await?.expect("a status")))
    };
    within("the end of an answer", read).await
}
