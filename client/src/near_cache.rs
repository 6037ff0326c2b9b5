//! The near-cache: a handle for questions that are answered from the process's own memory.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    Answer, CachedAnswer, Changes, Client, Delivery, Error, Interest, NamedServers, NearCacheStats,
    PresenceRouter, RouteStates, Routed, Set, VisibleSender,
    answer::{AnswerValue, Heard, SharedAnswer},
    answer_cache::{AnswerCache, Key, Side},
    stream::route::{self, change_feed::ChangeFeed},
};

/// The options of a near-cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheOptions {
    /// Maximum bytes of answers, and of user ids and expressions of their sets; in memory, sets
    /// take a few times as much. 0: unlimited. Default 256 MiB. An answer takes 136 bytes and its
    /// user id, and 240 bytes more once for all users who share it. Sets take at most three
    /// quarters, but always 1 MiB if they need it: with a smaller budget most questions still
    /// have an answer, and few are remembered. A question whose own sets do not fit fails with
    /// `SET_OVER_BUDGET`.
    pub budget_bytes: u64,
    /// Maximum time for which answers are still given after the connection was lost. 0: none.
    /// Default 60 s. The time begins when the client notices the loss; for a daemon that is
    /// silent without closing the connection, this is after two heartbeat intervals. The clock
    /// of the machine has no influence.
    pub stale_for: Duration,
}

/// Answers the questions of a homeserver from memory. Clones share the memory and one stream.
///
/// While connected, an answer is exact at the last revision that the daemon announced. Without
/// a connection, the last good answers are still given for
/// [`stale_for`](NearCacheOptions::stale_for), and marked as stale. They end at once if a daemon
/// refuses the stream, violates the contract, or has another history of revisions. If the same
/// history is resumed, they remain, unless the daemon answers with `Reset`: hidden fields have
/// changed, or the change is unknown or too large to report.
///
/// Look-ups never wait for the daemon, nor for the whole of a change under way: every lock is
/// held only while a few pointers are copied. A question that memory cannot answer goes to the
/// daemon, once for all callers who ask it at the same time.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use presence_router_client::{Client, NearCacheOptions, Options};
///
/// let client = Client::connect("unix:/run/presence-router/presence-router.sock", Options::new(["example.org"]))?;
/// let cache = client.near_cache(NearCacheOptions::default());
///
/// // On any thread, without waiting: `None` is a miss.
/// if let Some(answer) = cache.cached_audience("@ann:example.org") {
///     println!("{}", answer.counterparts().contains("@joe:example.org"));
/// }
/// // From memory if possible, else from the daemon.
/// let visible = cache
///     .filter("@joe:example.org", &[("@ann:example.org", "online"), ("@sue:example.org", "busy")])
///     .await?;
/// for sender in visible {
///     println!("joe sees sender {}, without {:?}", sender.index, sender.hidden);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct NearCache {
    stream: RouteStates,
    memory: Arc<AnswerCache>,
    change_feed: Arc<ChangeFeed>,
    /// True if look-ups through this handle count as hits or misses.
    counts: bool,
}

// === impl NearCacheOptions ===

impl Default for NearCacheOptions {
    fn default() -> Self {
        Self { budget_bytes: 256 * 1024 * 1024, stale_for: Duration::from_secs(60) }
    }
}

// === impl Client ===

impl Client {
    /// Opens a stream that remembers answers. Returns at once. The stream connects by itself,
    /// and reconnects after failures, until all clones of the handle and all its [`Changes`] are
    /// dropped. It has its own budget, instead of
    /// [`Options::set_budget_bytes`](crate::Options::set_budget_bytes).
    ///
    /// Must be called within a tokio runtime, which then drives the stream; without one every
    /// question fails.
    pub fn near_cache(&self, options: NearCacheOptions) -> NearCache {
        let NearCacheOptions { budget_bytes, stale_for } = options;
        let (stream, memory, change_feed) =
            route::open_with_cache(self.shared.clone(), self.deadline(), budget_bytes, stale_for);
        NearCache { stream, memory, change_feed, counts: true }
    }
}

// === impl NearCache ===

impl NearCache {
    /// Returns the recipients of a sender from memory. `None`: memory has no valid answer.
    pub fn cached_audience<'a>(&self, sender: &'a str) -> Option<CachedAnswer<'a>> {
        Some(CachedAnswer::new(sender, self.look_up(Side::Audience, sender)?))
    }

    /// Returns the senders whose presence a recipient may see, from memory. `None`: memory has
    /// no valid answer.
    pub fn cached_interest<'a>(&self, recipient: &'a str) -> Option<CachedAnswer<'a>> {
        Some(CachedAnswer::new(recipient, self.look_up(Side::Interest, recipient)?))
    }

    /// Returns the visible ones of some senders from memory, as [`NearCache::filter`] does.
    /// `None`: memory has no valid answer for the recipient.
    pub fn cached_filter(
        &self,
        recipient: &str,
        senders: &[(&str, &str)],
    ) -> Option<Vec<VisibleSender>> {
        let interest = self.cached_interest(recipient)?;
        Some(interest.counterparts().filter_senders(senders.iter().copied()))
    }

    /// Returns the recipients of a sender. Waits only if memory has no valid answer.
    ///
    /// # Errors
    /// If memory has no valid answer and there is no verdict.
    pub async fn audience<'a>(&self, sender: &'a str) -> Result<CachedAnswer<'a>, Error> {
        Ok(CachedAnswer::new(sender, self.find(Side::Audience, sender).await?))
    }

    /// Returns the senders whose presence a recipient, local or remote, may see. Waits only if
    /// memory has no valid answer.
    ///
    /// # Errors
    /// If memory has no valid answer and there is no verdict.
    pub async fn interest<'a>(&self, recipient: &'a str) -> Result<CachedAnswer<'a>, Error> {
        Ok(CachedAnswer::new(recipient, self.find(Side::Interest, recipient).await?))
    }

    /// Returns the visible ones of some senders, in the same order, and the fields that are
    /// hidden of each. `senders` holds pairs of a user id and its presence (`online`,
    /// `unavailable` ...), on which hides may depend; visibility does not depend on it. The
    /// recipient itself is left out. Waits only if memory has no valid answer.
    ///
    /// The cost depends on the number of `senders`, and not on the number of senders whom the
    /// recipient may see.
    ///
    /// # Errors
    /// If memory has no valid answer and there is no verdict.
    pub async fn filter(
        &self,
        recipient: &str,
        senders: &[(&str, &str)],
    ) -> Result<Vec<VisibleSender>, Error> {
        let interest = self.interest(recipient).await?;
        Ok(interest.counterparts().filter_senders(senders.iter().copied()))
    }

    /// Returns the same near-cache with another deadline for each question that memory cannot
    /// answer.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { stream: self.stream.with_deadline(deadline), ..self.clone() }
    }

    /// Returns the same near-cache, whose look-ups count neither as hits nor as misses: for a
    /// caller who has looked already, and looks again.
    #[must_use]
    pub fn without_counting(&self) -> Self {
        Self { counts: false, ..self.clone() }
    }

    /// Returns the servers that the policy or the directory names. Load them after an answer,
    /// never before: then they are those of the answer's revision, or of a later one. Without a
    /// connection they stay the last ones heard of. Their bytes do not count against
    /// [`budget_bytes`](NearCacheOptions::budget_bytes).
    ///
    /// Does not wait, and copies no name.
    pub fn named_servers(&self) -> NamedServers {
        self.memory.named_servers.load()
    }

    /// Returns true if nothing has answered the client for
    /// [`stale_for`](NearCacheOptions::stale_for), so that memory gives no answers. The time
    /// begins with the first attempt to connect that fails, or when a connection breaks, and
    /// again after each refusal: a daemon that refuses the client is not away.
    pub fn is_away(&self) -> bool {
        self.memory.is_away()
    }

    /// Returns the counters and the size of the near-cache.
    pub fn stats(&self) -> NearCacheStats {
        self.memory.stats()
    }

    async fn find(&self, side: Side, user: &str) -> Result<SharedAnswer, Error> {
        if let Some(found) = self.look_up(side, user) {
            return Ok(found);
        }
        let asked = self.stream.ask_and_remember(Key { user: user.into(), side }).await;
        self.count_error(asked)
    }

    fn look_up(&self, side: Side, user: &str) -> Option<SharedAnswer> {
        if self.counts { self.memory.look_up(side, user) } else { self.memory.peek(side, user) }
    }

    fn count_error<A>(&self, answer: Result<A, Error>) -> Result<A, Error> {
        answer.inspect_err(|_| self.memory.counters.errors.add(1))
    }

    /// Routes states from memory. `None`: memory lacks an answer, or the answers are of
    /// different revisions.
    fn route_remembered(&self, senders: &Arc<[String]>) -> Option<Routed> {
        let mut exact_at: Option<Arc<Heard>> = None;
        let mut groups: HashMap<u64, (AnswerValue, Vec<u32>)> = HashMap::new();
        for (index, sender) in (0u32..).zip(senders.iter()) {
            let found = self.look_up(Side::Audience, sender)?;
            if exact_at.get_or_insert_with(|| found.exact_at.clone()).number
                != found.exact_at.number
            {
                return None;
            }
            if let Some(value) = found.value {
                let group = groups.entry(value.number);
                group.or_insert_with(|| (value, Vec::new())).1.push(index);
            }
        }
        let deliveries = groups.into_values().map(|(value, state_indexes)| Delivery {
            hides: value.hides().to_vec(),
            recipients: value.set,
            state_indexes,
        });
        let revision = exact_at?.revision.to_string();
        Routed::new(revision, senders.clone(), deliveries.collect()).ok()
    }
}

/// While no daemon answers, this interface gives stale answers for up to
/// [`stale_for`](NearCacheOptions::stale_for), without a mark.
impl PresenceRouter for NearCache {
    /// Answers from memory if it has the answers for all states, at one revision. Else the
    /// daemon routes all of them, and the near-cache remembers the answers.
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move {
            let senders: Arc<[String]> = senders.into();
            match self.route_remembered(&senders) {
                Some(routed) => Ok(routed),
                None => self.count_error(self.stream.route_shared_batch(senders).await),
            }
        })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move {
            let SharedAnswer { value, exact_at, .. } = self.find(Side::Interest, &user_id).await?;
            let (senders, hides) = match value {
                Some(value) => (value.set.clone(), value.hides().to_vec()),
                None => (Set::empty(), Vec::new()),
            };
            Ok(Interest { revision: exact_at.revision.to_string(), user_id, senders, hides })
        })
    }

    /// Returns the changes of the near-cache's own stream, from now on: no further stream opens.
    ///
    /// Memory knows a change before its event comes, so that its answers are exact at the event's
    /// revision or at a later one. `Connected` therefore comes once memory knows the missed
    /// changes. If there is no connection, the first event is `Disconnected`.
    ///
    /// The near-cache never waits for a caller that does not take its events. If 64 of them wait,
    /// `Reset` takes the place of later ones.
    fn watch_changes(&self) -> Changes {
        self.stream.subscribe_to(&self.change_feed)
    }
}
