//! Pairs products of two snapshots that have members in common: a group that got a member is
//! mostly the same group.

use std::collections::HashMap;
use std::sync::Arc;

use super::contents::ContentId;
use crate::routing::model::side::Side;
use crate::routing::snapshot::members::Members;

/// The number of members by which the pairing looks for similar products.
const SAMPLES: usize = 4;

/// A product that only one snapshot has.
pub(super) struct Unmatched {
    pub(super) contents: [ContentId; 2],
    /// The sets of both sides, among the users of the later snapshot.
    pub(super) sides: [Arc<Members>; 2],
}

/// Removes products that have members in common, pair by pair.
pub(super) fn pair_up(
    removed: &mut Vec<Unmatched>,
    added: &mut Vec<Unmatched>,
) -> Vec<(Unmatched, Unmatched)> {
    let mut by_content: HashMap<(Side, ContentId), Vec<usize>> = HashMap::new();
    let mut by_member: HashMap<(Side, u32), Vec<usize>> = HashMap::new();
    const SIDES: [Side; 2] = [Side::Sender, Side::Recipient];
    for (index, left) in removed.iter().enumerate() {
        for side in SIDES {
            by_content.entry((side, *side.select(&left.contents))).or_default().push(index);
            for member in sample_members(side.select(&left.sides)) {
                by_member.entry((side, member)).or_default().push(index);
            }
        }
    }
    let (by_content, by_member) = (&by_content, &by_member);
    let mut old: Vec<Option<Unmatched>> = std::mem::take(removed).into_iter().map(Some).collect();
    let mut found = Vec::new();
    for new in std::mem::take(added) {
        let likely = SIDES.into_iter().flat_map(|side| {
            let same = by_content.get(&(side, *side.select(&new.contents)));
            let members = sample_members(side.select(&new.sides));
            let alike = members.filter_map(move |member| by_member.get(&(side, member)));
            same.into_iter().chain(alike).flat_map(|indexes| indexes.iter().take(SAMPLES))
        });
        let common = |index: usize| {
            let left = old.get(index)?.as_ref()?;
            // An unchanged side touches no users, whatever its size.
            let common = SIDES.into_iter().map(|side| {
                let [one, two] = [left, &new].map(|left| side.select(&left.sides));
                if side.select(&left.contents) == side.select(&new.contents) {
                    u64::from(u32::MAX)
                } else {
                    one.named().intersection_len(two.named())
                }
            });
            Some(common.sum::<u64>())
        };
        let best = likely.copied().filter_map(|index| Some((common(index)?, index))).max();
        let best = best.filter(|(common, _)| *common > 0);
        match best.and_then(|(_, index)| old.get_mut(index)?.take()) {
            Some(left) => found.push((left, new)),
            None => added.push(new),
        }
    }
    removed.extend(old.into_iter().flatten());
    found
}

/// Returns some members that a set most likely has in common with a set that differs by few
/// members.
fn sample_members(members: &Arc<Members>) -> impl Iterator<Item = u32> {
    let named = members.named().iter();
    named.clone().take(SAMPLES).chain(named.rev().take(SAMPLES))
}
