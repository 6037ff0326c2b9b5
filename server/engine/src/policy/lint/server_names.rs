//! Server names that are probably misspelt: names with capital letters, since names are
//! compared byte by byte, and names that nearly equal one of `ours`.
//!
//! Knows names only, not the rules that use them.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::document::{Document, Rule, SetExpr, Test};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// Most comparisons of a name with one of `ours` in one run.
const MAX_COMPARISONS: usize = 1_000_000;

/// The first position of a name.
struct Found<'d> {
    position: Position,
    /// The members file that contains the name, and a user there.
    file: Option<(&'d str, &'d str)>,
}

/// Returns warnings about names with capital letters, and warnings about names that
/// nearly equal one of `ours`.
pub(super) fn warnings(document: &Document, snapshot: &Snapshot) -> [Vec<Problem>; 2] {
    let names = server_names(document, snapshot);
    let has_capitals = |name: &&str| name.bytes().any(|byte| byte.is_ascii_uppercase());
    let capitals: BTreeSet<&str> = names.iter().copied().filter(has_capitals).collect();
    let near = near_ours(document, &names);
    if capitals.is_empty() && near.is_empty() {
        // This saves a pass over up to ten million users.
        return Default::default();
    }
    let found = find_first(document, |name| near.contains_key(name) || capitals.contains(name));
    let capitals = found.iter().filter(|(name, _)| capitals.contains(*name)).map(|(name, at)| {
        let lower = quoted(&name.to_ascii_lowercase());
        at.warning(ProblemCode::ServerNameCapitals, name, &format!(
            "has capital letters and does not match {lower}: server names are compared byte by byte"
        ))
        .with_help(format!("write {lower}"))
    });
    let near = found.iter().filter_map(|(name, at)| {
        let near = quoted(near.get(name)?);
        let why = format!("is nearly {near}, which is one of `ours`");
        let warning = at.warning(ProblemCode::ServerNameNearOurs, name, &why);
        Some(warning.with_help(format!("did you mean {near}?")))
    });
    [capitals.collect(), near.collect()]
}

/// All server names, and globs over server names, of listed users, sets and tests.
fn server_names<'d>(document: &'d Document, snapshot: &'d Snapshot) -> BTreeSet<&'d str> {
    let mut names: BTreeSet<&str> = snapshot.listed_by_server().map(|(name, _)| name).collect();
    names.extend(document.ours.iter().map(|name| name.as_str()));
    document.each_part(&mut |part| match part {
        SetExpr::Server(globs) => names.extend(globs.iter().map(|glob| glob.as_str())),
        SetExpr::Match(patterns) => {
            names.extend(patterns.iter().map(|pattern| pattern.server().as_str()));
        }
        _ => {}
    });
    let not_counting = document.rules.iter().flat_map(Rule::not_counting);
    names.extend(not_counting.map(|pattern| pattern.server().as_str()));
    names.extend(document.tests.iter().flat_map(users_of).map(|(server, _)| server));
    names
}

/// The names that nearly equal one of `ours`, each with its near name.
fn near_ours<'d>(document: &'d Document, names: &BTreeSet<&'d str>) -> BTreeMap<&'d str, &'d str> {
    let ours: Vec<&str> = document.ours.iter().map(|name| name.as_str()).collect();
    let mut comparisons_left = MAX_COMPARISONS;
    let mut near = BTreeMap::new();
    for name in names {
        // Authors misspell the domain of a glob as well.
        let domain = name.strip_prefix("*.").unwrap_or(name);
        if domain.contains(['*', '?']) || ours.contains(&domain) {
            continue;
        }
        for one in &ours {
            let Some(left) = comparisons_left.checked_sub(1) else { return near };
            comparisons_left = left;
            if is_near(domain, one) {
                near.insert(*name, *one);
                break;
            }
        }
    }
    near
}

/// Finds the first position of each wanted name.
fn find_first<'d>(
    document: &'d Document,
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<&'d str, Found<'d>> {
    let mut found: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    let mut record = |name: &'d str, position: Position, file: Option<(&'d str, &'d str)>| {
        if is_wanted(name) && found.get(name).is_none_or(|known| position < known.position) {
            found.insert(name, Found { position, file });
        }
    };
    for name in &document.ours {
        record(name.as_str(), document.ours_position, None);
    }
    document.each_part_of(&mut |position, part| match part {
        SetExpr::Server(globs) => {
            globs.iter().for_each(|glob| record(glob.as_str(), position, None))
        }
        SetExpr::Match(patterns) => {
            patterns.iter().for_each(|pattern| record(pattern.server().as_str(), position, None));
        }
        SetExpr::User(user) => record(server_of(&user.id), user.position, None),
        SetExpr::Members { ids, file, position } => {
            ids.iter().for_each(|id| record(server_of(id), *position, Some((file, id))));
        }
        _ => {}
    });
    for rule in &document.rules {
        let patterns = rule.not_counting();
        patterns.for_each(|pattern| record(pattern.server().as_str(), rule.position, None));
    }
    for (server, position) in document.tests.iter().flat_map(users_of) {
        record(server, position, None);
    }
    found
}

fn users_of(test: &Test) -> impl Iterator<Item = (&str, Position)> {
    test.named_users().into_iter().map(|user| (server_of(&user.id), user.position))
}

fn server_of(user: &str) -> &str {
    UserId::parse(user).map_or("", UserId::server)
}

/// True if a server name is probably a slip of the fingers for another one: at most two
/// letters are added, missing, changed or swapped. Names of different servers of one
/// operator usually differ more.
///
/// The comparison goes label by label, since two names of one domain have most letters in
/// common. A short label may become another word with each letter: in a label of fewer
/// than five letters only a swap counts, and a label of fewer than eight may differ in one
/// letter. Domains of two countries are different domains. Numbers count servers: `hs1` is
/// not `hs2`.
fn is_near(name: &str, other: &str) -> bool {
    let parts = |name: &str| -> Option<(String, String)> {
        // Nobody types IPv6 addresses letter by letter.
        (!name.starts_with('[')).then(|| {
            let (host, port) = name.split_once(':').unwrap_or((name, ""));
            (host.to_ascii_lowercase(), port.to_owned())
        })
    };
    let (Some((name, port)), Some((other, other_port))) = (parts(name), parts(other)) else {
        return false;
    };
    if name == other || port != other_port {
        return false;
    }
    let [one, two]: [Vec<&str>; 2] = [&name, &other].map(|host| host.split('.').collect());
    let letters = |host: &str| host.replace(|c: char| c.is_ascii_digit(), "");
    if letters(&name) == letters(&other) {
        return false;
    }
    if one.len() != two.len() {
        // One dot too many or one too few.
        return strsim::osa_distance(&name, &other) == 1;
    }
    let last = one.len() - 1;
    let mut edits = 0;
    for (at, (one, two)) in one.iter().zip(&two).enumerate().filter(|(_, (one, two))| one != two) {
        let length = one.len().max(two.len());
        let most = match length {
            ..=2 => 0,
            // A top-level domain such as `org` is one of few.
            3..=4 if at == last || is_swapped(one, two) => 1,
            3..=4 => 0,
            5..=7 => 1,
            _ => 2,
        };
        let distance = strsim::osa_distance(one, two);
        if distance > most {
            return false;
        }
        edits += distance;
    }
    edits <= 2
}

/// True if the letters are the same, in another order.
fn is_swapped(one: &str, two: &str) -> bool {
    let [one, two] = [one, two].map(|label| {
        let mut letters: Vec<u8> = label.bytes().collect();
        letters.sort_unstable();
        letters
    });
    one == two
}

// === impl Found ===

impl Found<'_> {
    fn warning(&self, code: ProblemCode, name: &str, why: &str) -> Problem {
        let kind = if name.contains(['*', '?']) { "server glob" } else { "server name" };
        let mut message = format!("{kind} {} {why}", quoted(name));
        if let Some((file, user)) = self.file {
            let (file, user) = (quoted(file), quoted(user));
            message.push_str(&format!(" (in the members file {file}, as in {user})"));
        }
        Problem::new(code, self.position, message)
    }
}
