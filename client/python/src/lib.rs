//! The native half of the Python package `presence_router`: makes the calls
//! and evaluates their answers in threads of its own, off Twisted's reactor. These threads
//! never take the GIL; the reactor's thread fetches the results from a queue.
//!
//! Reading order: `router` is the interface to Python; `calls` makes one call with its
//! deadline and its answer; `evaluations` limits the threads that evaluate;
//! `synapse_answer`, `hides`, `known_users` and `error`, which know no Python, convert
//! answers for Synapse; `everyone` is an answer for later use; `follow` waits for changes;
//! `room` asks about new rooms; `runtime` owns the threads;
//! `completion` passes a result to the reactor's thread through the queue of
//! `finished_calls`, and `answer_value` builds its Python value there.

mod answer_value;
mod calls;
mod completion;
mod error;
mod evaluations;
mod everyone;
mod finished_calls;
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
