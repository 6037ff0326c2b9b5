//! Sets of hides: whom it is hidden from, or of whom, among the counterparts of
//! an answer. Answers that have the same share it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Definer, OverBudget, SentSet, SentSets};
use presence_router_engine::unstable::routing::snapshot::members::Members;

/// The sets of hides that were told.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    sets: Vec<Option<Set>>,
    /// Places in `sets` that are free.
    free: Vec<usize>,
    /// Places in `sets`, by what is quickly told of the members.
    places: HashMap<(u64, Option<u32>), Vec<usize>>,
}

#[derive(Debug)]
struct Set {
    members: Members,
    sent: SentSet,
    /// How many answers use it.
    answers: u32,
}

// === impl Hidden ===

impl Hidden {
    /// Notes that an answer uses sets.
    pub(super) fn refer(&mut self, places: &[usize]) {
        for place in places {
            if let Some(set) = self.at(*place) {
                set.answers += 1;
            }
        }
    }

    /// Notes that an answer uses sets no more. Those that none uses, nor the
    /// request under way, are forgotten and given back.
    pub(super) fn release(&mut self, places: &[usize], request: u64) -> Vec<SentSet> {
        for place in places {
            if let Some(set) = self.at(*place) {
                set.answers -= 1;
            }
        }
        let unused = |hidden: &mut Self, place| {
            hidden.at(place).is_some_and(|set| set.answers == 0 && set.sent.used < request)
        };
        places
            .iter()
            .filter_map(|place| unused(self, *place).then(|| self.forget(*place))?)
            .collect()
    }

    /// Forgets and gives back those that no answer came to use, but for those of
    /// a request.
    pub(super) fn unused(&mut self, request: u64) -> Vec<SentSet> {
        let is_unused = |set: &Option<Set>| {
            set.as_ref().is_some_and(|set| set.answers == 0 && set.sent.used < request)
        };
        let unused = (0..).zip(&self.sets).filter(|(_, set)| is_unused(set));
        let unused: Vec<usize> = unused.map(|(place, _)| place).collect();
        unused.into_iter().filter_map(|place| self.forget(place)).collect()
    }

    fn forget(&mut self, place: usize) -> Option<SentSet> {
        let set = self.sets.get_mut(place)?.take()?;
        if let Entry::Occupied(mut known) = self.places.entry(quickly(&set.members)) {
            known.get_mut().retain(|other| *other != place);
            if known.get().is_empty() {
                known.remove();
            }
        }
        self.free.push(place);
        Some(set.sent)
    }

    fn find(&mut self, members: &Members, request: u64) -> Option<(usize, u64)> {
        let places = self.places.get(&quickly(members))?;
        let is = |place: &usize| {
            let set = self.sets.get(*place).and_then(Option::as_ref);
            set.is_some_and(|set| set.members == *members)
        };
        let place = places.iter().copied().find(is)?;
        let set = self.at(place)?;
        set.sent.used = request;
        Some((place, set.sent.id))
    }

    fn add(&mut self, members: Members, sent: SentSet) -> usize {
        let place = self.free.pop().unwrap_or(self.sets.len());
        self.places.entry(quickly(&members)).or_default().push(place);
        let set = Some(Set { members, sent, answers: 0 });
        match self.sets.get_mut(place) {
            Some(free) => *free = set,
            None => self.sets.push(set),
        }
        place
    }

    fn at(&mut self, place: usize) -> Option<&mut Set> {
        self.sets.get_mut(place)?.as_mut()
    }

    /// How many places there are, free ones included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.sets.len()
    }
}

fn quickly(members: &Members) -> (u64, Option<u32>) {
    (members.named().len(), members.named().min())
}

// === impl SentSets ===

impl SentSets {
    /// The set of a hide: its place, and its id.
    pub(super) fn hide(
        &mut self,
        members: Members,
        definer: &mut Definer<'_>,
    ) -> Result<(usize, u64), OverBudget> {
        if let Some(known) = self.hidden.find(&members, self.request) {
            return Ok(known);
        }
        let sent = self.define_set(&members, definer)?;
        Ok((self.hidden.add(members, sent), sent.id))
    }
}
