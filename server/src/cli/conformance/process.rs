//! Commands of whoever runs the scenarios: a server, or what gives it a policy.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::difference::{CannotRun, PATIENCE};

/// Time that a server has to end by itself, and that a running one has to make a policy
/// active after it was told to.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A command with all that it has started. Killed when dropped.
pub(super) struct Process(Child);

// === impl Process ===

impl Process {
    pub(super) fn start(command: &str, mut shell: Command) -> Result<Self, CannotRun> {
        let started = shell.spawn();
        started.map(Self).map_err(|error| CannotRun(format!("cannot run `{command}`: {error}")))
    }

    /// Waits for the end of a command that must succeed.
    pub(super) async fn wait_for_success(mut self, command: &str) -> Result<(), CannotRun> {
        match timeout(PATIENCE, self.0.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CannotRun(format!("`{command}` failed: {status}"))),
            Ok(Err(error)) => Err(CannotRun(format!("cannot wait for `{command}`: {error}"))),
            Err(_) => Err(CannotRun(format!("`{command}` does not end"))),
        }
    }

    pub(super) async fn end(mut self) {
        self.signal(Signal::TERM);
        // Who does not end in time is killed when dropped.
        let _ = timeout(GRACE, self.0.wait()).await;
    }

    /// The exit status, once the command has ended.
    pub(super) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    fn signal(&self, signal: Signal) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
