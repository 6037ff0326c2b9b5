//! The native half of the Python package `presence_router`: makes the calls
//! and evaluates their answers in threads of its own, off Twisted's reactor.
//!
//! Reading order: `router` is what Python sees; `calls` makes one call with
//! all that belongs to it; `keys`, `hides`, `usable` and `memory`, which know no
//! Python, turn answers into what Synapse takes; `everyone` is an answer that is
//! kept; `follow` waits for changes; `room` asks about new rooms; `ids` says what
//! an id is; `process` owns the threads; `completion` brings a result into the
//! reactor's thread.

mod calls;
mod completion;
mod everyone;
mod follow;
mod hides;
mod keys;
mod memory;
mod process;
mod room;
mod router;
mod usable;

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
