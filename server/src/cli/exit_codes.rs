//! The meaning of each command's exit codes, as its `--help` shows it. Names no
//! other command.

pub(super) const SERVE: &str = "\
Exit codes:
  0  shut down in order
  1  failed while serving, or calls were cut off while shutting down
  2  did not start: bad arguments, settings, policy or socket

Signals:
  SIGHUP           load the policy again; one with problems changes nothing
  SIGTERM, SIGINT  shut down in order; a second one at once";

pub(super) const CHECK: &str = "\
Exit codes:
  0  valid, and all tests passed; there may be warnings
  1  the policy has problems, or a test failed
  2  cannot run: bad arguments, a file that cannot be read, or no daemon at `--addr`";

pub(super) const EXPLAIN: &str = "\
Exit codes:
  0  explained, be it visible or not; with `--quiet`: visible
  1  with `--quiet` only: not visible
  2  cannot run: bad arguments, a policy with problems, or no daemon";

pub(super) const VERIFY: &str = "\
Exit codes:
  0  all answers are what the policy says
  1  an answer is wrong
  2  cannot run: bad arguments, a policy with problems, or no daemon";

pub(super) const PLAN: &str = "\
Exit codes:
  0  planned
  1  the candidate has problems
  2  cannot run: bad arguments, a file that cannot be read, a present policy with problems, or no
     daemon";

pub(super) const GRAPH: &str = "\
Exit codes:
  0  drawn
  2  cannot run: bad arguments, or a policy that has problems or cannot be read";

pub(super) const SHOW: &str = "\
Exit codes:
  0  shown
  2  cannot run: bad arguments, or no daemon";

pub(super) const RELOAD: &str = "\
Exit codes:
  0  loaded, or unchanged
  1  refused: the policy has problems, or cannot be read; the one before it stays active
  2  cannot run: bad arguments, or no daemon";

pub(super) const PRINT: &str = "\
Exit codes:
  0  printed
  2  cannot run: bad arguments, or standard output cannot be written";

#[cfg(feature = "conformance")]
pub(super) const CONFORMANCE: &str = r#"Every scenario needs its policy to be active. COMMANDs are for `sh`, with
  $POLICY    file with the policy of the scenario
  $SCENARIO  name of the scenario, for servers with policies of their own language
  $SOCKET    Unix socket to listen on, unless --addr says where

Examples:
  presence-router conformance \
      --serve 'presence-router serve --policy "$POLICY" --listen-unix "$SOCKET"'
  presence-router conformance --addr 127.0.0.1:9470 \
      --apply 'cp "$POLICY" policy.yaml && kill -HUP $(pidof presence-router)'
  presence-router conformance --addr 127.0.0.1:9470 --only teams

Exit codes:
  0  all passed
  1  some failed
  2  cannot run: bad arguments or scenarios, no server, a COMMAND that failed"#;
