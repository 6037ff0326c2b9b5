//! Commands of the user: a server, or a command that gives a server a policy.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::difference::{ANSWER_TIMEOUT, CannotRun};

/// The time for a server to end after SIGTERM, and the time for a running server to make a
/// policy active.
pub(super) const ACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A command with all its child processes. Dropping it kills all of them.
pub(super) struct Process(Child);

// === impl Process ===

impl Process {
    pub(super) fn start(command: &str, mut shell: Command) -> Result<Self, CannotRun> {
        let started = shell.spawn();
        started.map(Self).map_err(|error| CannotRun(format!("cannot run `{command}`: {error}")))
    }

    /// Waits for the end of a command that must succeed.
    pub(super) async fn wait_for_success(mut self, command: &str) -> Result<(), CannotRun> {
        match timeout(ANSWER_TIMEOUT, self.0.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CannotRun(format!("`{command}` failed: {status}"))),
            Ok(Err(error)) => Err(CannotRun(format!("cannot wait for `{command}`: {error}"))),
            Err(_) => Err(CannotRun(format!(
                "`{command}` did not end within {} s",
                ANSWER_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Ends the command with SIGTERM, or with SIGKILL if it does not end in time.
    pub(super) async fn terminate(mut self) {
        self.send_signal(Signal::TERM);
        // Dropping `self` kills a process that has not ended in time.
        let _ = timeout(ACTION_TIMEOUT, self.0.wait()).await;
    }

    /// The exit status, or `None` while the command runs.
    pub(super) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    fn send_signal(&self, signal: Signal) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // Fails if the group has already ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.send_signal(Signal::KILL);
    }
}
