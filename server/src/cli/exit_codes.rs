//! The exit codes of each command, as its `--help` prints them. The text of a command
//! names no other command.

pub(super) const SERVE: &str = "\
Exit codes:
  0  the daemon shut down in order
  1  the daemon failed while it served, or cut off calls while it shut down
  2  the daemon did not start: bad arguments, settings, policy or socket

Signals:
  SIGHUP           load the policy again; if it has problems, the previous policy stays active
  SIGTERM, SIGINT  shut down in order: finish open calls; a second signal ends the daemon at once";

pub(super) const CHECK: &str = "\
Exit codes:
  0  the policy is valid, perhaps with warnings, and all tests passed
  1  the policy has problems, or a test failed
  2  nothing was checked: bad arguments, an unreadable file, or no daemon at `--addr`";

pub(super) const EXPLAIN: &str = "\
Exit codes:
  0  the explanation was printed; with `--quiet`: the sender is visible to the recipient
  1  with `--quiet` only: the sender is not visible to the recipient, or this depends on
     shared rooms
  2  no explanation: bad arguments, a policy with problems, or no daemon";

pub(super) const VERIFY: &str = "\
Exit codes:
  0  all compared answers are right
  1  an answer is wrong, which is a bug in presence-router
  2  nothing was compared: bad arguments, a policy with problems, or no daemon";

pub(super) const PLAN: &str = "\
Exit codes:
  0  the preview was printed
  1  the candidate has problems
  2  no preview: bad arguments, an unreadable file, problems in the policy of `--policy`, or no
     daemon";

pub(super) const GRAPH: &str = "\
Exit codes:
  0  the graph was printed
  2  no graph: bad arguments, an unreadable policy, or a policy with problems";

pub(super) const SHOW: &str = "\
Exit codes:
  0  the policy was printed
  2  nothing was printed: bad arguments, or no daemon";

pub(super) const RELOAD: &str = "\
Exit codes:
  0  the daemon loaded the policy, or the policy is unchanged
  1  the daemon rejected the policy, which has problems or is unreadable; the previous policy
     stays active
  2  nothing was loaded: bad arguments, or no daemon";

pub(super) const PRINT: &str = "\
Exit codes:
  0  the text was printed
  2  the text was not printed: bad arguments, or standard output is not writable";

#[cfg(feature = "conformance")]
pub(super) const CONFORMANCE: &str = r#"A scenario is a policy with the right answers for some users. The server under test must answer
from the policy of the scenario. `sh` runs each COMMAND with these variables:
  $POLICY    file with the policy of the scenario
  $SCENARIO  name of the scenario, for servers with another policy language
  $SOCKET    Unix socket to listen on, if there is no `--addr`

Examples:
  presence-router conformance \
      --serve 'presence-router serve --policy "$POLICY" --listen-unix "$SOCKET"'
  presence-router conformance --addr 127.0.0.1:9470 \
      --apply 'cp "$POLICY" policy.yaml && kill -HUP $(pidof presence-router)'
  presence-router conformance --addr 127.0.0.1:9470 --only teams

Exit codes:
  0  all scenarios passed
  1  a scenario failed
  2  not all scenarios ran: bad arguments or scenarios, no server, or a COMMAND that failed"#;
