//! Counts the states of a stream that shadow rules would have changed. The effects are computed
//! once for each class.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use presence_router_proto::wire::Users;

use super::batch::Batcher;
use crate::live::Current;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::query::shadow::Shadowed;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::unstable::routing::snapshot::keys::ClassId;
use presence_router_ids::UserId;

/// The effects of shadow rules, by class. Valid for one snapshot only.
#[derive(Debug, Default)]
pub(super) struct ShadowEffects {
    by_class: HashMap<ClassId, Box<[Shadowed]>, RandomState>,
}

// === impl ShadowEffects ===

impl ShadowEffects {
    /// Counts the states of a batch that shadow rules would have changed.
    pub(super) fn count(
        &mut self,
        current: &Current,
        view: &CallerView,
        batch: &Batcher,
        users: &Users,
    ) {
        let snapshot = &current.snapshot;
        let mut counts: HashMap<usize, u64> = HashMap::new();
        for (class, user) in batch.sender_classes().zip(users.iter()) {
            let of_unlisted;
            let shadowed = match class {
                Some(class) => self.by_class.entry(class).or_insert_with(|| {
                    let caller = view.caller();
                    let signature = snapshot.signature_of_class(class, Side::Sender, caller);
                    snapshot.shadowed(&signature, view).into()
                }),
                None => {
                    let Ok(user) = UserId::parse(user) else { continue };
                    let signature = snapshot.signature(user, Side::Sender, view.caller());
                    of_unlisted = snapshot.shadowed(&signature, view).into_boxed_slice();
                    &of_unlisted
                }
            };
            for Shadowed { rule, except } in shadowed {
                if except.is_none() || snapshot.users().number(user) != *except {
                    *counts.entry(*rule).or_default() += 1;
                }
            }
        }
        for (rule, states) in counts {
            current.shadows.add_states(rule, states);
        }
    }
}
