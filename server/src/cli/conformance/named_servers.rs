//! The servers that a stream names, and the destinations that a client derives from them.
//! Checks every promise of the contract about the list.

use std::collections::BTreeSet;

use presence_router_ids::{Coverage, Glob, Region, UserGlob};
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::{NamedServers, SetExpression};

use super::difference::Difference;
use super::sets::DefinedSets;

/// The list of named servers of a stream.
#[derive(Debug, Default)]
pub(super) struct ServerList {
    names: BTreeSet<String>,
    /// The caller's own servers, which the list must not contain.
    own: Vec<String>,
    /// True if the last message did not complete the list.
    incomplete: bool,
}

// === impl ServerList ===

impl ServerList {
    /// Returns the empty list of a stream of this caller.
    pub(super) fn new(own: &[String]) -> Self {
        Self { own: own.to_vec(), ..Self::default() }
    }

    pub(super) fn apply(&mut self, message: NamedServers) -> Result<(), Difference> {
        let NamedServers { added, removed, last } = message;
        for (names, verb) in [(&added, "added"), (&removed, "removed")] {
            if !names.is_sorted_by(|one, next| one < next) {
                return Err(Difference(format!(
                    "{verb} servers are not sorted, or one is repeated"
                )));
            }
        }
        for name in removed {
            if !self.names.remove(&name) {
                return Err(Difference(format!("server {name} is removed, but is not named")));
            }
        }
        for name in added {
            if self.own.contains(&name) {
                return Err(Difference(format!("server {name} is named, but is the caller's own")));
            }
            if let Some(name) = self.names.replace(name) {
                return Err(Difference(format!("server {name} is named twice")));
            }
        }
        self.incomplete = !last;
        Ok(())
    }

    /// Checks that the list is complete, as it must be when another message comes.
    pub(super) fn check_complete(&self) -> Result<(), Difference> {
        if self.incomplete {
            return Err(Difference("a message comes before the last part of named servers".into()));
        }
        Ok(())
    }

    /// Returns the servers on which the open part of a set may have members, or listed users
    /// who depend on rooms, without the caller's own.
    pub(super) fn destinations(&self, sets: &DefinedSets, set_id: u64) -> BTreeSet<String> {
        let set = SetExpression { expression: Some(Expression::SetId(set_id)) };
        let reaches = |name: &&String| open_coverage(sets, Some(&set), name) != Coverage::Nobody;
        let mut servers = sets.servers_of_room_mates(set_id);
        servers.retain(|server| !self.own.contains(server));
        servers.extend(self.names.iter().filter(reaches).cloned());
        servers
    }
}

/// Returns the coverage of a server by an expression. Lists of users count as nobody: the
/// servers of listed users need no name.
fn open_coverage(sets: &DefinedSets, set: Option<&SetExpression>, server: &str) -> Coverage {
    let region = Region::Server(server);
    let coverage_of = |set: &SetExpression| open_coverage(sets, Some(set), server);
    match set.and_then(|set| set.expression.as_ref()) {
        None | Some(Expression::Users(_)) => Coverage::Nobody,
        Some(Expression::Everyone(_)) => Coverage::Everybody,
        Some(Expression::RoomMates(_)) => Coverage::Some,
        Some(Expression::Server(glob)) => region.covered_by(&Glob::new(glob.as_str())),
        Some(Expression::Match(pattern)) => UserGlob::parse(pattern)
            .map_or(Coverage::Nobody, |pattern| region.covered_by_pattern(&pattern)),
        Some(Expression::SetId(id)) => open_coverage(sets, sets.expression(*id), server),
        Some(Expression::AnyOf(list)) => Coverage::of_union(list.sets.iter().map(coverage_of)),
        Some(Expression::AllOf(list)) => {
            Coverage::of_intersection(list.sets.iter().map(coverage_of))
        }
        Some(Expression::Difference(both)) => {
            let [any, except] =
                [&both.any, &both.except].map(|set| open_coverage(sets, set.as_deref(), server));
            any.without(except)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_promise_is_found() {
        let message = |added: &[&str], removed: &[&str], last| {
            let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            NamedServers { added: strings(added), removed: strings(removed), last }
        };
        for (messages, expected) in [
            (vec![message(&["b.org", "c.org"], &[], true), message(&[], &["b.org"], true)], ""),
            (vec![message(&["b.org"], &[], false)], "a message comes before the last part"),
            (vec![message(&["c.org", "b.org"], &[], true)], "added servers are not sorted"),
            (vec![message(&["b.org", "b.org"], &[], true)], "added servers are not sorted"),
            (vec![message(&[], &["c.org", "b.org"], true)], "removed servers are not sorted"),
            (vec![message(&["a.org"], &[], true)], "server a.org is named, but is the caller's"),
            (vec![message(&[], &["b.org"], true)], "server b.org is removed, but is not named"),
            (vec![message(&["b.org"], &[], false), message(&["b.org"], &[], true)], "server b.org"),
        ] {
            let mut list = ServerList::new(&["a.org".to_owned()]);
            let applied = messages.into_iter().try_for_each(|message| list.apply(message));
            let found = applied.and_then(|()| list.check_complete());
            let found = found.map_or_else(|Difference(text)| text, |()| String::new());
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{found}"
            );
        }
    }
}
