//! Asks a running daemon, by the contract's own client.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, str::FromStr};

use presence_router_proto::v1::policy_service_client::PolicyServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How often a daemon that does not answer yet is asked whether it is there, and
/// how long that may take. A call itself may take as long as it needs.
const ALIVE: Duration = Duration::from_secs(10);

/// The client of the service for operators.
pub(crate) type Client = PolicyServiceClient<Channel>;

/// Where a daemon listens: `host:port` or `unix:/path`.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    written: String,
    endpoint: Endpoint,
}

/// Asks a daemon. The error says what, where and what to do.
pub(crate) fn ask<T>(
    Address { written, endpoint }: &Address,
    call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let channel = endpoint.connect().await.map_err(|error| {
            format!(
                "cannot reach a daemon at `{written}`: {}; start one by `presence-router serve`, \
                 or say by `--addr` where it listens",
                cause(&error)
            )
        })?;
        // What a policy is has no bound that is known here; the daemon has one.
        let client = Client::new(channel).max_decoding_message_size(usize::MAX);
        call(client).await.map(Response::into_inner).map_err(|status| match status.code() {
            Code::Unimplemented => format!(
                "the daemon at `{written}` does not know this call: it is of another version, or \
                 no presence-router"
            ),
            _ if status.source().is_some() => {
                format!("the daemon at `{written}` did not answer: {}", cause(&status))
            }
            _ => format!("the daemon at `{written}` refuses: {}", status.message()),
        })
    })
}

/// What an error comes from. What stands around it says less.
fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

// === impl Address ===

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = "valid are `host:port` and `unix:/path/to/socket`";
        let uri = match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => text.to_owned(),
            Some(_) => return Err(format!("the path of a socket must be absolute; {valid}")),
            None => format!("http://{}", text.strip_prefix("http://").unwrap_or(text)),
        };
        let endpoint = Endpoint::from_shared(uri).map_err(|_| valid.to_owned())?;
        if !text.starts_with("unix:") && endpoint.uri().port_u16().is_none() {
            return Err(format!("there is no port from 0 to 65535; {valid}"));
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE);
        Ok(Self { written: text.to_owned(), endpoint })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let written = address.to_string();
        // An IP address and a port are a URI.
        let endpoint = Endpoint::from_shared(format!("http://{written}"));
        let endpoint = endpoint.unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:9470"));
        Self { written, endpoint: endpoint.connect_timeout(CONNECT) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
