//! Runs long work on threads where no other call waits for it.

use super::error::RpcError;

/// Runs a piece of work: at once if `inline`, since a change of threads costs more than a
/// little work, and otherwise on a thread of its own.
///
/// Fails if the work fails, and if it panics on that thread, with a line in the log. A panic of
/// inline work reaches the caller, and the transport answers it.
pub(super) async fn run_blocking<T: Send + 'static>(
    inline: bool,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    if inline {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(RpcError::internal(format_args!("an answer was not finished: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::captured::Captured;

    #[tokio::test]
    async fn a_panic_is_an_error_with_a_line_in_the_log() {
        let captured = Captured::start();
        let panics = || -> Result<(), RpcError> { panic!("seven is {}", 8) };
        let refused = run_blocking(false, panics).await;
        assert!(matches!(refused, Err(RpcError::Internal)));
        let lines = captured.lines("a fault of the daemon, please report it");
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains("ERROR") && line.contains("seven is 8"), "{line}");
    }

    #[tokio::test]
    async fn little_work_stays_on_its_thread() {
        let here = std::thread::current().id();
        let thread = || Ok(std::thread::current().id());
        assert_eq!(run_blocking(true, thread).await.unwrap(), here);
        assert_ne!(run_blocking(false, thread).await.unwrap(), here);
    }
}
