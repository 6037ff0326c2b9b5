//! Rules that stock Synapse cannot enforce, which depends on the mode of the Synapse module. In
//! the mode `add`, a presence router adds recipients to those of shared rooms, and cannot remove
//! any there; and the module evaluates no rooms. In the mode `exact`, the policy alone decides,
//! but for users of other servers: Synapse sends presence to whole servers. This module follows
//! the tables in `docs/policy.md`.

use presence_router_ids::{Coverage, Region, UserGlob, UserId};

use crate::policy::Policy;
use crate::policy::document::Rule;
use crate::policy::lint::coverage::RegionCoverage;
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::{self, Effect, Ruleset, Set};

/// The help for a rule that requires a relation.
const WITHOUT_ROOMS: &str = "let the policy alone decide, by `local: exact` in the module's configuration, or write a rule without `share_room`";

const SERVERS_DECIDE: &str = "Synapse sends presence to whole servers, and each other server decides by itself which of its users see it";

/// The mode of the Synapse module, `local` and `federation` in its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The module adds to the presence that Synapse shows to room-mates.
    Add,
    /// The policy alone decides.
    Exact,
}

/// The places of a rule's recipients, as far as Synapse reaches them differently.
#[derive(Clone, Copy, Debug)]
struct Reach {
    here: bool,
    away: bool,
    /// True if the rule names users of other servers, and not only whole servers.
    by_name: bool,
}

/// The servers that recipients may be on.
struct RecipientRegions<'p> {
    policy: &'p Policy,
    /// Our servers, if the policy names them.
    local: Vec<RegionCoverage<'p>>,
    /// All other servers; without `ours`, all servers.
    others: RegionCoverage<'p>,
    /// All servers except ours.
    away: Region<'p>,
    /// All servers.
    world: RegionCoverage<'p>,
}

/// Returns a warning for each rule that Synapse enforces only in part, and one for each rule
/// that hides the status text, in the order of the rules. Without `ours` in the policy,
/// recipients may be on any server.
pub fn warnings(policy: &Policy, mode: Mode) -> Vec<Problem> {
    let is_ours = |server: &str| policy.document.ours.iter().any(|ours| ours.as_str() == server);
    let regions = RecipientRegions::new(policy, Region::Outside(&is_ours));
    let rules = policy.document.rules.iter().zip(&policy.ruleset.rules);
    // No homeserver needs to enforce a shadow rule.
    let rules = rules.filter(|(rule, _)| !rule.shadow);
    let warnings = rules.flat_map(|(rule, planned)| {
        [regions.warning(rule, planned, mode), status_in_profile(rule)].into_iter().flatten()
    });
    warnings.collect()
}

/// Returns the warning of a rule that hides the status text.
fn status_in_profile(rule: &Rule) -> Option<Problem> {
    let Effect::Hide(hide) = &rule.effect else { return None };
    let message = format!(
        "rule {} hides `status_msg` of presence, but clients also write a status into the field `m.status` of the user's profile (MSC4426), which `/sync` sends (MSC4429) and no presence router sees",
        quoted(&rule.name)
    );
    let help = "do not rely on the rule to keep a status private";
    let warning = Problem::new(ProblemCode::StatusInProfile, rule.position, message);
    hide.fields.status_msg.then(|| warning.with_help(help))
}

/// Returns the warning of a rule that Synapse enforces in part. `None`: there is no limit.
fn in_part(rule: &Rule, limits: impl IntoIterator<Item = &'static str>) -> Option<Problem> {
    let kind = match &rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
        Effect::Hide(_) => "hide",
    };
    let limits: Vec<_> = limits.into_iter().collect();
    let (name, limits) = (quoted(&rule.name), (!limits.is_empty()).then(|| limits.join("; "))?);
    let message = format!("Synapse enforces {kind} rule {name} in part: {limits}");
    Some(Problem::new(ProblemCode::NotEnforcedBySynapse, rule.position, message))
}

// === impl RecipientRegions ===

impl<'p> RecipientRegions<'p> {
    fn new(policy: &'p Policy, away: Region<'p>) -> Self {
        let Policy { document, ruleset, groups, .. } = policy;
        let coverage = |region| RegionCoverage::new(document, ruleset, groups, region);
        let ours = document.ours.iter().map(|name| Region::Server(name.as_str()));
        let (local, world) = (ours.map(coverage).collect(), coverage(Region::WORLD));
        Self { policy, local, others: coverage(away), away, world }
    }

    fn warning(&self, rule: &Rule, planned: &ruleset::Rule, mode: Mode) -> Option<Problem> {
        let some =
            |region: &RegionCoverage<'_>, set: &Set| region.covered_by(set) != Coverage::Nobody;
        let anybody =
            |set: &Set| some(&self.others, set) || self.local.iter().any(|reach| some(reach, set));
        let recipients = || {
            let matching = planned.products.iter().filter(|product| anybody(&product.senders));
            matching.map(|product| &product.recipients)
        };
        let away = recipients().any(|set| some(&self.others, set));
        let here = if self.local.is_empty() {
            away
        } else {
            recipients().any(|set| self.local.iter().any(|reach| some(reach, set)))
        };
        if !here && !away {
            return None;
        }
        let by_name = || recipients().any(|set| self.names_users_away(set));
        let reach = Reach { here, away, by_name: away && by_name() };
        match mode {
            Mode::Add => self.warning_of_add(rule, planned, reach),
            Mode::Exact => self.warning_of_exact(rule, reach),
        }
    }

    fn warning_of_add(
        &self,
        rule: &Rule,
        planned: &ruleset::Rule,
        Reach { here, away, by_name }: Reach,
    ) -> Option<Problem> {
        let by_effect = match &rule.effect {
            Effect::Allow if rule.relation.is_some() => {
                let message = format!(
                    "Synapse does not enforce allow rule {}: the module does not evaluate rooms, so the rule shows nothing in addition to what Synapse shows users who share a room",
                    quoted(&rule.name)
                );
                let code = ProblemCode::NotEnforcedBySynapse;
                let warning = Problem::new(code, rule.position, message);
                return Some(warning.with_help(WITHOUT_ROOMS));
            }
            Effect::Allow => {
                [(by_name && !self.local.is_empty()).then_some(SERVERS_DECIDE), None]
            }
            Effect::Deny => [
                here.then_some("on the local `/sync`, recipients who share a room with the sender still see the presence"),
                away.then_some("federation still sends the presence to every server that shares a room with the sender"),
            ],
            Effect::Hide(_) => [
                here.then_some("on the local `/sync`, recipients who share a room with the sender see all fields; the module shows the sender to no other recipients, except to recipients who may see everyone if `all_users` is `auto`"),
                away.then_some("federation may send all fields to servers that share a room with the sender; other servers get one copy for all of their users, without the fields that are hidden from any recipient there; if a worker sends federation, its pings, which say that the user is still online, may have all fields"),
            ],
        };
        let has_relation = rule.relation.is_some();
        let without_rooms = has_relation.then_some(
            "the module does not evaluate rooms, so the rule counts as if it had no `share_room`",
        );
        let is_everyone = |set: &Set| self.world.covered_by(set) == Coverage::Everybody;
        let mut products = planned.products.iter();
        let denies_all = has_relation
            && rule.effect == Effect::Deny
            && products.any(|pairs| is_everyone(&pairs.senders) && is_everyone(&pairs.recipients));
        let denies_all = denies_all.then_some("so no allow rule of this policy adds anybody");
        let limits = without_rooms.into_iter().chain(denies_all);
        let warning = in_part(rule, limits.chain(by_effect.into_iter().flatten()));
        if has_relation { warning.map(|warning| warning.with_help(WITHOUT_ROOMS)) } else { warning }
    }

    fn warning_of_exact(&self, rule: &Rule, reach: Reach) -> Option<Problem> {
        let limit = match &rule.effect {
            Effect::Allow => reach.by_name && !self.local.is_empty(),
            // Of two users of a server, one may share such a room and the other one may not.
            Effect::Deny => reach.by_name || (reach.away && rule.relation.is_some()),
            Effect::Hide(_) => {
                let limit = "another server gets one copy for all of its users, without the fields that are hidden from any recipient there";
                return in_part(rule, reach.away.then_some(limit));
            }
        };
        in_part(rule, limit.then_some(SERVERS_DECIDE))
    }

    /// True if a set names users of other servers, and not only whole servers.
    fn names_users_away(&self, set: &Set) -> bool {
        let away = |pattern: &UserGlob| {
            !matches!(pattern.user().as_str(), "*" | "@*")
                && self.away.covered_by(pattern.server()) != Coverage::Nobody
        };
        let is_away = |id: &str| UserId::parse(id).is_ok_and(|user| self.away.holds(user.server()));
        let mut met = vec![false; self.policy.ruleset.groups.len()];
        let mut rest = vec![set];
        while let Some(set) = rest.pop() {
            match set {
                Set::Users(ids) if ids.iter().any(is_away) => return true,
                Set::Match(pattern) if away(pattern) => return true,
                Set::Group(number) => {
                    rest.extend(new_group(&self.policy.ruleset, &mut met, *number))
                }
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                // Excepted users are no recipients.
                Set::Difference(any, _) => rest.push(any),
                Set::Users(_)
                | Set::Match(_)
                | Set::Everyone
                | Set::Server(_)
                | Set::Directory(_) => {}
            }
        }
        false
    }
}

fn new_group<'p>(ruleset: &'p Ruleset, met: &mut [bool], number: usize) -> Option<&'p Set> {
    let new = met.get_mut(number).is_some_and(|met| !std::mem::replace(met, true));
    ruleset.groups.get(number).filter(|_| new)
}
