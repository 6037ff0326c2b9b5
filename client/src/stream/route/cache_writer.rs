//! Keeps the memory of a near-cache true: the task that owns the stream tells it of each
//! message, in order. This module sends nothing to the daemon. It reports changes to subscribers,
//! each after memory takes it into account.
//!
//! An answer that refers to a set is a cell, which all users with this answer share. It changes
//! with its sets: when `Changed` ends a revision, cells whose sets were edited get their new
//! value at once. Between an edit and its `Changed` a cell keeps its value, although the
//! contract lets a removal take effect at once: that serves clients that edit a set in place and
//! never have two of it, whereas the value is still exact at the revision heard last.
//!
//! An answer ends by `SetRetired` or `Reset` if it refers to a set of this stream. "Nobody", and
//! answers of an earlier stream, whose sets ended with it, also end by a `Changed` that names
//! their user.

mod cells;

use std::sync::{Arc, Weak};

use presence_router_proto::v1;
use tokio::sync::mpsc;

use self::cells::CellIndex;
use super::{
    change_feed::ChangeFeed,
    misses::Misses,
    request::{Fill, Question, Request},
};
use crate::{
    Changed, ProtocolViolation, Set,
    answer::{AnswerValue, Heard, SharedAnswer},
    answer_cache::{AnswerCache, Cell, Entry, Key, Side},
    named_servers::NamedServersWriter,
    stream::{StreamError, store::Store},
};

/// Maximum number of cells that one revision changes. Others end, and are asked for again, so
/// that a change of a large group does not occupy the task for longer than some milliseconds.
const MAX_REPLACED: usize = 8192;

/// The writing side of a near-cache.
#[derive(Debug)]
pub(super) struct CacheWriter {
    cache: Arc<AnswerCache>,
    pub(super) feed: Arc<ChangeFeed>,
    pub(super) misses: Misses,
    named_servers: NamedServersWriter,
    /// Cells with a hit since the daemon was last told. `None`: the daemon need not be told.
    used: Option<mpsc::UnboundedReceiver<Arc<Cell>>>,
    /// Bytes for sets and answers. 0: unlimited.
    budget: u64,
    /// The bytes for answers, as last set.
    answer_bytes: u64,
    /// Number of the current stream, from 1.
    stream: u64,
    /// Number of the last value of a cell. Numbers are never used again.
    last_number: u64,
    cells: CellIndex,
    /// Sets that were edited since the last `Changed`.
    edited: Vec<u64>,
    /// True from the beginning of a resumed stream until it reports the missed changes.
    catching_up: bool,
    /// Cells of earlier streams, whose values still hold sets of those. Weak: a cell that no
    /// user's entry refers to is of no use.
    earlier: Vec<Weak<Cell>>,
    /// Bytes of the sets of earlier streams.
    earlier_bytes: u64,
    /// Bytes of the sets of this stream.
    set_bytes: u64,
}

/// The answer of one user, as the daemon sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentAnswer<'a> {
    pub(super) set_id: u64,
    pub(super) hides: &'a [v1::Hide],
}

/// Returns the part of a budget that sets may take: three quarters, since an answer takes a
/// fraction of its set unless many users share that, and then sets need little. At least 1
/// MiB, so that the answer to a question fits even if nothing can be remembered.
fn set_budget(budget: u64) -> u64 {
    if budget == 0 { 0 } else { (budget - budget / 4).max(1 << 20) }
}

/// Returns the bytes for answers, beside sets that take so many.
pub(super) fn answer_budget(budget: u64, sets: u64) -> u64 {
    if budget == 0 { u64::MAX } else { budget.saturating_sub(sets).max(budget / 4) }
}

// === impl CacheWriter ===

impl CacheWriter {
    pub(super) fn new(
        cache: Arc<AnswerCache>,
        feed: Arc<ChangeFeed>,
        used: Option<mpsc::UnboundedReceiver<Arc<Cell>>>,
        budget: u64,
    ) -> Self {
        Self {
            cache,
            feed,
            misses: Misses::default(),
            named_servers: NamedServersWriter::default(),
            used,
            budget,
            answer_bytes: answer_budget(budget, 0),
            stream: 0,
            last_number: 0,
            cells: CellIndex::new(),
            edited: Vec::new(),
            catching_up: false,
            earlier: Vec::new(),
            earlier_bytes: 0,
            set_bytes: 0,
        }
    }

    /// Returns the budget that the daemon keeps for sets. 0: unlimited.
    pub(super) fn set_budget(&self) -> u64 {
        set_budget(self.budget)
    }

    /// Answers a question from memory if an answer came since the caller looked, or adds the
    /// caller to those that wait.
    pub(super) fn receive_miss(&mut self, request: Request) -> Option<Request> {
        let Request { question: Question::Miss(key, reply), deadline, .. } = request else {
            return Some(request);
        };
        match self.cache.peek(key.side, &key.user) {
            Some(found) => drop(reply.send(Ok(found))),
            None => self.misses.add_caller(key, reply, deadline),
        }
        None
    }

    // Beginnings and ends of streams.

    /// Begins a stream. `resumed` is the revision that it resumes from; empty: none.
    /// `keeps_answers`: the daemon ends the answers of the stream before that are not valid.
    pub(super) fn begin_stream(&mut self, revision: &str, resumed: &str, keeps_answers: bool) {
        self.stream += 1;
        let heard = self.cache.heard();
        if !keeps_answers || resumed.is_empty() || *resumed != *heard.revision {
            self.end_everything();
            self.publish(revision);
        } else if *revision == *resumed {
            self.cache.publish(heard);
        } else {
            self.catching_up = true;
            return;
        }
        self.feed.report_connected(revision, !resumed.is_empty());
    }

    /// Ends a stream, or records that none could be opened.
    pub(super) fn end_stream(&mut self, failed: &StreamError) {
        self.catching_up = false;
        self.edited.clear();
        self.earlier.retain(|cell| cell.strong_count() > 0);
        if self.earlier.is_empty() {
            self.earlier_bytes = 0;
        }
        self.earlier_bytes = self.earlier_bytes.saturating_add(std::mem::take(&mut self.set_bytes));
        self.earlier.extend(self.cells.take_all().map(|cell| Arc::downgrade(&cell)));
        let refused = failed.error.is_refusal();
        if refused {
            // A daemon is there, and does not confirm what the client remembers.
            self.end_everything();
        }
        self.cache.disconnect(!refused);
    }

    /// Ends all answers, of this stream and of earlier ones.
    fn end_everything(&mut self) {
        let ended = self.cells.take_all().filter(|cell| cell.end()).count();
        self.cache.counters.closed.add(ended);
        self.end_earlier();
        self.cache.entries.clear();
        self.edited.clear();
        self.catching_up = false;
    }

    /// Ends the answers that hold sets of earlier streams.
    fn end_earlier(&mut self) {
        let cells = self.earlier.drain(..).filter_map(|cell| cell.upgrade());
        let ended = cells.filter(|cell| cell.end()).count();
        self.cache.counters.closed.add(ended);
        self.earlier_bytes = 0;
    }

    /// Begins the list of named servers of a stream, which follows if the daemon announced it.
    pub(super) fn begin_named_servers(&mut self, announced: bool) {
        self.named_servers.begin_stream(announced, &self.cache.named_servers);
    }

    // Messages, in the order of the stream.

    /// Publishes the named servers of a revision, if they are complete. The daemon sends them
    /// before everything else that belongs to the revision.
    pub(super) fn name_servers(
        &mut self,
        message: v1::NamedServers,
    ) -> Result<(), ProtocolViolation> {
        self.named_servers.apply(message, &self.cache.named_servers)
    }

    /// Checks that no list of named servers is incomplete.
    pub(super) fn check_named_servers(&self) -> Result<(), ProtocolViolation> {
        self.named_servers.check_complete()
    }

    pub(super) fn note_edit(&mut self, set_id: u64) {
        self.edited.push(set_id);
    }

    /// Ends the answers that refer to a set.
    pub(super) fn end_set(&mut self, set_id: u64) {
        let ended = self.cells.remove_set(set_id).iter().filter(|cell| cell.end()).count();
        self.cache.counters.closed.add(ended);
    }

    pub(super) fn reset(&mut self, revision: &str) {
        self.end_everything();
        self.publish(revision);
        self.feed.report_reset(revision);
    }

    /// Takes over a revision, after the store applied its edits.
    pub(super) fn apply_change(
        &mut self,
        changed: &v1::Changed,
        store: &mut Store,
    ) -> Result<(), ProtocolViolation> {
        let heard = self.next_heard(&changed.revision);
        let edited = store.with_referrers(&std::mem::take(&mut self.edited));
        for (index, cell) in self.cells.of_sets(edited).into_iter().enumerate() {
            if index < MAX_REPLACED {
                self.last_number += 1;
                let value = evaluate(self.last_number, cell.set_id, &cell.hides, store)?;
                cell.replace_value(value, heard.clone());
            } else if cell.end() {
                self.cache.counters.closed.add(1);
            }
        }
        let changed = Changed {
            revision: changed.revision.clone(),
            gained: store.resolve_products(&changed.gained)?,
            lost: store.resolve_products(&changed.lost)?,
        };
        let products = || changed.gained.iter().chain(&changed.lost);
        self.end_named(Side::Audience, products().map(|product| &product.senders));
        self.end_named(Side::Interest, products().map(|product| &product.recipients));
        self.catching_up = false;
        // Only now: see `answer_cache`.
        self.cache.publish(heard);
        self.feed.report_changed(changed);
        Ok(())
    }

    /// Ends the answers of some users that refer to no set of this stream.
    fn end_named<'a>(&self, side: Side, sets: impl Iterator<Item = &'a Set>) {
        let stream = self.stream;
        let may_end = |entry: &Entry| match entry {
            Entry::Nobody(_) => true,
            Entry::Shared(cell) => cell.stream != stream,
        };
        let entries = &self.cache.entries;
        let mut ended = 0;
        let (open, finite): (Vec<_>, Vec<_>) = sets.partition(|set| set.is_open());
        if !open.is_empty() {
            // These sets cannot list their users, so look at all answers, once for all sets.
            let named = entries.find_keys(|key, entry| {
                key.side == side
                    && may_end(entry)
                    && open.iter().any(|users| users.may_contain(&key.user))
            });
            ended += named.iter().filter(|key| entries.remove_if(side, &key.user, may_end)).count();
        }
        for users in finite {
            let named = users.listed_users();
            ended += named.iter().filter(|user| entries.remove_if(side, user, may_end)).count();
        }
        self.cache.counters.closed.add(ended);
    }

    /// Checks the revision of an answer or a heartbeat: `Changed` or `Reset` announces each
    /// revision first. Without the announcement, answers in memory could be outdated.
    pub(super) fn check_revision(&self, revision: &str) -> Result<(), ProtocolViolation> {
        if *self.cache.heard().revision == *revision && !self.catching_up {
            Ok(())
        } else {
            Err(ProtocolViolation::RevisionNotAnnounced)
        }
    }

    /// Returns true if edits wait for their `Changed`: sets have lost users, and not yet gained
    /// others, so that no answer made of them is exact.
    pub(super) fn is_between_revisions(&self) -> bool {
        !self.edited.is_empty()
    }

    /// Remembers the answers to a request, one for each user, and answers its callers. `None`:
    /// nobody.
    pub(super) fn remember(
        &mut self,
        fill: &Fill,
        answers: Vec<Option<SentAnswer<'_>>>,
        store: &mut Store,
    ) -> Result<(), ProtocolViolation> {
        let heard = self.cache.heard();
        let mut entries = Vec::with_capacity(answers.len());
        for (key, answer) in fill.keys().zip(answers) {
            let entry = match answer {
                None => Entry::Nobody(heard.clone()),
                Some(sent) => Entry::Shared(self.find_or_create_cell(sent, &key, &heard, store)?),
            };
            entries.push((key, entry));
        }
        // Nothing was remembered so far if one of the answers is not valid.
        for (key, entry) in entries {
            let value = match &entry {
                Entry::Nobody(_) => None,
                Entry::Shared(cell) => cell.value(&heard).map(|(value, _)| value),
            };
            let found = SharedAnswer { value, exact_at: heard.clone(), stale: false };
            // First, so that callers who got the answer find it in memory.
            self.cache.entries.insert(key.clone(), entry);
            self.misses.answer(&key, &found);
        }
        self.balance_budget(store);
        Ok(())
    }

    fn find_or_create_cell(
        &mut self,
        sent: SentAnswer<'_>,
        asked: &Key,
        heard: &Arc<Heard>,
        store: &mut Store,
    ) -> Result<Arc<Cell>, ProtocolViolation> {
        let SentAnswer { set_id, hides } = sent;
        if let Some(cell) = self.cells.find(set_id, hides) {
            return Ok(cell);
        }
        self.last_number += 1;
        let value = evaluate(self.last_number, set_id, hides, store)?;
        let hidden = store.references_of(hides)?;
        let (heard, asked) = (heard.clone(), asked.clone());
        let cell = Cell::new(value, heard, self.stream, set_id, hides.into(), asked);
        let cell = Arc::new(cell);
        self.cells.insert(&cell, hidden);
        Ok(cell)
    }

    /// Gives answers the bytes that sets do not take.
    pub(super) fn balance_budget(&mut self, store: &Store) {
        self.set_bytes = store.bytes();
        if self.budget != 0
            && self.earlier_bytes != 0
            && self.earlier_bytes.saturating_add(self.set_bytes) > set_budget(self.budget)
        {
            // The daemon counts the sets of this stream only.
            self.end_earlier();
        }
        let sets = self.earlier_bytes.saturating_add(self.set_bytes);
        self.cache.counters.set_bytes.set(sets);
        let answers = answer_budget(self.budget, sets);
        // In steps, since each takes the locks of readers: at once if there is too little room,
        // and only for two steps of more room, lest the two sides of a step take turns.
        let step = (self.budget / 16).max(1);
        if answers < self.answer_bytes || answers - self.answer_bytes >= 2 * step {
            self.answer_bytes = answers / step * step;
            self.cache.entries.set_capacity(self.answer_bytes);
        }
    }

    /// Takes the cells that had a hit since the last call, and belong to this stream.
    pub(super) fn take_used(&mut self) -> Vec<Arc<Cell>> {
        let mut cells = Vec::new();
        while let Some(Ok(cell)) = self.used.as_mut().map(|used| used.try_recv()) {
            cell.clear_used();
            if cell.stream == self.stream && !cell.has_ended() {
                cells.push(cell);
            }
        }
        cells
    }

    fn next_heard(&self, revision: &str) -> Arc<Heard> {
        Heard::new(self.cache.heard().number + 1, revision)
    }

    fn publish(&self, revision: &str) {
        self.cache.publish(self.next_heard(revision));
    }
}

impl Drop for CacheWriter {
    /// Ends everything with the task: nobody would hear of changes any more.
    fn drop(&mut self) {
        self.end_everything();
        // Nobody tries any more: that says nothing about the daemon.
        self.cache.disconnect(false);
        self.feed.end();
    }
}

fn evaluate(
    number: u64,
    set_id: u64,
    hides: &[v1::Hide],
    store: &mut Store,
) -> Result<AnswerValue, ProtocolViolation> {
    Ok(AnswerValue::new(number, store.resolve(set_id)?, store.resolve_hides(hides)?))
}

#[cfg(test)]
mod tests;
