//! Asks a running daemon, with the generated client of the contract.

mod address;
mod candidates;

use std::error::Error;

use presence_router_proto::v1::policy_service_client::PolicyServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

pub(crate) use self::address::Address;
use self::candidates::Candidates;
use super::environment;
use super::output::print_error;

/// The client of the service for operators.
pub(crate) type Client = PolicyServiceClient<Channel>;

/// Asks the daemon at an address, or without one at the default addresses. The error names
/// each address with its origin, and a remedy.
pub(crate) fn ask_daemon<T>(
    address: Option<&Address>,
    call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
) -> Result<T, String> {
    let candidates = Candidates::for_flag(address)?;
    if let Candidates::Default { .. } = candidates {
        for warning in environment::misspelt_variables(&[environment::ADDR]) {
            print_error(&format!("warning: {warning}"));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the client: {error}"))?;
    runtime.block_on(async {
        let (channel, address) = connect_to_first(&candidates).await?;
        let daemon = format!("the daemon at `{address}`{}", candidates.origin());
        // This client does not know a bound for the size of a policy; the daemon has one.
        let client = Client::new(channel).max_decoding_message_size(usize::MAX);
        call(client).await.map(Response::into_inner).map_err(|status| match status.code() {
            Code::Unimplemented => format!(
                "{daemon} does not know this call: it is another version of presence-router, or \
                 another program"
            ),
            _ if status.source().is_some() => {
                format!("{daemon} did not answer: {}", root_cause(&status))
            }
            _ => format!("{daemon} refused the request: {}", status.message()),
        })
    })
}

/// Connects to the first of these addresses that accepts a connection.
async fn connect_to_first<'a>(
    candidates: &'a Candidates<'_>,
) -> Result<(Channel, &'a Address), String> {
    let mut failures = Vec::new();
    for address in candidates.addresses() {
        match address.endpoint.connect().await {
            Ok(channel) => return Ok((channel, address)),
            Err(error) => {
                failures.push(format!(
                    "`{address}`{}: {}",
                    candidates.origin(),
                    root_cause(&error)
                ));
            }
        }
    }
    failures.extend(candidates.left_out().map(str::to_owned));
    Err(format!(
        "cannot reach a daemon at {}; start a daemon with `presence-router serve`, or give its \
         address with `--addr`",
        failures.join("; ")
    ))
}

/// The innermost cause of an error. The outer errors say less.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Two default addresses; nothing listens at the first.
    fn defaults(second: &str) -> Candidates<'static> {
        let addresses = ["unix:/nowhere/socket", second].map(|address| address.parse().unwrap());
        Candidates::Default { addresses: addresses.into(), left_out: None }
    }

    #[tokio::test]
    async fn the_second_default_is_asked_if_nothing_listens_at_the_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = listener.local_addr().unwrap().to_string();
        let candidates = defaults(&second);
        let (_, address) = connect_to_first(&candidates).await.unwrap();
        assert_eq!(address.to_string(), second);
    }

    #[tokio::test]
    async fn the_error_names_each_address_with_its_origin() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = connect_to_first(&defaults(&second)).await.unwrap_err();
        let want = format!(
            "cannot reach a daemon at `unix:/nowhere/socket` (a default): No such file or \
             directory (os error 2); `{second}` (a default): Connection refused (os error 111); \
             start a daemon with "
        );
        assert!(error.starts_with(&want), "{error}");

        let left_out = Some("`unix:/x` was not tried: why".to_owned());
        let candidates = Candidates::Default { addresses: Vec::new(), left_out };
        let error = connect_to_first(&candidates).await.unwrap_err();
        assert!(
            error.contains(" at `unix:/x` was not tried: why; start a daemon with "),
            "{error}"
        );
    }
}
