//! Selects a few pairs of many, as examples.

use std::collections::BTreeSet;

use crate::routing::change::difference::{Found, Pairs};
use crate::routing::snapshot::Snapshot;

/// Selects at most `max` pairs of named users, a few from each product: sender and
/// recipient. Selects none from a bound and none that depend on rooms, since these pairs may not
/// change.
pub(super) fn sample_pairs(snapshot: &Snapshot, all: &[Pairs], max: usize) -> Vec<[String; 2]> {
    let is_certain = |pairs: &&Pairs| pairs.found != Found::Bound && !pairs.depends_on_rooms;
    let all: Vec<&Pairs> = all.iter().filter(is_certain).collect();
    let each = max.div_ceil(all.len().max(1));
    let mut samples: BTreeSet<[u32; 2]> = BTreeSet::new();
    for Pairs { senders, recipients, .. } in all {
        let pairs = senders.named().iter().take(each + 1).flat_map(|sender| {
            recipients.named().iter().take(each + 1).map(move |recipient| [sender, recipient])
        });
        samples.extend(pairs.filter(|[sender, recipient]| sender != recipient).take(each));
    }
    let id = |user: u32| String::from(snapshot.users().id(user));
    samples.into_iter().take(max).map(|pair| pair.map(id)).collect()
}
