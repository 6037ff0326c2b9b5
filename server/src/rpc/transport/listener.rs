//! Sockets: binds all of them before anything is served, and accepts a bounded number of
//! connections.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::peer::Peer;
use super::seldom_line::SeldomLine;

/// The permissions of a Unix socket: its owner and its group may use it.
const SOCKET_MODE: u32 = 0o660;

/// Wait after a failed `accept`. The causes, above all a lack of file descriptors, do not
/// disappear by an immediate retry.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// The bound address, for messages.
    address: String,
    /// The file of a Unix socket, removed with the listener.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Removes the file of a Unix socket after the last use of the socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that the file of a later daemon stays.
    id: (u64, u64),
}

/// The reason why the daemon cannot listen on a socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Calls are not authenticated.
    #[error(
        "refusing to listen on {0}: calls are not authenticated yet, so every program that \
         reaches the port could query all users; use a loopback address such as 127.0.0.1, or a \
         Unix socket"
    )]
    NotLoopback(SocketAddr),

    /// Another program uses the port.
    #[error(
        "cannot listen on {0}: the port is in use; stop the program that uses it, or choose \
         another port"
    )]
    PortInUse(SocketAddr),

    /// A running process uses the socket.
    #[error(
        "cannot listen on `{}`: another process answers there; stop it, or choose another path",
        .0.display()
    )]
    PathInUse(PathBuf),

    /// The path has a file that the daemon must not replace.
    #[error(
        "cannot listen on `{}`: the file there is not a socket; remove it, or choose another path",
        .0.display()
    )]
    NotASocket(PathBuf),

    /// The directory of the socket does not exist.
    #[error(
        "cannot listen on `{}`: its directory does not exist; create it, or choose another path",
        .0.display()
    )]
    NoDirectory(PathBuf),

    /// The path exceeds the system's limit for sockets.
    #[error(
        "cannot listen on `{}`: the path is too long for a socket; choose one of at most 100 bytes",
        .0.display()
    )]
    PathTooLong(PathBuf),

    /// Any other failure.
    #[error("cannot listen on `{address}`: {error}")]
    Io {
        /// The address of the socket.
        address: String,
        /// The error of the system.
        error: io::Error,
    },
}

/// An accepted connection.
pub(in crate::rpc) struct Connection {
    pub(super) socket: Box<dyn Duplex>,
    pub(super) peer: Peer,
    /// Admits another client when it is dropped.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Both directions of a connection of any kind.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

// === impl Listener ===

impl Listener {
    /// Binds a TCP port. Port 0 means any free port.
    ///
    /// # Errors
    ///
    /// The address is not a loopback one, or cannot be bound.
    pub async fn bind_tcp(address: SocketAddr) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let io = |error| ListenError::Io { address: address.to_string(), error };
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::PortInUse(address),
            _ => io(error),
        })?;
        let address = listener.local_addr().map_err(io)?.to_string();
        Ok(Self { socket: Socket::Tcp(listener), address, _file: None })
    }

    /// Binds a Unix socket. Replaces the file that a dead process left.
    ///
    /// # Errors
    ///
    /// A running process or another file has the path, or it cannot be bound.
    pub async fn bind_unix(path: &Path) -> Result<Self, ListenError> {
        let io = |error| ListenError::Io { address: path.display().to_string(), error };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let found = std::fs::symlink_metadata(path).map_err(io)?;
                if !found.file_type().is_socket() {
                    return Err(ListenError::NotASocket(path.to_owned()));
                }
                match UnixStream::connect(path).await {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    // A process whose queue is full is running as well.
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Err(io(error));
                    }
                    _ => return Err(ListenError::PathInUse(path.to_owned())),
                }
                std::fs::remove_file(path).map_err(io)?;
                UnixListener::bind(path).map_err(io)?
            }
            bound => bound.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ListenError::NoDirectory(path.to_owned()),
                io::ErrorKind::InvalidInput => ListenError::PathTooLong(path.to_owned()),
                _ => io(error),
            })?,
        };
        let id = SocketFile::file_id(path).map_err(io)?;
        let file = Some(SocketFile { path: path.to_owned(), id });
        std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE)).map_err(io)?;
        let address = format!("unix:{}", path.display());
        Ok(Self { socket: Socket::Unix(listener), address, _file: file })
    }

    /// The address that clients connect to: `127.0.0.1:9470` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Accepts connections until `stop` is cancelled, and passes them to `serve`. While all
    /// permits are in use, one more client waits here, and all others in the kernel's queue.
    pub(in crate::rpc) async fn accept_connections(
        self,
        permits: Arc<Semaphore>,
        stop: CancellationToken,
        serve: impl Fn(Connection),
    ) {
        let (mut failures, mut crowds) = (SeldomLine::default(), SeldomLine::default());
        loop {
            // Accept first, then take a permit, so that an idle listener holds none.
            let next = async {
                let (socket, peer) = self.socket.accept_socket().await?;
                if permits.available_permits() == 0
                    && let Some(times) = crowds.count_and_admit()
                {
                    warn!(
                        address = self.address,
                        times,
                        "`limits.connections` is reached: a client waits until another one leaves"
                    );
                }
                let permit = Arc::clone(&permits).acquire_owned().await;
                let permit = permit.map_err(io::Error::other)?;
                Ok::<_, io::Error>(Connection { socket, peer, permit })
            };
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match next {
                Ok(connection) => serve(connection),
                Err(error) => {
                    if let Some(times) = failures.count_and_admit() {
                        warn!(address = self.address, %error, times, "cannot accept a connection");
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(ACCEPT_RETRY) => {}
                    }
                }
            }
        }
    }
}

impl Socket {
    async fn accept_socket(&self) -> io::Result<(Box<dyn Duplex>, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are written whole, so that a wait for more bytes only delays them.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::Unix(stream.peer_cred().ok().and_then(|cred| cred.pid()));
                Ok((Box::new(stream), peer))
            }
        }
    }
}

// === impl SocketFile ===

impl SocketFile {
    fn file_id(path: &Path) -> io::Result<(u64, u64)> {
        std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::file_id(&self.path).is_ok_and(|id| id == self.id) {
            // No remedy for a failure here.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

// === impl Connection ===

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}
