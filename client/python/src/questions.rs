//! Questions that memory cannot answer: the near-cache asks the daemon, each within the
//! deadline of the whole call.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use presence_router_client::{Client, Error, NearCache, SharedAnswer};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::{failure::Failure, home::Home, known_users::KnownUsers};

/// Number of questions of one call that wait for answers at the same time, at most.
const AT_THE_SAME_TIME: usize = 1000;

/// The deadline of a check, at least: nobody waits for it, and a machine that starts is
/// slow.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// Everything that a call needs besides its question.
#[derive(Clone, Debug)]
pub(crate) struct CallContext {
    pub(crate) client: Client,
    pub(crate) near_cache: NearCache,
    pub(crate) home: Arc<Home>,
    pub(crate) known_users: Arc<KnownUsers>,
    /// The threads of this process.
    pub(crate) threads: Handle,
    /// Of a whole call from Synapse.
    pub(crate) deadline: Duration,
}

/// The audiences of some senders: not of all of them if something failed.
#[derive(Debug, Default)]
pub(crate) struct FoundAudiences {
    /// `None` for a sender whose id the daemon rejects.
    pub(crate) answers: HashMap<Arc<str>, Option<SharedAnswer>>,
    /// The last failure.
    pub(crate) failure: Option<Failure>,
}

// === impl CallContext ===

impl CallContext {
    /// Returns the audiences of distinct senders.
    ///
    /// A question that fails does not affect the others: the daemon routes each state by
    /// itself, and without its answer recipients who saw a sender online might go on doing so.
    pub(crate) async fn find_audiences(
        &self,
        senders: Vec<Arc<str>>,
        start: Instant,
    ) -> FoundAudiences {
        let ask = |sender: Arc<str>| async move {
            // The caller has looked already.
            let near_cache = self.near_cache.without_counting().with_deadline(self.left(start));
            let answer = near_cache.audience(&sender).await.map(|found| found.into_shared());
            (sender, answer)
        };
        let mut asked = stream::iter(senders).map(ask).buffer_unordered(AT_THE_SAME_TIME);
        let mut found = FoundAudiences::default();
        while let Some((sender, answer)) = asked.next().await {
            match answer.map_err(|why| self.failure(why)) {
                Ok(answer) => drop(found.answers.insert(sender, Some(answer))),
                Err(why) if why.is_about_a_user_id() => {
                    drop(found.answers.insert(sender, None));
                }
                Err(why) => found.failure = Some(why),
            }
        }
        found
    }

    /// Returns the senders whose presence a user may see.
    pub(crate) async fn ask_interest(
        &self,
        user_id: &str,
        start: Instant,
    ) -> Result<SharedAnswer, Failure> {
        // The caller has looked already.
        let near_cache = self.near_cache.without_counting().with_deadline(self.left(start));
        let found = near_cache.interest(user_id).await;
        Ok(found.map_err(|why| self.failure(why))?.into_shared())
    }

    /// Waits for the known senders, just after the start: if it takes too long, those known so
    /// far count.
    pub(crate) async fn wait_for_seed(&self, start: Instant) {
        let _ = timeout(self.left(start), self.known_users.seeded()).await;
    }

    /// Returns the failure of a call whose time is over.
    pub(crate) fn too_late(&self) -> Failure {
        Error::Deadline(self.deadline).into()
    }

    /// Checks that the daemon answers this homeserver at all, by a question about no states.
    pub(crate) async fn check_daemon(&self) -> Result<(), Failure> {
        let client = self.client.with_deadline(self.deadline.max(CHECK_DEADLINE));
        client.get_users_for_states(Vec::new()).await?;
        Ok(())
    }

    pub(crate) fn left(&self, start: Instant) -> Duration {
        self.deadline.saturating_sub(start.elapsed())
    }

    fn failure(&self, why: Error) -> Failure {
        match why {
            // Not with the part of it that was left, which would mean nothing to anybody.
            Error::Deadline(_) => Error::Deadline(self.deadline).into(),
            why => why.into(),
        }
    }
}
