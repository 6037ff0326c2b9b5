//! The server under test, with the policy of a scenario active. The server is started for the
//! scenario, or runs already.

use std::process::Stdio;
use std::time::Duration;

use presence_router_proto::v1::GetInterestedUsersRequest;
use presence_router_proto::v1::presence_router_service_client::PresenceRouterServiceClient;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::args::ConformanceArgs;
use super::difference::{ANSWER_TIMEOUT, CannotRun};
use super::process::{ACTION_TIMEOUT, Process};
use super::scenario::Scenario;
use crate::cli::daemon_client::{self, Address};

/// The time between two attempts to reach a server.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A server under test that answers requests.
pub(super) struct TargetServer {
    channel: Channel,
    process: Option<Process>,
    /// The policy and the socket.
    _folder: TempDir,
}

// === impl TargetServer ===

impl TargetServer {
    pub(super) async fn with_policy_of(
        scenario: &Scenario,
        arguments: &ConformanceArgs,
    ) -> Result<Self, CannotRun> {
        let folder = tempfile::tempdir()
            .map_err(|error| CannotRun(format!("cannot make a temporary folder: {error}")))?;
        let policy = folder.path().join("policy.yaml");
        std::fs::write(&policy, &scenario.policy)
            .map_err(|error| CannotRun(format!("cannot write `{}`: {error}", policy.display())))?;
        let socket = folder.path().join("router.sock");
        let address = match &arguments.addr {
            Some(address) => address.clone(),
            None => format!("unix:{}", socket.display())
                .parse()
                .map_err(|why| CannotRun(format!("`{}`: {why}", socket.display())))?,
        };
        let shell = |command: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).stdin(Stdio::null()).env("SCENARIO", &scenario.name);
            shell.env("POLICY", &policy).env("SOCKET", &socket);
            // Standard output is for the table.
            shell.stdout(std::io::stderr()).process_group(0);
            shell
        };
        let mut process = match &arguments.serve {
            Some(command) => Some(Process::start(command, shell(command))?),
            None => None,
        };
        let channel = connect_when_ready(&address, process.as_mut()).await?;
        let server = Self { channel, process, _folder: folder };
        let revision = server.current_revision().await?;
        if let Some(command) = &arguments.apply {
            Process::start(command, shell(command))?.wait_for_success(command).await?;
            server.wait_for_another_revision(&revision).await?;
        }
        Ok(server)
    }

    pub(super) fn client(&self) -> PresenceRouterServiceClient<Channel> {
        PresenceRouterServiceClient::new(self.channel.clone())
    }

    /// Closes the connection, and ends the process if there is one.
    pub(super) async fn shut_down(self) {
        drop(self.channel);
        if let Some(process) = self.process {
            process.terminate().await;
        }
    }

    /// Returns the current revision, after waiting until the server answers at all.
    async fn current_revision(&self) -> Result<String, CannotRun> {
        let until = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let request = GetInterestedUsersRequest {
                server_names: vec!["example.org".into()],
                user_id: "@nobody:example.org".into(),
                at_least: String::new(),
                capabilities: Vec::new(),
            };
            let mut client = self.client();
            let answer = timeout(ANSWER_TIMEOUT, client.get_interested_users(request)).await;
            match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
                Ok(answer) => return Ok(answer.into_inner().revision),
                Err(status) if status.code() != Code::Unavailable || Instant::now() > until => {
                    let (code, why) = (status.code(), status.message());
                    return Err(CannotRun(format!(
                        "the server does not answer GetInterestedUsers: {code:?}: {why}"
                    )));
                }
                Err(_) => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    /// Waits until another policy is active, for a bounded time: the revision stays the same if
    /// the server had this policy before.
    async fn wait_for_another_revision(&self, revision: &str) -> Result<(), CannotRun> {
        let until = Instant::now() + ACTION_TIMEOUT;
        while self.current_revision().await? == revision && Instant::now() < until {
            sleep(RETRY_INTERVAL).await;
        }
        Ok(())
    }
}

/// Connects as soon as the server listens, unless its process has ended.
async fn connect_when_ready(
    address: &Address,
    mut process: Option<&mut Process>,
) -> Result<Channel, CannotRun> {
    let until = Instant::now() + ANSWER_TIMEOUT;
    loop {
        let error = match timeout(ANSWER_TIMEOUT, address.endpoint.connect()).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(error)) => daemon_client::root_cause(&error),
            Err(_) => "no answer".to_owned(),
        };
        if let Some(status) = process.as_mut().and_then(|process| process.exit_status()) {
            return Err(CannotRun(format!("the server ended before it listened: {status}")));
        }
        // Waits only for a started process: a server that runs already either listens or not.
        if process.is_none() || Instant::now() > until {
            return Err(CannotRun(format!("cannot connect to `{address}`: {error}")));
        }
        sleep(RETRY_INTERVAL).await;
    }
}
