//! The visibility relation, read from either side.
//!
//! A rule is a product of two sets: every sender in one with every recipient in the other.
//! So a user's counterparts depend only on the rules' sets that contain the user:
//!
//! ```text
//! counterparts(user) = union over sets R that an allow rule puts across from a
//!                      set of the user's, of R minus all sets that a deny rule
//!                      puts across from one
//! ```
//!
//! `terms` collects the sets across of these rules, for all functions here. Each set that an
//! allow rule puts across, minus others, is a *part*. Users with different counterparts share
//! parts, and so do audiences and interests; a group is one part, however many audiences
//! contain it.
//!
//! A user is never its own counterpart. Sets here are *modulo self*: they may contain the user
//! itself, and a reader that lists them skips the user.

use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::Hide;
use crate::routing::model::side::Side;
use crate::routing::query::terms::{Operands, Term};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{ClassId, HideId, SetId};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::UserId;

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

/// A term of the union that makes a user's counterparts: a set, minus others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    allow: SetId,
    deny: Arc<[SetId]>,
    local_only: bool,
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

// === impl Part ===

impl Part {
    /// Returns the set without its exclusions.
    pub(in crate::routing) fn allowed_set(&self) -> SetId {
        self.allow
    }

    /// Returns the sets that deny rules exclude.
    pub(in crate::routing) fn denied_sets(&self) -> &[SetId] {
        &self.deny
    }

    /// Converts the part to sets with other ids.
    pub(in crate::routing) fn with_mapped_sets(
        &self,
        id: impl Fn(SetId) -> Option<SetId>,
    ) -> Option<Self> {
        let mut deny = self.deny.iter().map(|set| id(*set)).collect::<Option<Vec<_>>>()?;
        deny.sort_unstable();
        Some(Self { allow: id(self.allow)?, deny: deny.into(), local_only: self.local_only })
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
                Signature { side, local_only: !caller.is_local(user), sets }
            }
        }
    }

    /// Returns the signature of the users of a class.
    pub fn signature_of_class(&self, class: ClassId, side: Side, caller: &Caller) -> Signature {
        let server = self
            .classes
            .get(class)
            .and_then(|class| self.users.server(class.server))
            .unwrap_or_default();
        Signature { side, local_only: !caller.holds(server), sets: Sets::Class(class) }
    }

    /// Returns the parts whose union is the counterparts. Without parts, there are none.
    pub fn parts(&self, signature: &Signature) -> Vec<Part> {
        let terms = self.terms(self.signature_sets(signature), signature.side);
        let Operands { allow, deny } = terms.collect();
        let part = |allow| {
            // Only exclusions that overlap the set: a group that no deny rule touches stays
            // one part, whatever other users its members are denied.
            let set = self.set(allow);
            let takes = |deny: &SetId| {
                set.zip(self.set(*deny)).is_some_and(|(set, denied)| set.may_meet(denied))
            };
            let deny = deny.iter().copied().filter(takes).collect();
            Part { allow, deny, local_only: signature.local_only }
        };
        allow.into_iter().map(part).collect()
    }

    /// Returns the members of one part.
    pub fn members_of_part(&self, part: &Part, view: &CallerView) -> Members {
        let set = self.set(part.allow);
        let mut members = match (set, part.local_only) {
            (None, _) => Members::default(),
            (Some(set), false) => Members::clone(set),
            (Some(set), true) => set.on_servers_of(&view.caller, view.local_users(self)),
        };
        for deny in part.deny.iter() {
            if let Some(denied) = self.set(*deny) {
                members.subtract(denied);
            }
        }
        members
    }

    /// Returns all counterparts of the users with a signature, modulo self.
    pub fn counterparts(&self, signature: &Signature, view: &CallerView) -> Members {
        let mut all = Members::default();
        for part in self.parts(signature) {
            all.unite(&self.members_of_part(&part, view));
        }
        all
    }

    /// Returns all counterparts of the users in these sets of rules, for any caller.
    pub(in crate::routing) fn counterparts_of(&self, sets: &[SetId], side: Side) -> Members {
        let Operands { allow, deny } = self.terms(sets, side).collect();
        let mut counterparts = self.union_of(&allow);
        counterparts.subtract(&self.union_of(&deny));
        counterparts
    }

    /// Returns true if any hide rule concerns the users with a signature.
    pub fn hides_anything(&self, signature: &Signature) -> bool {
        let rules = |set: &SetId| self.rules.of_set(*set, signature.side);
        self.signature_sets(signature).iter().filter_map(rules).any(|rules| !rules.hide.is_empty())
    }

    /// Returns the hides for some of the counterparts, each with the users to whom it
    /// applies: sets of counterparts only. Several hides that apply to one user add up.
    pub fn hides(&self, signature: &Signature, counterparts: &Members) -> Vec<(Members, &Hide)> {
        let mut hiding: Vec<(HideId, SetId)> = Vec::new();
        for set in self.signature_sets(signature) {
            if let Some(rules) = self.rules.of_set(*set, signature.side) {
                hiding.extend(rules.hide.iter().map(|(other, hide)| (*hide, *other)));
            }
        }
        hiding.sort_unstable();
        hiding.dedup();
        let mut hides = Vec::new();
        for same in hiding.chunk_by(|(a, _), (b, _)| a == b) {
            let mut users = Members::default();
            for (_, set) in same {
                if let Some(set) = self.set(*set) {
                    users.unite(set);
                }
            }
            users.intersect(counterparts);
            let hide = same.first().and_then(|(id, _)| self.rules.hide_by_id(*id));
            if let Some(hide) = hide.filter(|_| !users.is_empty()) {
                hides.push((users, hide));
            }
        }
        hides
    }

    /// Evaluates the definition for one pair: not the same user, some allow rule, and no deny
    /// rule.
    pub fn visible(&self, sender: UserId<'_>, recipient: UserId<'_>) -> bool {
        let [senders, recipients] =
            [sender, recipient].map(|user| self.sets_of(self.users.user_ref(user)));
        let hold = |sets: &[SetId]| sets.iter().any(|set| recipients.binary_search(set).is_ok());
        let mut allowed = false;
        for term in self.terms(&senders, Side::Sender) {
            match term {
                Term::Allow(sets) => allowed = allowed || hold(sets),
                Term::Deny(sets) if hold(sets) => return false,
                Term::Deny(_) => {}
            }
        }
        allowed && sender != recipient
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
