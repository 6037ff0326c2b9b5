//! Questions of a near-cache that its memory cannot answer: each is asked once, however many
//! callers wait for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use presence_router_proto::ids::UserId;
use tokio::time::Instant;

use super::request::{Fill, Reply};
use crate::{
    answer::SharedAnswer,
    answer_cache::{Key, Side},
    stream::StreamError,
};

/// Maximum number of senders in one batch. More would not be cheaper, and would delay the
/// questions behind the batch.
const MAX_BATCH: usize = 256;

/// Questions without an answer, and their callers.
#[derive(Debug, Default)]
pub(super) struct Misses {
    /// Callers by question, whether the question is still to be sent or in flight.
    callers: HashMap<Key, Vec<Caller>>,
    /// Number of callers, including those that gave up.
    waiting: usize,
    /// Senders whose audience is still to be asked for.
    audiences: VecDeque<Arc<str>>,
    /// Recipients whose interest is still to be asked for.
    interests: VecDeque<Arc<str>>,
    last_side: Option<Side>,
}

#[derive(Debug)]
struct Caller {
    reply: Reply<SharedAnswer>,
    deadline: Instant,
}

// === impl Misses ===

impl Misses {
    /// Adds a caller to its question.
    pub(super) fn add_caller(&mut self, key: Key, reply: Reply<SharedAnswer>, deadline: Instant) {
        self.waiting += 1;
        let caller = Caller { reply, deadline };
        if let Some(callers) = self.callers.get_mut(&key) {
            callers.push(caller);
            return;
        }
        self.add_question(key.clone());
        self.callers.insert(key, vec![caller]);
    }

    /// Adds a question that nobody waits for, unless it is under way.
    pub(super) fn add_without_caller(&mut self, key: &Key) {
        if !self.callers.contains_key(key) {
            self.callers.insert(key.clone(), Vec::new());
            self.add_question(key.clone());
        }
    }

    fn add_question(&mut self, key: Key) {
        match key.side {
            Side::Audience => self.audiences.push_back(key.user),
            Side::Interest => self.interests.push_back(key.user),
        }
    }

    /// Returns the number of callers.
    pub(super) fn callers(&self) -> usize {
        self.waiting
    }

    /// Returns true if there are questions to send.
    pub(super) fn has_questions(&self) -> bool {
        !self.audiences.is_empty() || !self.interests.is_empty()
    }

    /// Takes the next questions to send, with the latest deadline of their callers. `None`: all
    /// callers gave up.
    pub(super) fn next_fill(&mut self) -> Option<(Fill, Instant)> {
        // The sides take turns, so that neither waits for the other.
        let side = match self.last_side {
            Some(Side::Audience) if !self.interests.is_empty() => Side::Interest,
            _ if self.audiences.is_empty() => Side::Interest,
            _ => Side::Audience,
        };
        self.last_side = Some(side);
        let mut users: Vec<Arc<str>> = Vec::new();
        let mut latest = None;
        let most = if side == Side::Audience { MAX_BATCH } else { 1 };
        while users.len() < most {
            let queue = self.questions(side);
            // The daemon refuses a whole batch for one malformed id.
            let alone = |user: &Arc<str>| UserId::parse(user).is_err();
            let Some(user) = queue.pop_front_if(|user| users.is_empty() || !alone(user)) else {
                break;
            };
            let last = alone(&user);
            let key = Key { user, side };
            match self.latest_deadline(&key) {
                Some(deadline) => {
                    latest = latest.max(Some(deadline));
                    users.push(key.user);
                }
                None => drop(self.take_callers(&key)),
            }
            if last {
                break;
            }
        }
        Some((Fill { side, users: users.into() }, latest?))
    }

    fn questions(&mut self, side: Side) -> &mut VecDeque<Arc<str>> {
        match side {
            Side::Audience => &mut self.audiences,
            Side::Interest => &mut self.interests,
        }
    }

    /// Returns the latest deadline of a question's callers. `None`: all gave up.
    fn latest_deadline(&self, key: &Key) -> Option<Instant> {
        let callers = self.callers.get(key)?;
        if callers.is_empty() {
            return Some(Instant::now());
        }
        let waiting = callers.iter().filter(|caller| !caller.reply.is_closed());
        waiting.map(|caller| caller.deadline).max()
    }

    /// Returns the latest deadline of the callers of some questions, also of those who came after
    /// the questions were sent. `None`: all gave up.
    pub(super) fn latest_deadline_of(&self, fill: &Fill) -> Option<Instant> {
        fill.keys().filter_map(|key| self.latest_deadline(&key)).max()
    }

    /// Answers the callers of a question.
    pub(super) fn answer(&mut self, key: &Key, answer: &SharedAnswer) {
        for caller in self.take_callers(key) {
            // A caller that gave up needs no answer.
            let _ = caller.reply.send(Ok(answer.clone()));
        }
    }

    /// Fails the callers of some questions.
    pub(super) fn fail(&mut self, fill: &Fill, error: &StreamError) {
        for key in fill.keys() {
            for caller in self.take_callers(&key) {
                let _ = caller.reply.send(Err(error.clone()));
            }
        }
    }

    /// Fails the callers of all questions that were not sent.
    pub(super) fn fail_questions(&mut self, error: &StreamError) {
        for side in [Side::Audience, Side::Interest] {
            let users = std::mem::take(self.questions(side)).into_iter().collect();
            self.fail(&Fill { side, users }, error);
        }
    }

    fn take_callers(&mut self, key: &Key) -> Vec<Caller> {
        let callers = self.callers.remove(key).unwrap_or_default();
        self.waiting = self.waiting.saturating_sub(callers.len());
        callers
    }
}
