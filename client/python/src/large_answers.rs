//! Evaluates large answers outside of the reactor's thread. Users with the same answer often
//! wait for it together, so the last results are kept for those who come next.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    audience_template::{TemplateBeginning, TemplateKey},
    evaluations::Evaluations,
    questions::CallContext,
    synapse_memory::{InterestRequest, TemplateRequest},
};

/// Maximum wait for other evaluations, beyond the deadline of a call: the daemon has answered,
/// and some large answers at once take this process a moment.
const WAIT: Duration = Duration::from_secs(5);

/// The large answers of one process.
#[derive(Clone, Debug)]
pub(crate) struct LargeAnswers {
    evaluations: Evaluations,
    last: Arc<Mutex<LastResults>>,
}

/// The results that were computed last.
#[derive(Debug, Default)]
struct LastResults {
    /// The number of the answer, and the senders that it lists.
    senders: Option<(u64, Arc<[String]>)>,
    template: Option<(TemplateKey, Arc<TemplateBeginning>)>,
}

/// Other evaluations took too long, and this one did not happen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLate;

// === impl LargeAnswers ===

impl LargeAnswers {
    pub(crate) fn new() -> Self {
        Self { evaluations: Evaluations::new(), last: Arc::default() }
    }

    /// Runs another long evaluation.
    pub(crate) async fn run<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        self.evaluations.run(evaluate).await
    }

    /// Computes the senders that an interest lists.
    pub(crate) async fn begin_interest(
        &self,
        request: &mut InterestRequest,
    ) -> Result<(), TooLate> {
        let number = request.answer.number();
        let evaluate = || {
            let kept = self.last().senders.clone().filter(|(of, _)| *of == number);
            let senders = match kept {
                Some((_, senders)) => senders,
                None => request.compute_listed(),
            };
            self.last().senders = Some((number, senders.clone()));
            request.listed = Some(senders);
        };
        timeout(WAIT, self.evaluations.run(evaluate)).await.map_err(|_| TooLate)
    }

    /// Computes the listed keys of an audience.
    pub(crate) async fn begin_template(
        &self,
        request: &mut TemplateRequest,
        context: &CallContext,
    ) -> Result<(), TooLate> {
        let evaluate = || {
            let servers = context.near_cache.named_servers();
            let kept = self.last().template.clone().filter(|(of, beginning)| {
                *of == request.key && !beginning.is_outdated(servers.number(), &context.known_users)
            });
            let beginning = match kept {
                Some((_, beginning)) => Some(beginning),
                None => request.compute_beginning(context, &servers),
            };
            let last = beginning.clone().map(|beginning| (request.key.clone(), beginning));
            self.last().template = last;
            request.beginning = beginning;
        };
        timeout(WAIT, self.evaluations.run(evaluate)).await.map_err(|_| TooLate)
    }

    fn last(&self) -> MutexGuard<'_, LastResults> {
        // A poisoned lock is fine: nothing else happens while it is held.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
