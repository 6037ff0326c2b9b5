//! What must be remembered between calls, because Synapse takes no open sets:
//! which senders exist, which local users look for presence at all, and who of
//! them sees everyone.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use presence_router_client::{Set, UserId};
use tokio::{sync::Notify, time::Instant};

/// Local users who asked for their interest longer ago than this need no waking
/// by an open audience: their next `/sync` asks again.
const RECENT: Duration = Duration::from_secs(3600);

/// Known senders, and local users who asked lately. Nothing else happens while
/// its locks are held, so a poisoned one is good.
#[derive(Debug)]
pub(crate) struct KnownUsers {
    known: RwLock<HashSet<Box<str>>>,
    asked: Mutex<Asked>,
    seeded: AtomicBool,
    /// Told when that becomes true.
    now_seeded: Notify,
}

#[derive(Debug, Default)]
struct Asked {
    of: HashMap<Box<str>, Question>,
    /// When there are so many, those of long ago are thrown out.
    clean_at: usize,
}

/// The last one of a user.
#[derive(Debug)]
struct Question {
    when: Instant,
    /// Whether the answer before was everyone.
    everyone: bool,
}

impl KnownUsers {
    pub(crate) fn new() -> Self {
        Self {
            known: RwLock::default(),
            asked: Mutex::default(),
            seeded: AtomicBool::new(false),
            now_seeded: Notify::new(),
        }
    }

    /// What a forked child can take over. A lock that another thread held at
    /// the fork stays held for ever in the child, hence `try`.
    pub(crate) fn copy_in_child(&self) -> Self {
        let known = self.known.try_read().map(|known| known.clone()).unwrap_or_default();
        let seeded = AtomicBool::new(self.seeded.load(Ordering::Acquire));
        Self { known: RwLock::new(known), seeded, ..Self::new() }
    }

    /// Remembers that these users have a presence. What is no user id is nobody:
    /// databases hold, and remote servers send, anything.
    pub(crate) fn remember<'a>(&self, user_ids: impl Iterator<Item = &'a str> + Clone) {
        // Nearly always all are known: then nobody need wait for the lock.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Box<str>> = user_ids
            .filter(|id| !known.contains(*id) && UserId::parse(id).is_ok())
            .map(Into::into)
            .collect();
        drop(known);
        if !new.is_empty() {
            self.known.write().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
    }

    /// Returns the number of known senders.
    pub(crate) fn known_len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The known senders in a set.
    pub(crate) fn known_in(&self, set: &Set) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|id| set.contains(id)).map(|id| String::from(&**id)).collect()
    }

    /// Says that the known senders are complete, or will never be.
    pub(crate) fn set_seeded(&self) {
        self.seeded.store(true, Ordering::Release);
        self.now_seeded.notify_waiters();
    }

    /// Waits until that is so.
    pub(crate) async fn seeded(&self) {
        // Made before the look: from then on it misses nothing.
        let now = self.now_seeded.notified();
        if !self.seeded.load(Ordering::Acquire) {
            now.await;
        }
    }

    /// Remembers that a local user asked for its interest just now.
    pub(crate) fn ask(&self, user_id: &str) {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.of.get_mut(user_id) {
            Some(question) => question.when = now,
            None => {
                asked.of.insert(user_id.into(), Question { when: now, everyone: false });
            }
        }
        if asked.of.len() > asked.clean_at {
            asked.of.retain(|_, question| is_recent(question.when, now));
            asked.clean_at = (asked.of.len() * 2).max(1000);
        }
    }

    /// Remembers whether the answer to a local user's question was everyone.
    pub(crate) fn answer(&self, user_id: &str, everyone: bool) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = asked.of.get_mut(user_id) {
            question.everyone = everyone;
        }
    }

    /// Whether a local user's last answer was everyone, and that lately.
    pub(crate) fn sees_everyone(&self, user_id: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let question = asked.of.get(user_id);
        question.is_some_and(|one| one.everyone && is_recent(one.when, Instant::now()))
    }

    /// Returns the number of local users who asked, and are not thrown out yet.
    pub(crate) fn asked_len(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).of.len()
    }

    /// The local users in a set who asked lately.
    pub(crate) fn recent_in(&self, set: &Set) -> Vec<String> {
        let now = Instant::now();
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            asked.of.iter().filter(|(id, one)| is_recent(one.when, now) && set.contains(id));
        recent.map(|(id, _)| String::from(&**id)).collect()
    }
}

fn is_recent(when: Instant, now: Instant) -> bool {
    now.saturating_duration_since(when) <= RECENT
}
