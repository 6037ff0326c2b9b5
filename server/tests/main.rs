//! The program as a process: what it prints, what it returns, how it answers
//! signals. What it decides is tested in the workspace's own `tests/`.

// Helper functions are exempt from lints on panics only behind `cfg(test)`.

/// A daemon as a process, and programs that end by themselves.
#[cfg(test)]
mod harness;

/// Addresses of a daemon, in the verbs and in the log.
#[cfg(test)]
mod addresses;
/// What the callers of calls and streams are sent at the end, and the lines of it.
#[cfg(test)]
mod call_ends;
/// `check`: all problems, or a summary, and the exit code.
#[cfg(test)]
mod check;
/// `conformance`: what a server that speaks the contract passes.
#[cfg(test)]
#[cfg(feature = "conformance")]
mod conformance;
/// Limits of open files.
#[cfg(test)]
mod descriptors;
/// Variables of the environment.
#[cfg(test)]
mod environment;
/// The examples of `docs/cli.md`, run as they stand.
#[cfg(test)]
mod examples;
/// `explain` of shared rooms.
#[cfg(test)]
mod explain_rooms;
/// A load that failed: the log, `show --about`, and another try.
#[cfg(test)]
mod failed_load;
/// `graph`.
#[cfg(test)]
mod graph;
/// Files that are half written.
#[cfg(test)]
mod half_written;
/// `--help`.
#[cfg(test)]
mod help;
/// Policies larger than other messages may be.
#[cfg(test)]
mod large;
/// Sockets that are in use, dead, not ours, or not allowed.
#[cfg(test)]
mod listen;
/// What the log says of calls, and what it never says.
#[cfg(test)]
mod log;
/// Logs that nobody reads, or that cannot be written.
#[cfg(test)]
mod log_reader;
/// Members files that lost their users, are too long, or cannot be found.
#[cfg(test)]
mod members_files;
/// `plan`, of a daemon and of two files.
#[cfg(test)]
mod plan;
/// `check` with warnings, tests of a folder, and what Synapse cannot do; `schema`.
#[cfg(test)]
mod policies;
/// `explain`, `verify`, `show`, `reload` and `check --addr`.
#[cfg(test)]
mod policy_commands;
/// Flags over environment over file over defaults.
#[cfg(test)]
mod precedence;
/// SIGHUP.
#[cfg(test)]
mod reload;
/// `sample`, and that the daemon takes what it prints.
#[cfg(test)]
mod sample;
/// SIGTERM and SIGINT, once and twice.
#[cfg(test)]
mod shutdown;
/// Policies and settings that `serve` does not start with.
#[cfg(test)]
mod start;
/// Connections: who may keep one, and why it was closed.
#[cfg(test)]
mod transport;
/// A change of the policy's files, and every way of making one.
#[cfg(test)]
mod watch;
/// What a first start prints, and that nobody has to read it.
#[cfg(test)]
mod welcome;
/// `verify` of a server that is wrong, and verbs that it does not know.
#[cfg(test)]
mod wrong_answers;
