//! Streams against a daemon that the test plays: what the real one does, will
//! do, and must never do.

#[cfg(test)]
mod fake;
/// Answers from memory, through outages and within a budget.
#[cfg(test)]
mod near_cache;

/// What a daemon must not do, and that it costs no more than a stream.
#[cfg(test)]
mod protocol_violations;
/// Requests over `RouteStates`.
#[cfg(test)]
mod route;
/// Changes over `WatchChanges`.
#[cfg(test)]
mod watch;
