//! The verdict on a pair, by the definition or by an answer of a snapshot, and the
//! difference of two verdicts.

use crate::routing::model::ruleset::Hide;

/// The verdict on a pair: its visibility, and its hides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct PairVerdict<'h> {
    /// True if the recipient may see the sender.
    pub(in crate::policy) visible: bool,
    /// Sorted, without repeats. Empty, if the pair is not visible.
    pub(in crate::policy) hides: Vec<&'h Hide>,
}

/// A difference between the definition and an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Discrepancy {
    /// Only one of them has the pair visible.
    Visibility,
    /// Both agree about that, and not about what is hidden.
    Hides(Hides),
}

/// The hides of a pair, by both sources. Each list is sorted, without repeats.
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
