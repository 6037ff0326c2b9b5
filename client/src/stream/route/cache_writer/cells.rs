//! The answers in memory that refer to the current stream's sets, by set.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use presence_router_proto::v1;

use crate::answer_cache::Cell;

/// Number of cells below which unused ones are not looked for.
const SWEEP_MIN: usize = 1024;

/// The cells of the current stream.
#[derive(Debug)]
pub(super) struct CellIndex {
    /// The cells that refer to each set directly: as their set, or in a hide.
    by_set: HashMap<u64, Vec<Arc<Cell>>>,
    /// Number of references in `by_set`.
    references: usize,
    /// Number of references at which unused cells are dropped.
    sweep_at: usize,
}

// === impl CellIndex ===

impl CellIndex {
    pub(super) fn new() -> Self {
        Self { by_set: HashMap::new(), references: 0, sweep_at: SWEEP_MIN }
    }

    /// Returns the cell for an answer that refers to this set, with these hides.
    pub(super) fn find(&self, set_id: u64, hides: &[v1::Hide]) -> Option<Arc<Cell>> {
        let mut cells = self.by_set.get(&set_id)?.iter();
        let is_same =
            |cell: &&Arc<Cell>| cell.set_id == set_id && *cell.hides == *hides && !cell.has_ended();
        cells.find(is_same).cloned()
    }

    /// Adds a cell. `hidden` are the sets that its hides refer to, possibly with repeats.
    pub(super) fn insert(&mut self, cell: &Arc<Cell>, mut hidden: Vec<u64>) {
        hidden.push(cell.set_id);
        hidden.sort_unstable();
        hidden.dedup();
        self.references += hidden.len();
        for id in hidden {
            self.by_set.entry(id).or_insert_with(|| Vec::with_capacity(1)).push(cell.clone());
        }
        if self.references > self.sweep_at {
            self.drop_unused();
        }
    }

    /// Removes the cells that refer to a set directly.
    pub(super) fn remove_set(&mut self, set_id: u64) -> Vec<Arc<Cell>> {
        let cells = self.by_set.remove(&set_id).unwrap_or_default();
        self.references = self.references.saturating_sub(cells.len());
        cells
    }

    /// Returns the cells that refer to one of these sets directly, each once, without those
    /// that ended.
    pub(super) fn of_sets(&self, set_ids: impl IntoIterator<Item = u64>) -> Vec<Arc<Cell>> {
        let cells = set_ids.into_iter().filter_map(|id| self.by_set.get(&id)).flatten();
        let mut cells: Vec<_> = cells.filter(|cell| !cell.has_ended()).cloned().collect();
        cells.sort_unstable_by_key(Arc::as_ptr);
        cells.dedup_by_key(|cell| Arc::as_ptr(cell));
        cells
    }

    /// Removes all cells. A cell with hides may occur several times.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Cell>> + use<> {
        let by_set = std::mem::take(self).by_set;
        by_set.into_values().flatten()
    }

    /// Drops cells that no user's entry refers to: evicted answers, and those that ended.
    fn drop_unused(&mut self) {
        let mut indexed: HashMap<*const Cell, usize> = HashMap::new();
        for cell in self.by_set.values().flatten() {
            *indexed.entry(Arc::as_ptr(cell)).or_default() += 1;
        }
        // Decided once for each cell: a reader may hold it for a moment, and a cell must stay at
        // all its sets or at none.
        let mut unused = HashSet::new();
        for cell in self.by_set.values().flatten() {
            let own = indexed.remove(&Arc::as_ptr(cell)).unwrap_or(usize::MAX);
            if own != usize::MAX && (cell.has_ended() || Arc::strong_count(cell) <= own) {
                unused.insert(Arc::as_ptr(cell));
            }
        }
        self.by_set.retain(|_, cells| {
            cells.retain(|cell| !unused.contains(&Arc::as_ptr(cell)));
            !cells.is_empty()
        });
        self.references = self.by_set.values().map(Vec::len).sum();
        self.sweep_at = self.references.saturating_mul(2).max(SWEEP_MIN);
    }
}

impl Default for CellIndex {
    fn default() -> Self {
        Self::new()
    }
}
