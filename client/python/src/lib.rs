//! The native half of the Python package `presence_router`: makes the calls
//! and evaluates their answers in threads of its own, off Twisted's reactor.
//!
//! Reading order: `router` is what Python sees; `calls` makes one call with
//! all that belongs to it; `synapse_answer`, `hides`, `known_users` and `error`,
//! which know no Python, turn answers into what Synapse takes; `everyone` is an
//! answer that is kept; `follow` waits for changes; `room` asks about new rooms;
//! `runtime` owns the threads; `completion` brings a result into the reactor's thread.

mod calls;
mod completion;
mod error;
mod everyone;
mod follow;
mod hides;
mod known_users;
mod room;
mod router;
mod runtime;
mod synapse_answer;

/// The extension module `presence_router._native`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::everyone::Everyone;
    #[pymodule_export]
    use super::router::Router;
    #[pymodule_export]
    use super::router::check_address;
    #[pymodule_export]
    use super::router::is_server_name;

    /// Of the whole wheel.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
