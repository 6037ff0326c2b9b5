//! The address of a daemon, as a person writes it, and the addresses to try when nobody
//! does. Connects to nothing.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;
use std::{fmt, io, str::FromStr};

use presence_router_server::config::{DEFAULT_TCP, DEFAULT_UNIX};
use rustix::process::geteuid;
use tonic::transport::Endpoint;

use crate::cli::environment;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The time between two pings to a daemon that does not answer yet, and the longest wait
/// for the answer to one. A call itself may take as long as it needs.
const ALIVE: Duration = Duration::from_secs(10);

/// Addresses that are valid, for messages.
const VALID: &str = "valid are `host:port` and `unix:/path/to/socket`";

/// The address of a daemon: `host:port` or `unix:/path`.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    written: String,
    pub(crate) endpoint: Endpoint,
}

/// The addresses to try, in their order, by origin.
#[derive(Debug)]
pub(super) enum Candidates<'a> {
    /// The one that was given by `--addr`.
    Flag(&'a Address),
    /// The one of `PRESENCE_ROUTER_ADDR`.
    Variable(Box<Address>),
    /// Those that hold when neither is set.
    Default {
        addresses: Vec<Address>,
        /// The default socket, if it must not be trusted, and why.
        left_out: Option<String>,
    },
}

// === impl Candidates ===

impl<'a> Candidates<'a> {
    /// The addresses to try for this value of `--addr`.
    ///
    /// # Errors
    ///
    /// `PRESENCE_ROUTER_ADDR` is not valid.
    pub(super) fn for_flag(flag: Option<&'a Address>) -> Result<Self, String> {
        if let Some(address) = flag {
            return Ok(Self::Flag(address));
        }
        if let Some(address) = environment::read_text(environment::ADDR, Address::from_str)? {
            return Ok(Self::Variable(Box::new(address)));
        }
        Ok(Self::by_default(Path::new(DEFAULT_UNIX), &[0, geteuid().as_raw()]))
    }

    fn by_default(socket: &Path, trusted_users: &[u32]) -> Self {
        let (mut addresses, mut left_out) = (Vec::new(), None);
        let written = format!("unix:{}", socket.display());
        match reason_to_distrust(socket, trusted_users) {
            None => addresses.extend(written.parse().ok()),
            Some(why) => left_out = Some(format!("`{written}` was not tried: {why}")),
        }
        addresses.extend(DEFAULT_TCP.to_string().parse().ok());
        Self::Default { addresses, left_out }
    }

    pub(super) fn addresses(&self) -> &[Address] {
        match self {
            Self::Flag(address) => std::slice::from_ref(*address),
            Self::Variable(address) => std::slice::from_ref(&**address),
            Self::Default { addresses, .. } => addresses,
        }
    }

    /// The default that was left out, with the reason.
    pub(super) fn left_out(&self) -> Option<&str> {
        match self {
            Self::Default { left_out, .. } => left_out.as_deref(),
            Self::Flag(_) | Self::Variable(_) => None,
        }
    }

    /// The origin of these addresses, to stand behind one of them in a message. Empty for an
    /// address that was just typed.
    pub(super) fn origin(&self) -> &'static str {
        match self {
            Self::Flag(_) => "",
            Self::Variable(_) => ", set by `PRESENCE_ROUTER_ADDR`",
            Self::Default { .. } => ", a default",
        }
    }
}

/// The reason not to trust a socket, if there is one: in `/tmp`, anybody may make a socket,
/// and answer for the daemon. A missing socket is no reason.
fn reason_to_distrust(socket: &Path, trusted_users: &[u32]) -> Option<String> {
    // Of the file itself: a link is as easily planted.
    match std::fs::symlink_metadata(socket) {
        Ok(file) if !file.file_type().is_socket() => Some("it is not a socket".to_owned()),
        Ok(file) if !trusted_users.contains(&file.uid()) => {
            Some(format!("it belongs to the user {}, who is neither root nor you", file.uid()))
        }
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

// === impl Address ===

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::from_socket_path(path);
        }
        if is_path(text) {
            return Err(format!("a path needs `unix:` before it; write `unix:{text}`"));
        }
        let authority = match text.split_once("://") {
            Some(("http", authority)) => authority,
            Some(("https", _)) => return Err(format!("TLS is not supported; {VALID}")),
            Some(_) => return Err(format!("the scheme is unknown; {VALID}")),
            None => text,
        };
        let endpoint = Endpoint::from_shared(format!("http://{authority}"));
        let endpoint = endpoint.map_err(|_| VALID.to_owned())?;
        if endpoint.uri().port_u16().is_none() {
            return Err(format!("there is no port from 0 to 65535; {VALID}"));
        }
        Ok(Self::new(text.to_owned(), endpoint))
    }
}

impl Address {
    /// The address of a socket, from the text behind `unix:`. A relative path counts from the
    /// current directory.
    fn from_socket_path(text: &str) -> Result<Self, String> {
        let path = match text.strip_prefix("//") {
            Some(path) if !path.starts_with('/') => {
                let what = "an absolute path stands behind `unix://`, so there are three slashes";
                return Err(format!("{what}; {VALID}"));
            }
            Some(path) => path,
            None => text,
        };
        if path.is_empty() {
            return Err(format!("there is no path behind `unix:`; {VALID}"));
        }
        let path = std::path::absolute(path).map_err(|error| {
            format!("the current directory is unknown ({error}); write the full path")
        })?;
        let path = path.display();
        // In this form no leading slash is taken for a part of the scheme.
        let endpoint = Endpoint::from_shared(format!("unix://{path}"));
        Ok(Self::new(format!("unix:{path}"), endpoint.map_err(|_| VALID.to_owned())?))
    }

    fn new(written: String, endpoint: Endpoint) -> Self {
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE);
        Self { written, endpoint }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Tells a path without `unix:` from a host and a port.
fn is_path(text: &str) -> bool {
    let begins = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start));
    begins || text.ends_with(".sock") && !text.contains("://")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn defaults(socket: &Path, trusted_users: &[u32]) -> (Vec<String>, Option<String>) {
        match Candidates::by_default(socket, trusted_users) {
            Candidates::Default { addresses, left_out } => {
                (addresses.iter().map(Address::to_string).collect(), left_out)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_of_root_or_of_the_user_comes_before_the_port() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let both = vec![format!("unix:{}", socket.display()), "127.0.0.1:9470".to_owned()];
        assert_eq!(defaults(&socket, &[0]), (both.clone(), None), "not there yet");
        let _listener = UnixListener::bind(&socket).unwrap();
        let owner = socket.metadata().unwrap().uid();
        assert_eq!(defaults(&socket, &[owner]), (both, None));
    }

    #[test]
    fn a_socket_that_somebody_planted_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let [socket, link, file] = ["socket", "link", "file"].map(|name| folder.path().join(name));
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink(&socket, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        let owner = socket.metadata().unwrap().uid();
        for (path, trusted, why) in [
            (&socket, owner + 1, format!("it belongs to the user {owner}, who is neither")),
            (&link, owner, "it is not a socket".to_owned()),
            (&file, owner, "it is not a socket".to_owned()),
        ] {
            let (addresses, left_out) = defaults(path, &[trusted]);
            assert_eq!(addresses, ["127.0.0.1:9470"]);
            let left_out = left_out.unwrap();
            let want = format!("`unix:{}` was not tried: {why}", path.display());
            assert!(left_out.starts_with(&want), "{left_out}");
        }
    }
}
