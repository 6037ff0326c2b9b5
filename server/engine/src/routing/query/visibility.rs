//! The visibility relation, read from either side.
//!
//! A rule is a product of two sets: every sender in one with every recipient in the other, for
//! whom the relation holds that the rule may require. So a user's counterparts depend only on the
//! rules' sets that contain the user:
//!
//! ```text
//! counterparts(user) = union over sets R that an allow rule puts across from a
//!                      set of the user's, of R minus all sets that a deny rule
//!                      puts across from one; a set with a relation counts only
//!                      for users for whom the relation holds
//! ```
//!
//! `terms` collects the sets across of these rules, for all functions here and in `parts`, which
//! splits counterparts into sets that answers share.
//!
//! A user is never its own counterpart. Sets here are *modulo self*: they may contain the user
//! itself, and a reader that lists them skips the user.

use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{Hide, Relation};
use crate::routing::model::side::Side;
use crate::routing::query::conditional_members::ConditionalMembers;
use crate::routing::query::terms::{Operands, Term};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{ClassId, RelationId, SetId};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::rule_index::Across;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::{RoomCapabilities, UserId, all_of, any_of};

/// A caller's view of one snapshot.
#[derive(Clone, Debug)]
pub struct CallerView {
    caller: Caller,
    /// The named users on the caller's servers. Computed on first use, since few answers
    /// need them.
    local: OnceLock<RoaringBitmap>,
}

/// All data that a user's counterparts depend on, as far as they concern a caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The user's side of its pairs.
    side: Side,
    /// True if only counterparts on the caller's own servers count.
    local_only: bool,
    /// The capabilities of the caller on which some rule depends. Callers that differ in others
    /// share answers.
    capabilities: RoomCapabilities,
    sets: Sets,
}

/// The sets of rules that contain a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sets {
    /// The sets of a class of named users.
    Class(ClassId),
    /// The sets that contain an unnamed user by server or pattern.
    Open(Box<[SetId]>),
}

/// The users among some counterparts to whom a hide applies.
#[derive(Clone, Debug)]
pub struct AppliedHide<'s> {
    /// The users: counterparts only.
    pub users: Members,

    /// The relation that the hide requires. For a user of whom it is not known if the relation
    /// holds, the hide applies.
    pub relation: Option<&'s Relation>,

    /// The id of `relation`.
    pub relation_id: Option<RelationId>,

    /// The hidden fields.
    pub hide: &'s Hide,
}

// === impl Signature ===

impl Signature {
    /// Returns true if only counterparts on the caller's own servers count.
    pub(in crate::routing) fn is_local_only(&self) -> bool {
        self.local_only
    }

    /// Returns the class of the named users with this signature.
    #[inline]
    pub fn class(&self) -> Option<ClassId> {
        match self.sets {
            Sets::Class(class) => Some(class),
            Sets::Open(_) => None,
        }
    }
}

// === impl CallerView ===

impl CallerView {
    /// Creates a view. It is valid for one snapshot only.
    pub fn new(caller: Caller) -> Self {
        Self { caller, local: OnceLock::new() }
    }

    /// Returns the caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the named users on the caller's servers.
    pub(in crate::routing) fn local_users(&self, snapshot: &Snapshot) -> &RoaringBitmap {
        self.local.get_or_init(|| {
            let names = self.caller.server_names();
            let users = names.filter_map(|name| snapshot.users.on_server(name));
            users.fold(RoaringBitmap::new(), |all, some| all | some)
        })
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the signature of a user: all data that its counterparts depend on, as far as they
    /// concern a caller.
    pub fn signature(&self, user: UserId<'_>, side: Side, caller: &Caller) -> Signature {
        match self.users.user_ref(user) {
            UserRef::Numbered { class, .. } => self.signature_of_class(class, side, caller),
            UserRef::Unnumbered(user) => {
                let sets = Sets::Open(self.open_sets_of(user).collect());
                let local_only = !caller.is_local(user);
                Signature {
                    side,
                    local_only,
                    capabilities: self.needed_capabilities_of(caller),
                    sets,
                }
            }
        }
    }

    /// Returns the capabilities of a caller on which some rule depends.
    fn needed_capabilities_of(&self, caller: &Caller) -> RoomCapabilities {
        self.rules.needed_capabilities().intersection(caller.capabilities())
    }

    /// Returns the signature of the users of a class.
    pub fn signature_of_class(&self, class: ClassId, side: Side, caller: &Caller) -> Signature {
        let server = self
            .classes
            .get(class)
            .and_then(|class| self.users.server(class.server))
            .unwrap_or_default();
        let (local_only, sets) = (!caller.holds(server), Sets::Class(class));
        Signature { side, local_only, capabilities: self.needed_capabilities_of(caller), sets }
    }

    /// Returns all counterparts of the users in these sets of rules, for any caller with these
    /// capabilities.
    pub(in crate::routing) fn counterparts_of(
        &self,
        sets: &[SetId],
        side: Side,
        capabilities: RoomCapabilities,
    ) -> ConditionalMembers {
        let terms = self.terms(sets, side, capabilities);
        let Operands { allow, deny, allow_if, deny_if } = terms.collect();
        let denied = self.union_of(&deny);
        let mut always = self.union_of(&allow);
        always.subtract(&denied);
        let conditional = |sets: &[(RelationId, SetId)]| {
            let mut by_relation = Vec::new();
            for (relation, set) in sets {
                if let Some(set) = self.set(*set) {
                    self.unite_by(&mut by_relation, *relation, set);
                }
            }
            by_relation
        };
        let mut required = conditional(&allow_if);
        required.iter_mut().for_each(|(_, members)| members.subtract(&denied));
        let allowed = ConditionalMembers::new(always, required, Vec::new());
        if deny_if.is_empty() {
            return allowed;
        }
        allowed.without(conditional(&deny_if))
    }

    /// Returns true if any hide rule concerns the users with a signature.
    pub fn hides_anything(&self, signature: &Signature) -> bool {
        let rules = |set: &SetId| self.rules.of_set(*set, signature.side);
        self.signature_sets(signature).iter().filter_map(rules).any(|rules| !rules.hide.is_empty())
    }

    /// Returns the hides for some of the counterparts. Several hides that apply to one user add
    /// up. Hides of the same fields by rules with the same relation are one.
    pub fn hides(&self, signature: &Signature, counterparts: &Members) -> Vec<AppliedHide<'_>> {
        let sets = self.signature_sets(signature);
        let hiding = self.hide_terms(sets, signature.side, signature.capabilities);
        let mut hides = Vec::new();
        for same in hiding.chunk_by(|(a, if_a, _), (b, if_b, _)| (a, if_a) == (b, if_b)) {
            let mut users = Members::default();
            for (.., set) in same {
                if let Some(set) = self.set(*set) {
                    users.unite(set);
                }
            }
            users.intersect(counterparts);
            let Some((hide, relation_id, _)) = same.first().filter(|_| !users.is_empty()) else {
                continue;
            };
            let (hide, relation_id) = (self.rules.hide_by_id(*hide), *relation_id);
            let relation = relation_id.and_then(|id| self.relation(id)).map(|relation| &**relation);
            hides.extend(hide.map(|hide| AppliedHide { users, relation, relation_id, hide }));
        }
        hides
    }

    /// Evaluates the definition for one pair that shares no room: not the same user, some allow
    /// rule, and no deny rule.
    pub fn visible(&self, sender: UserId<'_>, recipient: UserId<'_>) -> bool {
        self.visible_if(sender, recipient, Relation::holds_without_rooms) == Some(true)
    }

    /// Evaluates the definition for one pair, as [`Self::visible`] does. `holds` evaluates the
    /// relation that a rule requires; the result is `None` if an unknown relation decides it.
    pub fn visible_if(
        &self,
        sender: UserId<'_>,
        recipient: UserId<'_>,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> Option<bool> {
        let [senders, recipients] =
            [sender, recipient].map(|user| self.sets_of(self.users.user_ref(user)));
        let matches = |Across { set, relation }: Across| {
            if recipients.binary_search(&set).is_err() {
                return Some(false);
            }
            relation.and_then(|id| self.relation(id)).map_or(Some(true), |one| holds(one))
        };
        if sender == recipient {
            return Some(false);
        }
        let [mut allowed, mut denied] = [Some(false); 2];
        for term in self.terms(&senders, Side::Sender, RoomCapabilities::ALL) {
            match term {
                Term::Allow(across) => allowed = any_of([allowed, matches(across)]),
                Term::Deny(across) => denied = any_of([denied, matches(across)]),
            }
            if denied == Some(true) {
                return Some(false);
            }
        }
        all_of([allowed, denied.map(|denied| !denied)])
    }

    /// Returns a relation that rules require.
    pub fn relation(&self, id: RelationId) -> Option<&Arc<Relation>> {
        self.rules.relation_by_id(id)
    }

    /// Returns the sets of the terms that make the counterparts of users with a signature.
    pub(super) fn operands(&self, signature: &Signature) -> Operands {
        let sets = self.signature_sets(signature);
        self.terms(sets, signature.side, signature.capabilities).collect()
    }

    /// Returns the users in any of the sets.
    pub(super) fn union_of(&self, sets: &[SetId]) -> Members {
        let mut all = Members::default();
        for set in sets.iter().filter_map(|id| self.set(*id)) {
            all.unite(set);
        }
        all
    }

    pub(in crate::routing) fn signature_sets<'s>(
        &'s self,
        signature: &'s Signature,
    ) -> &'s [SetId] {
        match &signature.sets {
            Sets::Class(class) => self.sets_of_class(*class),
            Sets::Open(sets) => sets,
        }
    }
}
