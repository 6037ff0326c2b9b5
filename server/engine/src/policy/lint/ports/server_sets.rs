//! Sets reduced to their server names and globs, prepared for many lookups.

use std::collections::HashSet;

use presence_router_ids::{Glob, UserGlob};

use crate::policy::document::SetExpr;

/// A set prepared for many lookups of servers.
pub(super) enum ServerSet<'d> {
    Everyone,
    /// Listed users.
    Users,
    /// All users of these servers.
    Servers(ServerGlobs<'d>),
    /// Some users of these servers.
    Some(ServerGlobs<'d>),
    Group(&'d str),
    Union(Vec<ServerSet<'d>>),
    AllOf(Vec<ServerSet<'d>>),
    Difference(Box<[ServerSet<'d>; 2]>),
}

/// Globs over server names. Most globs are names, or names with every port; a hash set
/// finds these two kinds without a comparison for each glob.
#[derive(Default)]
pub(super) struct ServerGlobs<'d> {
    pub(super) names: HashSet<&'d str>,
    /// Hosts with every port, written `host:*`.
    pub(super) with_any_port: HashSet<&'d str>,
    pub(super) others: Vec<&'d Glob>,
}

// === impl ServerSet ===

impl<'d> ServerSet<'d> {
    pub(super) fn new(set: &'d SetExpr) -> Self {
        match set {
            SetExpr::User(_) | SetExpr::Members { .. } => Self::Users,
            SetExpr::Everyone => Self::Everyone,
            SetExpr::Server(globs) => Self::Servers(globs.iter().collect()),
            SetExpr::Match(patterns) => {
                let is_whole = |pattern: &&UserGlob| matches!(pattern.user().as_str(), "*" | "@*");
                let (whole, some): (Vec<_>, Vec<_>) = patterns.iter().partition(is_whole);
                let servers = |all: Vec<&'d UserGlob>| all.into_iter().map(UserGlob::server);
                Self::Union(vec![
                    Self::Servers(servers(whole).collect()),
                    Self::Some(servers(some).collect()),
                ])
            }
            SetExpr::Group { name, .. } => Self::Group(name),
            SetExpr::Union(sets) => Self::Union(sets.iter().map(Self::new).collect()),
            SetExpr::AllOf(sets) => Self::AllOf(sets.iter().map(Self::new).collect()),
            SetExpr::Difference { any, except } => {
                Self::Difference(Box::new([Self::new(any), Self::new(except)]))
            }
        }
    }
}

// === impl ServerGlobs ===

impl<'d> FromIterator<&'d Glob> for ServerGlobs<'d> {
    fn from_iter<I: IntoIterator<Item = &'d Glob>>(globs: I) -> Self {
        let mut servers = Self::default();
        for glob in globs {
            let text = glob.as_str();
            match text.strip_suffix(":*") {
                _ if glob.is_literal() => drop(servers.names.insert(text)),
                Some(host) if !host.contains(['*', '?']) => {
                    servers.with_any_port.insert(host);
                }
                _ => servers.others.push(glob),
            }
        }
        servers
    }
}
