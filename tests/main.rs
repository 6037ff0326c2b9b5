//! All integration tests that need no process of their own, in one binary.

// Helper functions are exempt from lints on panics only behind `cfg(test)`.

/// A daemon in this process, and clients of it.
#[cfg(test)]
mod harness;
/// A small homeserver that has handed over its whole presence decision.
#[cfg(test)]
mod homeserver;
/// `visible`, as naive as can be, and nothing else.
#[cfg(test)]
mod oracle;
/// Random policies and users.
#[cfg(test)]
mod worlds;

/// Engine, unary calls and stream agree with the oracle on random worlds.
#[cfg(test)]
mod agreement;
/// Bad input: a clear refusal, and nothing else disturbed.
#[cfg(test)]
mod bad_input;
/// Changes as a client that remembers hears of them.
#[cfg(test)]
mod changes;
/// The Rust client's streams against the daemon.
#[cfg(test)]
mod client;
/// Sets of the greatest depth, with rooms, through a client.
#[cfg(test)]
mod deep_sets;
/// Edits of the directory, against a rebuild.
#[cfg(test)]
mod edits;
/// What is explained and verified, against the oracle.
#[cfg(test)]
mod explain;
/// The corpora of the fuzz targets, replayed.
#[cfg(test)]
mod fuzz;
/// The page for authors of homeservers: its code is that of the files it names.
#[cfg(test)]
mod integration_page;
/// The answers that a join ends.
#[cfg(test)]
mod joins;
/// Crates and modules use those below them, and never in a circle.
#[cfg(test)]
mod layers;
/// The servers that a stream names, and the destinations that follow from them.
#[cfg(test)]
mod named_servers;
/// The near-cache of the Rust client against the oracle, through changes and failures.
#[cfg(test)]
mod near_cache;
/// Clients that evaluate nothing of rooms, or some conditions only.
#[cfg(test)]
mod older_clients;
/// Plans count what is found pair by pair.
#[cfg(test)]
mod plans;
/// `PolicyService`, call by call.
#[cfg(test)]
mod policy_service;
/// Reflection, in the version that older tools speak; grpcurl speaks the newer.
#[cfg(test)]
mod reflection;
/// Loading again: what counts as a change, and what a broken file changes.
#[cfg(test)]
mod reload;
/// Streams of clients that come back with the answers of an earlier stream.
#[cfg(test)]
mod resume;
/// `OnCreateRoom`, over gRPC.
#[cfg(test)]
mod rooms;
/// The scenario files, through engine, unary calls and stream.
#[cfg(test)]
mod scenarios;
/// What rules in shadow would have changed is counted.
#[cfg(test)]
mod shadows;
/// The rules of the stream that worlds and scenarios do not reach.
#[cfg(test)]
mod stream;
/// `Touch`: the answers that a client says it still uses.
#[cfg(test)]
mod touch;
/// `WatchChanges`, and what waits for a revision.
#[cfg(test)]
mod watch_changes;
/// The small homeserver, through random rooms, policies and outages.
#[cfg(test)]
mod whole_decision;
/// The server's types for batches, against prost's.
#[cfg(test)]
mod wire;
