//! What a plan's rules make of its sets: for each set and each side, whom its
//! members may see or be seen by, and what is hidden.

use super::plan::{Effect, Hide, Plan};
use super::relation::Side;
use super::sets::{Numbering, SetId, at};
use super::shadow::Shadows;

/// The rules of a plan over sets.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// By set, and by the side that its members stand on.
    by_set: Box<[[Role; 2]]>,
    /// What is hidden, without repeats.
    hides: Box<[Hide]>,
    /// Sets that a deny rule takes away, and those that a hide rule names:
    /// ascending.
    denies: Box<[SetId]>,
    hiding: Box<[SetId]>,
    shadows: Shadows,
}

/// What the rules say about the members of a set on one side. All lists are
/// ascending and without repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Role {
    /// Sets on the other side that an allow rule names.
    pub(super) allow: Vec<SetId>,
    /// Sets on the other side that a deny rule names.
    pub(super) deny: Vec<SetId>,
    /// Sets on the other side that a hide rule names, and what it hides.
    pub(super) hide: Vec<(SetId, u32)>,
}

// === impl Roles ===

impl Roles {
    pub(super) fn new<'p>(plan: &'p Plan, numbering: &mut Numbering<'p>) -> Self {
        let mut hides: Vec<&Hide> = plan
            .rules
            .iter()
            .filter_map(|rule| match &rule.effect {
                Effect::Hide(hide) => Some(hide),
                Effect::Allow | Effect::Deny => None,
            })
            .collect();
        hides.sort_unstable();
        hides.dedup();

        let mut by_set = vec![<[Role; 2]>::default(); numbering.sets.len()];
        for rule in plan.rules.iter().filter(|rule| !rule.shadow) {
            for product in &rule.products {
                let (senders, recipients) =
                    (numbering.id(&product.senders), numbering.id(&product.recipients));
                for (side, own, other) in
                    [(Side::Sender, senders, recipients), (Side::Recipient, recipients, senders)]
                {
                    let Some(roles) = at(own).and_then(|own| by_set.get_mut(own)) else { continue };
                    let role = side.of_mut(roles);
                    match &rule.effect {
                        Effect::Allow => role.allow.push(other),
                        Effect::Deny => role.deny.push(other),
                        Effect::Hide(hide) => {
                            let place = hides.binary_search(&hide).unwrap_or_default();
                            role.hide.push((other, u32::try_from(place).unwrap_or(u32::MAX)));
                        }
                    }
                }
            }
        }
        for role in by_set.iter_mut().flatten() {
            let Role { allow, deny, hide } = role;
            for list in [allow, deny] {
                list.sort_unstable();
                list.dedup();
                list.shrink_to_fit();
            }
            hide.sort_unstable();
            hide.dedup();
        }
        let across = |others: fn(&Role) -> Vec<SetId>| -> Box<[SetId]> {
            let mut all: Vec<SetId> = by_set.iter().flatten().flat_map(others).collect();
            all.sort_unstable();
            all.dedup();
            all.into()
        };
        let denies = across(|role| role.deny.clone());
        let hiding = across(|role| role.hide.iter().map(|(other, _)| *other).collect());
        let hides = hides.into_iter().cloned().collect();
        let shadows = Shadows::new(plan, numbering);
        Self { by_set: by_set.into(), hides, denies, hiding, shadows }
    }

    /// What the rules say about a set's members on one side.
    pub(super) fn role(&self, set: SetId, side: Side) -> Option<&Role> {
        Some(side.of(self.by_set.get(at(set)?)?))
    }

    /// Every product of an allow rule (`true`) or a deny rule: senders and
    /// recipients.
    pub(super) fn terms(&self) -> impl Iterator<Item = (bool, [SetId; 2])> {
        (0..).zip(&self.by_set).flat_map(|(senders, roles): (SetId, _)| {
            let role = Side::Sender.of(roles);
            let allow = role.allow.iter().map(move |recipients| (true, [senders, *recipients]));
            let deny = role.deny.iter().map(move |recipients| (false, [senders, *recipients]));
            allow.chain(deny)
        })
    }

    /// Every product of a hide rule, senders and recipients, and what it hides.
    pub(super) fn hide_terms(&self) -> impl Iterator<Item = (SetId, SetId, &Hide)> {
        (0..).zip(&self.by_set).flat_map(move |(senders, roles): (SetId, _)| {
            let hide = Side::Sender.of(roles).hide.iter();
            hide.filter_map(move |(recipients, hide)| {
                Some((senders, *recipients, self.hide(*hide)?))
            })
        })
    }

    /// Whether an allow or deny rule names the set on a side.
    pub(super) fn decides(&self, set: SetId, side: Side) -> bool {
        self.role(set, side).is_some_and(|role| !role.allow.is_empty() || !role.deny.is_empty())
    }

    /// The rules in shadow.
    pub(super) fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Whether any rule names the set, those in shadow as their senders.
    pub(super) fn is_used(&self, set: SetId) -> bool {
        let used =
            |role: &Role| !role.allow.is_empty() || !role.deny.is_empty() || !role.hide.is_empty();
        self.shadows.names(set)
            || at(set)
                .and_then(|set| self.by_set.get(set))
                .is_some_and(|roles| roles.iter().any(used))
    }

    /// Sets that a deny rule takes away from somebody.
    pub(super) fn denies(&self) -> &[SetId] {
        &self.denies
    }

    /// Sets that a hide rule names, on either side.
    pub(super) fn hiding(&self) -> &[SetId] {
        &self.hiding
    }

    /// What is hidden.
    pub(super) fn hide(&self, place: u32) -> Option<&Hide> {
        self.hides.get(usize::try_from(place).ok()?)
    }
}
