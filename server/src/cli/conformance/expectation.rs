//! What a caller of a scenario must be told, and how that differs from what it was told.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::difference::Difference;

/// For each user, others. Who is not mentioned has nobody.
pub(super) type UserLists = BTreeMap<String, BTreeSet<String>>;

/// A caller, and what it must be told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    pub(super) server_names: Vec<String>,
    #[serde(default)]
    pub(super) audiences: UserLists,
    #[serde(default)]
    pub(super) interests: UserLists,
    #[serde(default)]
    pub(super) destinations: UserLists,
}

/// What a caller was told.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Recipients of each sender.
    pub(super) audiences: UserLists,
    /// Senders of each recipient.
    pub(super) interests: UserLists,
    /// Servers that are named for a sender. Not said by streams.
    pub(super) destinations: Option<UserLists>,
}

// === impl Expectation ===

impl Expectation {
    /// The first difference.
    pub(super) fn expects(&self, users: &[String], found: &Answers) -> Result<(), Difference> {
        for user in users {
            compare_lists("audience", &self.audiences, &found.audiences, user)?;
            if let Some(destinations) = &found.destinations {
                compare_lists("destinations", &self.destinations, destinations, user)?;
            }
            compare_lists("interest", &self.interests, &found.interests, user)?;
        }
        Ok(())
    }
}

fn compare_lists(
    what: &str,
    expected: &UserLists,
    found: &UserLists,
    user: &str,
) -> Result<(), Difference> {
    let nobody = BTreeSet::new();
    let (expected, found) =
        (expected.get(user).unwrap_or(&nobody), found.get(user).unwrap_or(&nobody));
    let list = |word: &str, users: Vec<&String>| {
        let users = users.iter().map(|user| user.as_str()).collect::<Vec<_>>().join(", ");
        if users.is_empty() { users } else { format!(" {word} {users}") }
    };
    let missing = list("lacks", expected.difference(found).collect());
    let too_many = list("must not have", found.difference(expected).collect());
    match (missing.is_empty(), too_many.is_empty()) {
        (true, true) => Ok(()),
        (false, false) => Err(Difference(format!("{what} of {user}{missing}, and{too_many}"))),
        _ => Err(Difference(format!("{what} of {user}{missing}{too_many}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_who_is_missing_and_who_is_too_many() {
        let lists = |others: &[&str]| {
            let others = others.iter().map(|user| (*user).to_owned()).collect::<BTreeSet<_>>();
            UserLists::from([("@a:x".to_owned(), others)])
        };
        let (expected, users) = (lists(&["@b:x", "@c:x"]), ["@a:x".to_owned()]);
        let caller = Expectation {
            server_names: vec![],
            audiences: expected,
            interests: UserLists::new(),
            destinations: UserLists::new(),
        };
        for (found, said) in [
            (lists(&["@b:x"]), "audience of @a:x lacks @c:x"),
            (lists(&["@b:x", "@c:x", "@d:x"]), "audience of @a:x must not have @d:x"),
            (lists(&["@d:x", "@b:x"]), "audience of @a:x lacks @c:x, and must not have @d:x"),
            (UserLists::new(), "audience of @a:x lacks @b:x, @c:x"),
        ] {
            let found = Answers { audiences: found, ..Answers::default() };
            assert_eq!(caller.expects(&users, &found).unwrap_err().0, said);
        }
    }
}
