//! The verdict on a pair, by the definition or by an answer of a snapshot, and the
//! difference of two verdicts.

use crate::routing::model::ruleset::Hide;

/// The verdict on a pair: its visibility, and its hides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct PairVerdict<'h> {
    /// True if the recipient may see the sender.
    pub(in crate::policy) visible: bool,
    /// The hides, sorted, without repeats. Empty if the pair is not visible.
    pub(in crate::policy) hides: Vec<&'h Hide>,
}

/// A difference between the definition and an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Discrepancy {
    /// The pair is visible by only one of the two.
    Visibility,
    /// Both agree on the visibility, but not on the hides.
    Hides(Hides),
}

/// The hides of a pair, by both sources. Each list is sorted, and has no repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hides {
    /// The hides by the definition. Empty if the pair is not visible.
    pub defined: Vec<Hide>,

    /// The hides by the callback.
    pub answered: Vec<Hide>,
}

// === impl PairVerdict ===

impl PairVerdict<'_> {
    /// Compares the definition with an answer. `None`: both agree.
    pub(in crate::policy) fn find_discrepancy(
        &self,
        answered: &PairVerdict<'_>,
    ) -> Option<Discrepancy> {
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
