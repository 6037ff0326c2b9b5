//! Server names without a port, in rules that show more than intended to servers with a
//! port: a rule that denies `evil.org` does not deny `evil.org:8448`, which is another
//! server name.
//!
//! Compares the coverage of a server name with and without a port by each set. Ignores
//! listed users, and stops at a budget.

mod server_sets;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use presence_router_ids::{Coverage, Glob};

use self::server_sets::{ServerGlobs, ServerSet};
use crate::policy::document::room::RoomEffect;
use crate::policy::document::{Document, Pairs, Rule, SetExpr};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::{quoted, quoted_list};
use crate::routing::model::ruleset::Effect;
use crate::routing::model::side::Side;

/// Budget: the number of set parts and globs that one run examines.
const MAX_STEPS: usize = 2_000_000;

/// Maximum nesting of groups and sets that one run follows.
const MAX_DEPTH: usize = 200;

/// Most server names in one warning.
const MAX_NAMES: usize = 3;

/// Ports that represent all others: the usual, the shortest and the longest one.
const PORTS: [&str; 3] = ["8448", "1", "65535"];

/// The groups of a document, and the rest of the budget.
struct PortGaps<'d> {
    document: &'d Document,
    groups: HashMap<&'d str, (&'d SetExpr, ServerSet<'d>)>,
    steps: Cell<usize>,
}

/// The effect of a rule on the users in its sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Restricts,
    Permits,
}

/// The servers that a set names without a port, each with the glob or pattern that names
/// it.
type Names<'d> = BTreeMap<&'d str, String>;

/// Returns a warning for each rule that names servers without a port and shows more for
/// this reason. It skips the names of `ours`: other ports there are on our own hosts.
pub(super) fn warnings(document: &Document) -> Vec<Problem> {
    let gaps = PortGaps::new(document);
    let allows = document.rules.iter().filter(|rule| rule.effect == Effect::Allow);
    let allowed: Vec<[Vec<ServerSet<'_>>; 2]> = allows
        .map(|rule| {
            [Side::Sender, Side::Recipient]
                .map(|side| gaps.sets_on_side(rule, side).map(ServerSet::new).collect())
        })
        .collect();
    let is_allowed = |side: Side, server: &str| {
        let mut sets = allowed.iter().flat_map(|sides| side.select(sides));
        sets.any(|set| gaps.covered_by(set, server) > Coverage::Nobody)
    };
    let mut warnings = Vec::new();
    for rule in &document.rules {
        // Both directions of a switch name the same servers.
        if rule.switch && rule.name != "servers.deny, inbound" {
            continue;
        }
        let (meaning, does) = match rule.effect {
            Effect::Deny => (Sense::Restricts, "denies"),
            Effect::Hide(_) => (Sense::Restricts, "hides something for"),
            Effect::Allow => (Sense::Permits, "leaves out"),
        };
        let mut names = Names::new();
        for side in [Side::Sender, Side::Recipient] {
            // A server that no rule allows needs no rule to deny it.
            let matters = |server: &str| meaning == Sense::Permits || is_allowed(side, server);
            for set in gaps.sets_on_side(rule, side) {
                names.extend(gaps.names_with_gaps(set, meaning, matters));
            }
        }
        let what = match rule.switch {
            true => "`servers.deny` names".to_owned(),
            false => format!("rule {} {does}", quoted(&rule.name)),
        };
        warnings.extend(warning(rule.position, &what, &names));
    }
    for rule in &document.rooms {
        let RoomEffect::Deny(_) = &rule.effect else { continue };
        // `requester` needs no check: requesters are users of the homeserver that asks.
        let sets = rule.when.invites.iter();
        let names =
            sets.flat_map(|set| gaps.names_with_gaps(set, Sense::Restricts, |_| true)).collect();
        let what = format!("rule {} about rooms denies", quoted(&rule.name));
        warnings.extend(warning(rule.position, &what, &names));
    }
    warnings
}

fn warning(position: Position, what: &str, names: &Names<'_>) -> Option<Problem> {
    let (name, written) = names.first_key_value()?;
    let mut list = quoted_list(names.keys().take(MAX_NAMES).copied());
    if let Some(more @ 1..) = names.len().checked_sub(MAX_NAMES) {
        list.push_str(&format!(" and {more} more"));
    }
    let message =
        format!("{what} {list}, but not with a port: `{name}:8448` is another server name");
    let help = format!("write `[\"{written}\", \"{written}:*\"]`");
    Some(Problem::new(ProblemCode::PortNotMatched, position, message).with_help(help))
}

/// The server name that a glob consists of. `None`: the glob has wildcards or a port.
fn without_port(glob: &Glob) -> Option<&str> {
    let name = glob.as_str();
    let in_brackets = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let has_port = in_brackets.map_or(name.contains(':'), |(_, port)| !port.is_empty());
    (glob.is_literal() && !has_port).then_some(name)
}

// === impl PortGaps ===

impl<'d> PortGaps<'d> {
    fn new(document: &'d Document) -> Self {
        let groups = document.groups.iter().map(|group| {
            let members = &group.members;
            (group.name.as_str(), (members, ServerSet::new(members)))
        });
        let groups = groups.collect();
        Self { document, groups, steps: Cell::new(MAX_STEPS) }
    }

    /// The sets on a side of a rule.
    fn sets_on_side(
        &self,
        rule: &'d Rule,
        side: Side,
    ) -> impl Iterator<Item = &'d SetExpr> + use<'d> {
        let (product, within) = match &rule.pairs {
            Pairs::Product { from, to } => (Some(*side.select(&[from, to])), None),
            Pairs::Within { groups, .. } => (None, Some(groups)),
        };
        let groups = self
            .document
            .groups
            .iter()
            .filter(move |group| within.is_some_and(|within| within.matches(&group.name)));
        product.into_iter().chain(groups.map(|group| &group.members))
    }

    /// The servers that a set names without a port, if the missing ports show more than
    /// intended.
    fn names_with_gaps(
        &self,
        set: &'d SetExpr,
        meaning: Sense,
        matters: impl Fn(&str) -> bool,
    ) -> Names<'d> {
        let mut names = self.names_without_port(set);
        if names.is_empty() {
            return names;
        }
        let node = ServerSet::new(set);
        names.retain(|name, _| {
            let with_ports = PORTS.map(|port| format!("{name}:{port}"));
            let alone = self.covered_by(&node, name);
            let is_worse = |server: &String| {
                let share = self.covered_by(&node, server);
                match meaning {
                    Sense::Restricts => share < alone,
                    Sense::Permits => share > alone,
                }
            };
            with_ports.iter().any(|server| is_worse(server) && matters(server))
        });
        // Without budget, no result is certain.
        if self.steps.get() == 0 { Names::new() } else { names }
    }

    /// All servers that a set and its groups name without a port.
    fn names_without_port(&self, set: &'d SetExpr) -> Names<'d> {
        let mut names = Names::new();
        let mut met: HashSet<&str> = HashSet::new();
        // A chain of groups may be as long as there are groups.
        let mut rest = vec![set];
        while let Some(set) = rest.pop() {
            set.each_part(&mut |part: &'d SetExpr| match part {
                SetExpr::Server(globs) => {
                    let literal = globs.iter().filter_map(without_port);
                    names.extend(literal.map(|name| (name, name.to_owned())));
                }
                SetExpr::Match(patterns) => {
                    for pattern in patterns {
                        if let Some(name) = without_port(pattern.server()) {
                            names.entry(name).or_insert_with(|| pattern.to_pattern());
                        }
                    }
                }
                SetExpr::Group { name, .. } if met.insert(name) => {
                    rest.extend(self.groups.get(name.as_str()).map(|(members, _)| *members));
                }
                _ => {}
            });
        }
        let is_ours = |name: &str| self.document.ours.iter().any(|one| one.as_str() == name);
        names.retain(|name, _| !is_ours(name));
        names
    }

    /// The coverage of a server by a set.
    fn covered_by(&self, set: &ServerSet<'d>, server: &str) -> Coverage {
        self.coverage_at(set, server, 0)
    }

    fn coverage_at(&self, set: &ServerSet<'d>, server: &str, depth: usize) -> Coverage {
        // An unknown coverage is the same for every server, so it causes no warning.
        let Some(left) = self.steps.get().checked_sub(1).filter(|_| depth < MAX_DEPTH) else {
            return Coverage::Some;
        };
        self.steps.set(left);
        let coverage = |set: &ServerSet<'d>| self.coverage_at(set, server, depth + 1);
        match set {
            ServerSet::Everyone => Coverage::Everybody,
            ServerSet::Users => Coverage::Nobody,
            ServerSet::Servers(servers) if self.matches(servers, server) => Coverage::Everybody,
            ServerSet::Servers(_) => Coverage::Nobody,
            ServerSet::Some(servers) if self.matches(servers, server) => Coverage::Some,
            ServerSet::Some(_) => Coverage::Nobody,
            ServerSet::Group(name) => {
                self.groups.get(name).map_or(Coverage::Nobody, |(_, members)| coverage(members))
            }
            ServerSet::Union(sets) => Coverage::of_union(sets.iter().map(coverage)),
            ServerSet::AllOf(sets) => Coverage::of_intersection(sets.iter().map(coverage)),
            ServerSet::Difference(both) => {
                let [any, except] = both.each_ref().map(coverage);
                any.without(except)
            }
        }
    }

    fn matches(&self, servers: &ServerGlobs<'_>, server: &str) -> bool {
        self.steps.set(self.steps.get().saturating_sub(servers.others.len()));
        let host = server.rsplit_once(':').map(|(host, _)| host);
        servers.names.contains(server)
            || host.is_some_and(|host| servers.with_any_port.contains(host))
            || servers.others.iter().any(|glob| glob.matches(server))
    }
}
