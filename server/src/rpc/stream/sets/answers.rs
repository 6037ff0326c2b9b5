//! What is remembered of answers: the sets of each, when it was last used, and whose
//! answer it is.

use super::{NOBODY, SentSets};
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::query::relation::Signature;

/// Counterparts, as the stream has told them. 32 bytes, since a batch may use
/// another for each state.
#[derive(Debug)]
pub(super) struct Answer {
    /// The set of them.
    pub(super) set_id: u64,
    /// The last request that used it, and what it noted of it.
    pub(super) used: u64,
    pub(super) note: u32,
    /// Whether it holds no more.
    pub(super) void: bool,
    pub(super) hides: bool,
    pub(super) made_of: Box<MadeOf>,
}

/// What is of interest when something changes.
#[derive(Debug, Default)]
pub(super) struct MadeOf {
    pub(super) key: Key,
    /// Sets of its hides: places in `hidden`.
    pub(super) hidden: Vec<usize>,
}

/// What makes an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Sets of its parts.
    pub(super) parts: Vec<u64>,
    /// What is hidden: encoded `Hide` messages.
    pub(super) hides: Vec<Vec<u8>>,
    /// Whether hides concern those whose answer it is.
    pub(super) hides_anything: bool,
}

/// Numbers by class. In pages, since a class is used or not together with those
/// that were made with it, and the oldest may be gone for good.
#[derive(Debug, Default)]
pub(super) struct ByClass(Vec<Option<Box<[u32; PAGE]>>>);

const PAGE: usize = 1024;
/// In place of a note, where there is none.
const UNNOTED: u32 = u32::MAX;
/// What is not known of a class.
const UNKNOWN: u32 = u32::MAX;

// === impl ByClass ===

impl ByClass {
    pub(super) fn get(&self, class: u32) -> Option<u32> {
        let class = usize::try_from(class).ok()?;
        let page = self.0.get(class / PAGE)?.as_ref()?;
        page.get(class % PAGE).copied().filter(|number| *number != UNKNOWN)
    }

    pub(super) fn insert(&mut self, class: u32, number: u32) {
        let Ok(class) = usize::try_from(class) else { return };
        if self.0.len() <= class / PAGE {
            self.0.resize_with(class / PAGE + 1, || None);
        }
        let Some(page) = self.0.get_mut(class / PAGE) else { return };
        let page = page.get_or_insert_with(|| Box::new([UNKNOWN; PAGE]));
        if let Some(entry) = page.get_mut(class % PAGE) {
            *entry = number;
        }
    }

    /// Puts another number in place of each, or none.
    pub(super) fn renumber(&mut self, now: impl Fn(u32) -> Option<u32>) {
        for page in &mut self.0 {
            let Some(entries) = page else { continue };
            for entry in entries.iter_mut().filter(|entry| **entry != UNKNOWN) {
                *entry = now(*entry).unwrap_or(UNKNOWN);
            }
            // Numbers of classes only grow, so pages of old ones must go.
            if entries.iter().all(|entry| *entry == UNKNOWN) {
                *page = None;
            }
        }
    }
}

// === impl SentSets ===

impl SentSets {
    /// The set of an answer, and its hides.
    pub(in crate::rpc::stream) fn answer(&self, place: u32) -> (u64, &[Vec<u8>]) {
        let answer = usize::try_from(place).ok().and_then(|at| self.answers.get(at));
        match answer {
            Some(Answer { set_id, hides: true, made_of, .. }) => (*set_id, &made_of.key.hides),
            Some(Answer { set_id, .. }) => (*set_id, &[]),
            None => (NOBODY, &[]),
        }
    }

    /// What the request under way noted of an answer. `None`: nothing, and it may
    /// hold no more.
    pub(in crate::rpc::stream) fn noted(&self, place: u32) -> Option<u32> {
        let answer = self.answers.get(usize::try_from(place).ok()?)?;
        let holds = answer.used == self.request && !answer.void && answer.note != UNNOTED;
        holds.then_some(answer.note)
    }

    /// Notes something of an answer that the request under way uses; not
    /// `u32::MAX`.
    pub(in crate::rpc::stream) fn note(&mut self, place: u32, note: u32) {
        let answer = usize::try_from(place).ok().and_then(|at| self.answers.get_mut(at));
        if let Some(answer) = answer {
            answer.note = note;
        }
    }

    /// Where the answer of a signature was found last. It may hold no more.
    pub(super) fn known_signature(&self, signature: &Signature, side: Side) -> Option<u32> {
        match signature.class() {
            Some(class) => self.known(class, side),
            None => self.by_signature.get(signature).copied(),
        }
    }

    /// Where the answer of a class was found last. It may hold no more.
    pub(in crate::rpc::stream) fn known(&self, class: u32, side: Side) -> Option<u32> {
        side.of(&self.by_class).get(class)
    }

    /// Notes that an answer is used, if it holds.
    pub(in crate::rpc::stream) fn uses(&mut self, place: u32) -> bool {
        let request = self.request;
        let answer = usize::try_from(place).ok().and_then(|at| self.answers.get_mut(at));
        let Some(answer) = answer.filter(|answer| !answer.void) else { return false };
        if answer.used != request {
            (answer.used, answer.note) = (request, UNNOTED);
        }
        true
    }

    pub(super) fn add(&mut self, key: Key, set_id: u64, hidden: Vec<usize>) -> u32 {
        let place = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        if set_id != NOBODY {
            self.places.insert(key.clone(), place);
        }
        self.hidden.refer(&hidden);
        let used = self.request;
        let (void, hides, note) = (false, !key.hides.is_empty(), UNNOTED);
        let made_of = Box::new(MadeOf { key, hidden });
        self.answers.push(Answer { set_id, used, note, void, hides, made_of });
        place
    }
}
