//! The bytes of one connection. Records that the client has sent the beginning of HTTP/2, gives
//! up a client that reads nothing, and keeps the last bytes that were written: the HTTP/2 library
//! reports the reason of a closed connection to the client only.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::rpc::transport::listener::Duplex;

/// The bytes with which an HTTP/2 client begins: a text of 24 bytes, and a frame
/// `SETTINGS`, whose head has nine.
const GREETING_BYTES: usize = 24 + 9;

/// The number of last written bytes to keep: enough for a frame `GOAWAY` with the longest reason
/// of the library.
const TAIL_BYTES: usize = 128;

/// The length of a frame's head, and the type of the frame that ends a connection.
const FRAME_HEAD: usize = 9;
const GOAWAY: u8 = 7;

/// The length of the fields before the reason in a `GOAWAY`: a stream and a code.
const GOAWAY_HEAD: usize = 8;

/// The socket of a connection.
pub(super) struct ClientIo {
    socket: Box<dyn Duplex>,
    trace: Arc<Trace>,
    tail: Vec<u8>,
    /// Bytes of the greeting that are still missing.
    missing: usize,
    /// The longest time that a client may leave its bytes unread.
    patience: Duration,
    /// Runs while the socket takes no bytes.
    unread: Option<Pin<Box<Sleep>>>,
}

/// The facts that the bytes of a connection show.
#[derive(Debug, Default)]
pub(super) struct Trace {
    has_greeted: AtomicBool,
    first: OnceLock<Vec<u8>>,
    tail: OnceLock<Vec<u8>>,
}

// === impl Trace ===

impl Trace {
    /// Returns true once the client has sent the complete beginning of HTTP/2.
    pub(super) fn has_greeted(&self) -> bool {
        self.has_greeted.load(Relaxed)
    }

    /// The first bytes from the client, even if there are only a few.
    pub(super) fn first(&self) -> &[u8] {
        self.first.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// The reason in the last frame, if the connection is closed and that frame was a `GOAWAY`
    /// with a reason.
    pub(super) fn last_goaway_reason(&self) -> Option<&str> {
        let tail = self.tail.get()?;
        (0..tail.len()).rev().find_map(|start| goaway_reason(tail.get(start..)?))
    }
}

/// The reason in a frame `GOAWAY` that consists of exactly these bytes.
fn goaway_reason(frame: &[u8]) -> Option<&str> {
    let (head, payload) = frame.split_at_checked(FRAME_HEAD)?;
    let length = u32::try_from(payload.len()).ok()?.to_be_bytes();
    let is_goaway = head == [length[1], length[2], length[3], GOAWAY, 0, 0, 0, 0, 0];
    let reason = payload.get(GOAWAY_HEAD..).filter(|reason| is_goaway && !reason.is_empty())?;
    std::str::from_utf8(reason).ok()
}

// === impl ClientIo ===

impl ClientIo {
    pub(super) fn new(socket: Box<dyn Duplex>, trace: Arc<Trace>, patience: Duration) -> Self {
        let (tail, missing) = (Vec::with_capacity(TAIL_BYTES), GREETING_BYTES);
        Self { socket, trace, tail, missing, patience, unread: None }
    }

    fn note_greeting(&mut self, read: &[u8]) {
        if self.missing == 0 || read.is_empty() {
            return;
        }
        self.trace.first.get_or_init(|| read.iter().copied().take(GREETING_BYTES).collect());
        self.missing = self.missing.saturating_sub(read.len());
        if self.missing == 0 {
            self.trace.has_greeted.store(true, Relaxed);
        }
    }

    /// Remembers the last bytes that were written.
    fn note_written(&mut self, slices: &[io::IoSlice<'_>], written: usize) {
        let mut rest = written;
        for slice in slices {
            let part = slice.get(..rest).unwrap_or(slice);
            rest -= part.len();
            let end = part.get(part.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
            let too_many = (self.tail.len() + end.len()).saturating_sub(TAIL_BYTES);
            self.tail.drain(..too_many);
            self.tail.extend_from_slice(end);
        }
    }

    /// Fails if the socket has taken no bytes for too long.
    fn bound_wait<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let patience = self.patience;
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(patience)));
        if unread.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let error = format!("the client has read nothing for {patience:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.note_greeting(buf.filled().get(before..).unwrap_or_default());
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = written {
            self.note_written(bufs, written);
        }
        self.bound_wait(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        // An error is not reached: the value is dropped once.
        let _ = self.trace.tail.set(std::mem::take(&mut self.tail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame `GOAWAY` as the library writes it.
    fn goaway(reason: &[u8]) -> Vec<u8> {
        let length = u8::try_from(GOAWAY_HEAD + reason.len()).unwrap();
        let head = [0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
        [&head[..], &[0, 0, 0, 1, 0, 0, 0, 11], reason].concat()
    }

    fn last_reason_of(writes: &[&[&[u8]]]) -> Option<String> {
        let trace = Arc::new(Trace::default());
        let (socket, _other) = tokio::io::duplex(1);
        let mut io = ClientIo::new(Box::new(socket), Arc::clone(&trace), Duration::MAX);
        for slices in writes {
            let slices: Vec<_> = slices.iter().map(|slice| io::IoSlice::new(slice)).collect();
            let bytes = slices.iter().map(|slice| slice.len()).sum();
            io.note_written(&slices, bytes);
        }
        drop(io);
        trace.last_goaway_reason().map(str::to_owned)
    }

    #[test]
    fn the_reason_of_the_last_frame_is_found() {
        let last = goaway(b"too_many_data_frames");
        let (data, want) = (vec![GOAWAY; 1000], Some("too_many_data_frames".to_owned()));
        assert_eq!(last_reason_of(&[&[&last]]), want);
        assert_eq!(last_reason_of(&[&[&data, &last]]), want);
        assert_eq!(last_reason_of(&[&[&data], &[&data[..3]], &[&last[..5]], &[&last[5..]]]), want);
        assert_eq!(last_reason_of(&[&[&last, &data]]), None);
        assert_eq!(last_reason_of(&[&[&goaway(b"")]]), None);
        assert_eq!(last_reason_of(&[&[&data]]), None);
        assert_eq!(last_reason_of(&[]), None);
    }

    #[test]
    fn only_what_the_socket_took_is_remembered() {
        let trace = Arc::new(Trace::default());
        let (socket, _other) = tokio::io::duplex(1);
        let mut io = ClientIo::new(Box::new(socket), trace, Duration::MAX);
        io.note_written(&[io::IoSlice::new(b"abc"), io::IoSlice::new(b"def")], 4);
        assert_eq!(io.tail, b"abcd");
    }
}
