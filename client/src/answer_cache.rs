//! The memory of a near-cache: answers by user, the revision that they are exact at, and the
//! state of the connection. This module knows nothing of streams.
//!
//! One task writes, any number of threads read, and no reader waits for the task. What a reader
//! claims is exact, because of the order of writes and reads:
//!
//! - For each revision, the task first ends or replaces every answer that the revision changes,
//!   and only then publishes the revision, with a number one greater. Only then it stores further
//!   answers.
//! - A reader loads the published revision `p`, then the answer `a`, which carries the revision
//!   `s` that it is valid since, and then the number of the published revision. If that is
//!   greater than the number of `p`, the reader begins again.
//!
//! If `s <= p`, the reader claims `p`: the writes of all revisions up to `p` happened before `p`
//! was published, so `a`, which was still there afterwards, is the answer at `p`. If `s > p`, the
//! task has replaced the answer and not yet published `s`. The reader claims `s`, at which `a` is
//! the answer by definition.
//!
//! Without the number, `a` could be of a revision after `p` although `s <= p`: a user who moves
//! gets the answer that other users had before.

mod cell;
mod entries;
mod key;
mod stats;

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::mpsc, time::Instant};

pub use self::stats::NearCacheStats;
pub(crate) use self::{
    cell::{Cell, Entry},
    entries::Entries,
    key::{Key, Side},
    stats::Counters,
};
use crate::{
    answer::{Heard, SharedAnswer},
    named_servers::SharedNamedServers,
};

/// The memory that the task and all handles share.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    pub(crate) entries: Entries,
    connection: ArcSwap<Connection>,
    /// The number of the published revision.
    published: AtomicU64,
    /// The named servers. The task publishes those of a revision before any answer of it, so
    /// that a reader who loads them after an answer has no older ones.
    pub(crate) named_servers: SharedNamedServers,
    pub(crate) counters: Arc<Counters>,
    stale_for: Duration,
    /// Receives each cell at its first hit since the task last told the daemon. `None`: the
    /// daemon retires no idle sets. Unbounded: the mark of each cell bounds it.
    used: Option<mpsc::UnboundedSender<Arc<Cell>>>,
}

/// The state of the connection to the daemon.
#[derive(Debug)]
struct Connection {
    /// The last revision that all answers in memory take into account.
    heard: Arc<Heard>,
    /// The time when the client noticed that it had no connection, or no longer knew if it had
    /// missed a revision. `None`: connected.
    away_since: Option<Instant>,
    /// The time since which nothing answers. `None`: connected, refused by the last answer, or
    /// not tried yet.
    silent_since: Option<Instant>,
}

// === impl AnswerCache ===

impl AnswerCache {
    /// Creates an empty memory without a connection.
    pub(crate) fn new(
        answer_bytes: u64,
        stale_for: Duration,
        used: Option<mpsc::UnboundedSender<Arc<Cell>>>,
    ) -> Self {
        let counters = Arc::<Counters>::default();
        let (heard, away_since) = (Heard::new(0, ""), Some(Instant::now()));
        let connection = Connection { heard, away_since, silent_since: None };
        Self {
            entries: Entries::new(answer_bytes, counters.clone()),
            connection: ArcSwap::from_pointee(connection),
            published: AtomicU64::new(0),
            named_servers: SharedNamedServers::default(),
            counters,
            stale_for,
            used,
        }
    }

    /// Returns the answer of a user. `None`: the memory has none that is valid.
    pub(crate) fn look_up(&self, side: Side, user: &str) -> Option<SharedAnswer> {
        let found = self.peek(side, user);
        match &found {
            Some(found) => {
                self.counters.hits.add(1);
                if found.stale {
                    self.counters.stale.add(1);
                }
            }
            None => self.counters.misses.add(1),
        }
        found
    }

    /// Returns the answer of a user, without counting.
    pub(crate) fn peek(&self, side: Side, user: &str) -> Option<SharedAnswer> {
        // In this order: see the top of this file.
        loop {
            let connection = self.connection.load();
            let found = self.find_entry(side, user, &connection)?;
            if self.published.load(Acquire) <= connection.heard.number {
                return Some(found);
            }
        }
    }

    /// Returns true if no answer is valid, because nothing has answered for too long. A
    /// daemon that refuses is there, for however long.
    pub(crate) fn is_away(&self) -> bool {
        let since = self.connection.load().silent_since;
        since.is_some_and(|since| since.elapsed() >= self.stale_for)
    }

    /// Returns the answer of a user for a reader that loaded this state of the connection.
    fn find_entry(&self, side: Side, user: &str, connection: &Connection) -> Option<SharedAnswer> {
        let stale = match connection.away_since {
            None => false,
            Some(since) if since.elapsed() < self.stale_for => true,
            Some(_) => return None,
        };
        let published = &connection.heard;
        match self.entries.get(side, user)? {
            Entry::Nobody(since) => {
                let exact_at = Heard::later_of(published, &since).clone();
                Some(SharedAnswer { value: None, exact_at, stale })
            }
            Entry::Shared(cell) => {
                let (value, exact_at) = cell.value(published)?;
                if let Some(used) = &self.used
                    && cell.mark_used()
                {
                    // Without a task nobody has to be told.
                    let _ = used.send(cell);
                }
                Some(SharedAnswer { value: Some(value), exact_at, stale })
            }
        }
    }

    /// Returns the last published revision.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        self.connection.load().heard.clone()
    }

    /// Publishes a revision that all answers in memory take into account by now.
    pub(crate) fn publish(&self, heard: Arc<Heard>) {
        let number = heard.number;
        let connection = Connection { heard, away_since: None, silent_since: None };
        self.connection.store(Arc::new(connection));
        // Last, so that readers who begin again find the revision.
        self.published.store(number, Release);
    }

    /// Records that there is no connection from now on. `silent`: it ended, or did not open,
    /// because nothing answered.
    pub(crate) fn disconnect(&self, silent: bool) {
        let connection = self.connection.load();
        if connection.away_since.is_none() || connection.silent_since.is_some() != silent {
            let (heard, now) = (connection.heard.clone(), Instant::now());
            let away_since = Some(connection.away_since.unwrap_or(now));
            let silent_since = silent.then_some(now);
            self.connection.store(Arc::new(Connection { heard, away_since, silent_since }));
        }
    }

    pub(crate) fn stats(&self) -> NearCacheStats {
        let counters = &self.counters;
        NearCacheStats {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            stale: counters.stale.get(),
            closed: counters.closed.get(),
            errors: counters.errors.get(),
            evictions: counters.evictions.get(),
            bytes: self.entries.bytes().saturating_add(counters.set_bytes.get()),
            entries: u64::try_from(self.entries.len()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use presence_router_proto::v1::{self, set_expression};

    use super::{entries::ENTRY_BYTES, *};
    use crate::{Set, answer::AnswerValue};

    /// A cache that is full, with as many evicted answers as it keeps track of.
    #[test]
    fn an_answer_takes_the_bytes_that_it_counts_for() {
        let bytes = 8 << 20;
        let cache = AnswerCache::new(bytes, Duration::ZERO, None);
        let heard = Heard::new(1, "r1");
        let mut longest = 0;
        for number in 0..200_000 {
            let user: Arc<str> = format!("@user{number}:example.org").into();
            longest = longest.max(user.len());
            let key = Key { user, side: Side::Audience };
            cache.entries.insert(key, Entry::Nobody(heard.clone()));
        }
        let entries = cache.entries.len();
        // 16 bytes of counts before an id, and 8 for the allocator.
        let ids = entries * (16 + 8 + longest);
        let each = (cache.entries.memory_used() + ids) as u64 / entries as u64;
        let counted = ENTRY_BYTES + longest as u64;
        assert!(each <= counted && counted <= 200, "{each} of {counted} bytes");
        let stats = cache.stats();
        assert!(stats.bytes <= bytes && stats.bytes > bytes / 10 * 9, "{stats:?}");
        assert_eq!(stats.evictions + stats.entries, 200_000);
    }

    /// Three answers that change with every revision, and readers on other threads.
    #[test]
    fn readers_claim_the_revision_at_which_the_answer_is_exact() {
        const REVISIONS: u64 = 20_000;
        let cache = AnswerCache::new(u64::MAX, Duration::ZERO, None);
        let key = |user: &str| Key { user: user.into(), side: Side::Audience };
        let value = |number: u64| {
            let users = Some(set_expression::Expression::Server(number.to_string()));
            let set = Set::new(Some(&v1::SetExpression { expression: users }));
            AnswerValue::new(1, set.unwrap(), Vec::new())
        };
        let first = Heard::new(1, "1");
        let cell = |number| {
            Arc::new(Cell::new(value(number), first.clone(), 1, 1, Box::default(), key("@a:x")))
        };
        let [even, odd, cell] = [cell(0), cell(1), cell(1)];
        cache.entries.insert(key("@a:x"), Entry::Shared(cell.clone()));
        cache.publish(first.clone());
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut last = 0;
                    while last < REVISIONS {
                        let found = cache.peek(Side::Audience, "@a:x").unwrap();
                        let claimed = &found.exact_at.revision;
                        let set = found.value.unwrap().set;
                        assert!(set.contains(&format!("@u:{claimed}")), "at {claimed}: {set:?}");
                        assert!(found.exact_at.number >= last, "{claimed} after {last}");
                        last = found.exact_at.number;
                        // Nobody sees `@n:x` at revisions whose number is odd.
                        if let Some(found) = cache.peek(Side::Audience, "@n:x") {
                            assert!(found.exact_at.number % 2 == 1, "{}", found.exact_at.number);
                        }
                        // `@m:x` moves between answers that are valid since the beginning.
                        if let Some(found) = cache.peek(Side::Audience, "@m:x") {
                            let number = found.exact_at.number;
                            let set = found.value.unwrap().set;
                            assert!(set.contains(&format!("@u:{}", number % 2)), "at {number}");
                        }
                    }
                });
            }
            for number in 2..=REVISIONS {
                let heard = Heard::new(number, number.to_string());
                cell.replace_value(value(number), heard.clone());
                for user in ["@n:x", "@m:x"] {
                    cache.entries.remove_if(Side::Audience, user, |_| true);
                }
                cache.publish(heard.clone());
                let moved = if number % 2 == 0 { &even } else { &odd };
                cache.entries.insert(key("@m:x"), Entry::Shared(moved.clone()));
                if number % 2 == 1 {
                    cache.entries.insert(key("@n:x"), Entry::Nobody(heard));
                }
            }
        });
    }
}
