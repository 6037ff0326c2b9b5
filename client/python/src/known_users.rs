//! The users that the module must remember between calls, because Synapse takes no open sets:
//! the senders that exist, the local users who asked for presence lately, and those of them
//! who see everyone.
//!
//! The first two are logs that grow at their end: a set that is derived from a log is brought up
//! to date by the users after its last position.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use presence_router_client::{Set, UserId};
use tokio::{sync::Notify, time::Instant};

/// A local user who asked for interest is remembered for one to two of these periods. Others
/// need no waking by an open audience: their next `/sync` asks again.
const PERIOD: Duration = Duration::from_secs(3600);

/// Number of users that one lock is held for, at most: the reactor may wait for it.
const LOCKED_AT_ONCE: usize = 1000;

/// Known senders, and local users who asked lately. Nothing else happens while the locks are
/// held, so a poisoned lock is good.
#[derive(Debug)]
pub(crate) struct KnownUsers {
    known: RwLock<Known>,
    asked: Mutex<Asked>,
    seeded: AtomicBool,
    /// Notified when `seeded` becomes true.
    now_seeded: Notify,
}

/// Senders, never removed.
#[derive(Clone, Debug, Default)]
struct Known {
    index: HashSet<Arc<str>>,
    /// In the order of their appearance.
    log: Vec<Arc<str>>,
}

/// The local users who asked in this period and in the one before.
#[derive(Debug)]
struct Asked {
    /// True for a user whose last answer was everyone.
    current: HashMap<Arc<str>, bool>,
    earlier: HashMap<Arc<str>, bool>,
    /// The users of `earlier`, and then the other users of `current`.
    log: Vec<Arc<str>>,
    period: u64,
    /// When the period began.
    since: Instant,
    /// Number of times that a user began or ceased to see everyone, or that such users were
    /// removed.
    changes_of_everyone: u64,
}

/// A position in the log of users who asked lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedPosition {
    period: u64,
    next: usize,
}

/// The state of the users who asked lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedState {
    /// The position of the first user.
    pub(crate) first: AskedPosition,
    /// The position after the last user.
    pub(crate) end: AskedPosition,
    /// A number that changes whenever [`KnownUsers::sees_everyone`] does for some user.
    pub(crate) changes_of_everyone: u64,
}

// === impl KnownUsers ===

impl KnownUsers {
    pub(crate) fn new() -> Self {
        Self {
            known: RwLock::default(),
            asked: Mutex::new(Asked::new()),
            seeded: AtomicBool::new(false),
            now_seeded: Notify::new(),
        }
    }

    /// Returns the part that a forked child can take over. A lock that another thread held at
    /// the fork stays locked for ever in the child, hence `try_read`.
    pub(crate) fn copy_in_child(&self) -> Self {
        let known = self.known.try_read().map(|known| known.clone()).unwrap_or_default();
        let seeded = AtomicBool::new(self.seeded.load(Ordering::Acquire));
        Self { known: RwLock::new(known), seeded, ..Self::new() }
    }

    // Known senders.

    /// Adds known senders. A text that is no user id is nobody: databases contain, and remote
    /// servers send, anything.
    pub(crate) fn remember<'a>(&self, user_ids: impl Iterator<Item = &'a str>) {
        // Nearly always all are known: then nobody need wait for the lock.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Arc<str>> = user_ids
            .filter(|id| !known.index.contains(*id) && UserId::parse(id).is_ok())
            .map(Into::into)
            .collect();
        drop(known);
        for some in new.chunks(LOCKED_AT_ONCE) {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            for id in some {
                if known.index.insert(id.clone()) {
                    known.log.push(id.clone());
                }
            }
        }
    }

    /// Returns the known senders in a set.
    pub(crate) fn known_in(&self, set: &Set) -> Vec<String> {
        self.known_where(|id| set.contains(id))
    }

    /// Returns the known senders for which a function returns true.
    pub(crate) fn known_where(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut next = 0;
        loop {
            // A few at a time: the reactor may wait for the lock.
            let some = self.known_after(next, LOCKED_AT_ONCE);
            if some.is_empty() {
                return found;
            }
            next += some.len();
            found.extend(some.iter().filter(|id| is_wanted(id)).map(|id| String::from(&**id)));
        }
    }

    /// Returns known senders in the order of their appearance: from this number on, at most so
    /// many.
    pub(crate) fn known_after(&self, next: usize, limit: usize) -> Vec<Arc<str>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.log.iter().skip(next).take(limit).cloned().collect()
    }

    /// Returns the number of known senders.
    pub(crate) fn known_len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).log.len()
    }

    /// Marks the known senders as complete, or as never to be complete.
    pub(crate) fn set_seeded(&self) {
        self.seeded.store(true, Ordering::Release);
        self.now_seeded.notify_waiters();
    }

    pub(crate) fn is_seeded(&self) -> bool {
        self.seeded.load(Ordering::Acquire)
    }

    /// Waits until the known senders are complete.
    pub(crate) async fn seeded(&self) {
        // Created before the check: from then on it misses nothing.
        let now = self.now_seeded.notified();
        if !self.is_seeded() {
            now.await;
        }
    }

    // Local users who asked lately.

    /// Remembers that a local user asks for interest.
    pub(crate) fn note_question(&self, user_id: &str) {
        self.asked().note(user_id, None);
    }

    /// Remembers that a local user asked for interest, and if the answer was everyone.
    pub(crate) fn note_answer(&self, user_id: &str, everyone: bool) {
        self.asked().note(user_id, Some(everyone));
    }

    /// Returns true if the last answer of a local user, given lately, was everyone.
    pub(crate) fn sees_everyone(&self, user_id: &str) -> bool {
        self.asked().sees_everyone(user_id).unwrap_or(false)
    }

    /// Returns the users who asked lately from a position on, at most so many, with the position
    /// after them. `None`: the position is of an earlier period, and users have been removed.
    pub(crate) fn asked_after(
        &self,
        position: AskedPosition,
        limit: usize,
    ) -> Option<(Vec<Arc<str>>, AskedPosition)> {
        let asked = self.asked();
        if position.period != asked.period {
            return None;
        }
        let users: Vec<_> = asked.log.iter().skip(position.next).take(limit).cloned().collect();
        let next = position.next + users.len();
        Some((users, AskedPosition { next, ..position }))
    }

    /// Returns the number of users who asked lately.
    pub(crate) fn asked_len(&self) -> usize {
        self.asked().log.len()
    }

    /// Returns the state of the users who asked lately.
    pub(crate) fn asked_state(&self) -> AskedState {
        let asked = self.asked();
        let at = |next| AskedPosition { period: asked.period, next };
        AskedState {
            first: at(0),
            end: at(asked.log.len()),
            changes_of_everyone: asked.changes_of_everyone,
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.begin_period_if_due();
        asked
    }
}

// === impl AskedPosition ===

impl AskedPosition {
    /// Returns true if no user has been removed between the two positions.
    pub(crate) fn is_of_same_period(self, other: Self) -> bool {
        self.period == other.period
    }
}

// === impl Asked ===

impl Asked {
    fn new() -> Self {
        Self {
            current: HashMap::new(),
            earlier: HashMap::new(),
            log: Vec::new(),
            period: 0,
            since: Instant::now(),
            changes_of_everyone: 0,
        }
    }

    fn begin_period_if_due(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.since);
        if passed <= PERIOD {
            return;
        }
        let mut removed = std::mem::replace(&mut self.earlier, std::mem::take(&mut self.current));
        if passed > 2 * PERIOD {
            removed.extend(self.earlier.drain());
            self.since = now;
        } else {
            // Not `now`: if nobody asked for a while, users would stay for three periods.
            self.since += PERIOD;
        }
        let is_gone = |user_id| !self.earlier.contains_key(user_id);
        if removed.iter().any(|(user_id, everyone)| *everyone && is_gone(user_id)) {
            self.changes_of_everyone += 1;
        }
        self.log = self.earlier.keys().cloned().collect();
        self.period += 1;
    }

    /// Notes a question, or with `everyone` an answer.
    fn note(&mut self, user_id: &str, everyone: Option<bool>) {
        let before = self.sees_everyone(user_id);
        let after = everyone.or(before).unwrap_or(false);
        if after != before.unwrap_or(false) {
            self.changes_of_everyone += 1;
        }
        if let Some(current) = self.current.get_mut(user_id) {
            *current = after;
            return;
        }
        let user_id: Arc<str> = match self.earlier.get_key_value(user_id) {
            Some((user_id, _)) => user_id.clone(),
            None => {
                let user_id: Arc<str> = user_id.into();
                self.log.push(user_id.clone());
                user_id
            }
        };
        self.current.insert(user_id, after);
    }

    fn sees_everyone(&self, user_id: &str) -> Option<bool> {
        self.current.get(user_id).or_else(|| self.earlier.get(user_id)).copied()
    }
}
