//! What holds for a pair, whoever says so: the document by its definition, or a
//! snapshot by its answers. And in what the two differ.

use crate::routing::model::ruleset::Hide;

/// Whether a pair is visible, and what is hidden of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct PairVerdict<'h> {
    /// Whether the recipient may see the sender.
    pub(in crate::policy) visible: bool,
    /// Sorted, without repeats. Empty, if the pair is not visible.
    pub(in crate::policy) hides: Vec<&'h Hide>,
}

/// In what an answer differs from the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Discrepancy {
    /// Only one of them has the pair visible.
    Visibility,
    /// Both agree about that, and not about what is hidden.
    Hides(Hides),
}

/// What is hidden of a pair. Each list sorted, without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hides {
    /// By the definition. Empty, if the pair is not visible.
    pub defined: Vec<Hide>,

    /// By the callback.
    pub answered: Vec<Hide>,
}

// === impl PairVerdict ===

impl PairVerdict<'_> {
    /// Compares the definition with an answer. `None`: they agree.
    pub(in crate::policy) fn discrepancy(&self, answered: &PairVerdict<'_>) -> Option<Discrepancy> {
        if self.visible != answered.visible {
            return Some(Discrepancy::Visibility);
        }
        let list = |hides: &[&Hide]| hides.iter().map(|hide| (*hide).clone()).collect();
        (self.hides != answered.hides).then(|| {
            Discrepancy::Hides(Hides {
                defined: list(&self.hides),
                answered: list(&answered.hides),
            })
        })
    }
}
