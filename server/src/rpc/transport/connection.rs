//! Serves one connection from its first byte to its last: HTTP/2 by hyper.
//!
//! The daemon drops a client that does not send the beginning of HTTP/2: after [`GREETING`], or
//! at once during shutdown. At shutdown, a connection ends when its calls are answered; the
//! daemon does not wait for a client that does not even acknowledge the end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::call::{CallService, CallSettings};
use super::client_io::{ClientIo, Trace};
use super::close_reason::CloseReason;
use crate::rpc::transport::access_log::{CallLog, ConnectionLog};
use crate::rpc::transport::listener::Connection;

/// The longest wait for the bytes that every HTTP/2 client begins with.
const GREETING: Duration = Duration::from_secs(10);

/// The longest wait for a client to acknowledge the end of its connection, once all its calls
/// are answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// The number of streams and calls that one connection may have at a time. Further ones wait in
/// the client.
const STREAMS_PER_CONNECTION: u32 = 128;

/// The interval between two pings of a silent connection, and the longest wait for an answer, so
/// that dead peers do not keep others out.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// The longest time for which a client may answer nothing, or leave bytes unread.
const SILENCE: Duration = KEEPALIVE.0.saturating_add(KEEPALIVE.1);

/// The largest size of a request's headers, in bytes.
const HEADER_BYTES: u32 = 8 * 1024;

/// The bytes that a client may send before the daemon reads them: on a connection,
/// and on each of its streams. It limits the memory that the requests of one connection take.
///
/// h2 charges an unread message of fewer than 256 bytes for the rest to 256, and closes a
/// connection whose charges reach half of its window: 32,768 unread messages are always allowed,
/// as the contract and `integration.md` state. A single stream cannot reach this limit, even if
/// the client sends far ahead and its ids are short: messages of 16 bytes fill the stream's
/// window first, and the client waits.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const STREAM_WINDOW: u32 = CONNECTION_WINDOW / 32;

/// The number of streams that a connection may make the daemon reset, over its whole life. Only
/// a broken client causes such resets.
const RESET_STREAMS: usize = 256;

/// The server of all connections.
#[derive(Debug)]
pub(in crate::rpc) struct ConnectionServer {
    http2: Builder<TokioExecutor>,
    services: Routes,
    settings: CallSettings,
    log: Arc<CallLog>,
    farewell: Duration,
    /// Cancelled when the daemon no longer waits for unfinished calls.
    cut_off: CancellationToken,
}

// === impl ConnectionServer ===

impl ConnectionServer {
    /// Returns a server of these services. `shutdown` is the longest wait for unfinished calls at
    /// shutdown.
    pub(in crate::rpc) fn new(
        services: Routes,
        settings: CallSettings,
        log: Arc<CallLog>,
        shutdown: Duration,
        cut_off: CancellationToken,
    ) -> Self {
        let mut http2 = Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_local_error_reset_streams(RESET_STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1);
        let farewell = FAREWELL.min(shutdown / 2);
        Self { http2, services: services.prepare(), settings, log, farewell, cut_off }
    }

    /// Serves a connection to its end.
    pub(in crate::rpc) async fn serve_connection(&self, connection: Connection) {
        let Connection { socket, peer, permit } = connection;
        let log = Arc::new(ConnectionLog::new(Arc::clone(&self.log), peer));
        let trace = Arc::new(Trace::default());
        let io = ClientIo::new(socket, Arc::clone(&trace), SILENCE);
        let ended = self.serve_bytes(io, &trace, &log).await;
        // The socket is closed: admit another client.
        drop(permit);
        let reason = match ended {
            Ok(reason) => reason,
            Err(error) => CloseReason::from_error(&error, &trace, SILENCE),
        };
        reason.log_line(&log);
    }

    async fn serve_bytes(
        &self,
        io: ClientIo,
        trace: &Trace,
        log: &Arc<ConnectionLog>,
    ) -> hyper::Result<CloseReason> {
        let service =
            CallService::new(self.services.clone(), Arc::clone(log), self.settings.clone());
        let service = TowerToHyperService::new(service);
        let mut served = pin!(self.http2.serve_connection(TokioIo::new(io), service));
        let mut overdue = pin!(sleep(GREETING));
        let mut is_greeting = true;
        loop {
            tokio::select! {
                ended = served.as_mut() => return ended.map(|()| CloseReason::InOrder),
                () = overdue.as_mut(), if is_greeting => {
                    if !trace.has_greeted() {
                        return Ok(CloseReason::NoGreeting);
                    }
                    is_greeting = false;
                }
                () = self.settings.drain.cancelled() => break,
            }
        }
        if !trace.has_greeted() {
            return Ok(CloseReason::NoGreeting);
        }
        served.as_mut().graceful_shutdown();
        tokio::select! {
            ended = served.as_mut() => ended.map(|()| CloseReason::InOrder),
            () = self.wait_for_farewell(log) => Ok(CloseReason::InOrder),
            () = self.cut_off.cancelled() => Ok(CloseReason::CutOff),
        }
    }

    /// Waits until all calls are finished, and then for the time in which a client may
    /// acknowledge the end.
    async fn wait_for_farewell(&self, log: &ConnectionLog) {
        let under_way = log.under_way();
        under_way.close();
        loop {
            under_way.wait().await;
            sleep(self.farewell).await;
            if under_way.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;
    use crate::logging::captured::Captured;
    use crate::rpc::transport::peer::Peer;

    /// Client authors rely on the limits in the pages.
    #[test]
    fn the_pages_state_these_limits() {
        let page = include_str!("../../../docs/integration.md");
        let contract = include_str!("../../../../proto/presence_router/v1/route_states.proto");
        let contract = contract.replace("\n// ", " ");
        let (mib, kib) = (CONNECTION_WINDOW / 1024 / 1024, STREAM_WINDOW / 1024);
        assert!(
            page.contains(&format!("{kib} KiB of requests on a stream, {mib} MiB on a connection"))
        );
        assert!(contract.contains(&format!("{kib} KiB on a stream and {mib} MiB on a connection")));
        // Half of the window, by what the shortest message costs.
        let unread = CONNECTION_WINDOW / 2 / 256;
        let unread = format!("{},{:03} messages", unread / 1000, unread % 1000);
        assert!(page.contains(&unread) && contract.contains(&unread), "{unread}");
        assert!(page.contains(&format!("| {RESET_STREAMS} streams that the daemon has to reset")));
        assert!(page.contains(&format!("| {STREAMS_PER_CONNECTION} calls and streams at a time")));
        assert!(page.contains(&format!("| {} seconds from the connection", GREETING.as_secs())));
        assert!(
            page.contains(&format!("| {} seconds in which a client answers", SILENCE.as_secs()))
        );
        assert!(page.contains(&format!("| {} KiB of headers", HEADER_BYTES / 1024)));
    }

    const GREETING_OF_A_CLIENT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    /// Serves the other end of a connection whose client runs this function. Returns the
    /// duration of the connection.
    async fn lifetime<F: Future>(
        client: impl FnOnce(DuplexStream) -> F,
        buffer: usize,
    ) -> Duration {
        let (ours, theirs) = duplex(buffer);
        let settings = CallSettings { request_bytes: 1, drain: CancellationToken::new() };
        let log = Arc::new(CallLog::default());
        let patience = Duration::from_secs(10);
        let server = ConnectionServer::new(
            Routes::default(),
            settings,
            log,
            patience,
            CancellationToken::new(),
        );
        let permits = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let connection = Connection { socket: Box::new(ours), peer: Peer::Unix(Some(7)), permit };
        let begun = Instant::now();
        tokio::select! {
            () = server.serve_connection(connection) => {}
            _ = client(theirs) => panic!("the client ended first"),
        }
        assert_eq!(permits.available_permits(), 1, "another client may come in");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_greet_is_dropped() {
        let captured = Captured::start();
        let silent = |client| async move {
            let _client: DuplexStream = client;
            std::future::pending::<()>().await
        };
        assert_eq!(lifetime(silent, 4096).await, GREETING);
        let hangs = |mut client: DuplexStream| async move {
            client.write_all(&GREETING_OF_A_CLIENT[..32]).await.unwrap();
            std::future::pending::<()>().await
        };
        assert_eq!(lifetime(hangs, 4096).await, GREETING);
        let lines = captured.lines("connection closed: the client sent no HTTP/2 preface");
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.starts_with("DEBUG")), "{lines:?}");
    }

    /// The client has sent the beginning of HTTP/2, and then its machine is gone.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_nothing_is_closed() {
        let captured = Captured::start();
        let dead = |mut client: DuplexStream| async move {
            client.write_all(GREETING_OF_A_CLIENT).await.unwrap();
            std::future::pending::<()>().await
        };
        assert_eq!(lifetime(dead, 4096).await.as_secs(), SILENCE.as_secs());
        let lines = captured.lines("the client has answered nothing for 40s");
        assert!(lines.len() == 1 && lines[0].trim_start().starts_with("INFO"), "{lines:?}");
    }

    /// A stopped process reads nothing, so that the daemon can write nothing to it, not even the
    /// end.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_closed() {
        let captured = Captured::start();
        let pings = |client: DuplexStream| async move {
            let (mut read, mut write) = tokio::io::split(client);
            let mut first = [0; 9];
            write.write_all(GREETING_OF_A_CLIENT).await.unwrap();
            read.read_exact(&mut first).await.unwrap();
            // Each is answered, until there is no room for answers.
            loop {
                if write.write_all(b"\0\0\x08\x06\0\0\0\0\0question").await.is_err() {
                    return;
                }
            }
        };
        assert_eq!(lifetime(pings, 64).await.as_secs(), SILENCE.as_secs());
        let lines = captured.lines("the client has read nothing for 40s");
        assert!(lines.len() == 1 && lines[0].trim_start().starts_with("INFO"), "{lines:?}");
    }
}
