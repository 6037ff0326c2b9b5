//! A change of visibility, for a module that decides alone. The module tells recipients who no
//! longer see a sender that the sender is offline, and shows the presence to new recipients.

use std::sync::Arc;

use presence_router_client::{Changed, PairProduct, Set};
use pyo3::prelude::*;

use crate::known_users::KnownUsers;

/// Senders that one product lists, at most. More of them cost as much as all candidates of a
/// recipient.
const MAX_SENDERS: usize = 20_000;

/// Bytes of a user, set or pattern in a set, roughly.
const BYTES_OF_ONE: usize = 96;

/// The revision that the near-cache has arrived at, and the pairs that changed with it.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Change {
    revision: String,
    products: Vec<Arc<Product>>,
}

/// All pairs of a sender in one set and a recipient in another.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct ChangedPairs(Arc<Product>);

#[derive(Debug)]
struct Product {
    is_lost: bool,
    senders: Set,
    recipients: Set,
    /// `None`: too many, or the known senders are not complete yet.
    known_senders: Option<Vec<String>>,
}

// === impl Change ===

impl Change {
    /// Creates the change to a revision without pairs: they are unknown, or there are none.
    pub(crate) fn without_pairs(revision: String) -> Self {
        Self { revision, products: Vec::new() }
    }

    /// Creates the change to a revision. Compares every known user with each set of senders.
    pub(crate) fn new(changed: &Changed, known_users: &KnownUsers) -> Self {
        let lost = changed.lost.iter().map(|pairs| Product::new(pairs, true, known_users));
        let gained = changed.gained.iter().map(|pairs| Product::new(pairs, false, known_users));
        // Nobody saw the presence of users who have none, and they show it when they get one.
        let products = lost.chain(gained).filter(|one| !one.is_empty()).map(Arc::new);
        Self { revision: changed.revision.clone(), products: products.collect() }
    }

    /// Returns the number of pairs of sets, and of the senders that they list.
    pub(crate) fn len(&self) -> usize {
        self.products.len()
    }
}

#[pymethods]
impl Change {
    #[getter]
    fn revision(&self) -> &str {
        &self.revision
    }

    #[getter]
    fn pairs(&self) -> Vec<ChangedPairs> {
        self.products.iter().map(|product| ChangedPairs(product.clone())).collect()
    }
}

// === impl ChangedPairs ===

#[pymethods]
impl ChangedPairs {
    #[getter]
    fn is_lost(&self) -> bool {
        self.0.is_lost
    }

    #[getter]
    fn known_senders(&self) -> Option<Vec<String>> {
        self.0.known_senders.clone()
    }

    #[getter]
    fn size(&self) -> usize {
        let listed = self.0.known_senders.as_ref().map_or(0, Vec::len);
        let sets = self.0.senders.size().saturating_add(self.0.recipients.size());
        sets.saturating_add(listed).saturating_mul(BYTES_OF_ONE)
    }

    fn concern(&self, recipient: &str) -> bool {
        self.0.recipients.contains(recipient)
    }

    fn contain(&self, sender: &str, recipient: &str) -> bool {
        let Product { senders, recipients, .. } = &*self.0;
        sender != recipient && senders.contains(sender) && recipients.contains(recipient)
    }
}

// === impl Product ===

impl Product {
    fn new(pairs: &PairProduct, is_lost: bool, known_users: &KnownUsers) -> Self {
        let known = known_users.is_seeded().then(|| known_users.known_in(&pairs.senders));
        Self {
            is_lost,
            senders: pairs.senders.clone(),
            recipients: pairs.recipients.clone(),
            known_senders: known.filter(|known| known.len() <= MAX_SENDERS),
        }
    }

    fn is_empty(&self) -> bool {
        self.known_senders.as_ref().is_some_and(Vec::is_empty)
    }
}
