//! The right answers to a caller of a scenario, compared with the server's answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::difference::Difference;
use super::hides::HiddenFields;

/// For each user, a set of other users. A missing user has an empty set.
pub(super) type UserLists = BTreeMap<String, BTreeSet<String>>;

/// A caller, and the right answers to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    pub(super) server_names: Vec<String>,
    /// What the caller evaluates of rooms. Unset: everything if the scenario has rooms,
    /// otherwise nothing.
    pub(super) capabilities: Option<Vec<String>>,
    #[serde(default)]
    pub(super) audiences: UserLists,
    #[serde(default)]
    pub(super) interests: UserLists,
    #[serde(default)]
    pub(super) destinations: UserLists,
    #[serde(default)]
    pub(super) hides: HiddenFields,
}

/// The server's answers to a caller.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Recipients of each sender.
    pub(super) audiences: UserLists,
    /// Senders of each recipient.
    pub(super) interests: UserLists,
    /// Destinations of each sender. `None`: the stream names no servers.
    pub(super) destinations: Option<UserLists>,
    /// Hidden fields, by answers about senders.
    pub(super) audience_hides: HiddenFields,
    /// Hidden fields, by answers about recipients.
    pub(super) interest_hides: HiddenFields,
}

// === impl Expectation ===

impl Expectation {
    /// Returns the first difference between these answers and the right ones.
    pub(super) fn check_answers(
        &self,
        users: &[String],
        found: &Answers,
    ) -> Result<(), Difference> {
        for user in users {
            compare_lists("audience", &self.audiences, &found.audiences, user)?;
            if let Some(destinations) = &found.destinations {
                compare_lists("destinations", &self.destinations, destinations, user)?;
            }
            compare_lists("interest", &self.interests, &found.interests, user)?;
            compare_hidden_fields("audience", &self.hides, &found.audience_hides, user, users)?;
            compare_hidden_fields("interest", &self.hides, &found.interest_hides, user, users)?;
        }
        Ok(())
    }
}

/// Compares the fields of a sender that recipients do not see, by the sender's audience or by
/// the recipients' interests.
pub(super) fn compare_hidden_fields(
    name: &str,
    expected: &HiddenFields,
    found: &HiddenFields,
    sender: &str,
    recipients: &[String],
) -> Result<(), Difference> {
    let none = BTreeMap::new();
    let (expected, found) =
        (expected.get(sender).unwrap_or(&none), found.get(sender).unwrap_or(&none));
    recipients.iter().try_for_each(|recipient| {
        let list = format!("the list of fields of {sender} that the {name} hides from {recipient}");
        compare_sets(&list, expected.get(recipient), found.get(recipient))
    })
}

pub(super) fn compare_lists(
    name: &str,
    expected: &UserLists,
    found: &UserLists,
    user: &str,
) -> Result<(), Difference> {
    compare_sets(&format!("{name} of {user}"), expected.get(user), found.get(user))
}

/// Compares two sets. A missing set is empty.
fn compare_sets(
    name: &str,
    expected: Option<&BTreeSet<String>>,
    found: Option<&BTreeSet<String>>,
) -> Result<(), Difference> {
    let none = BTreeSet::new();
    let (expected, found) = (expected.unwrap_or(&none), found.unwrap_or(&none));
    let list = |verb: &str, items: Vec<&String>| {
        let items = items.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(", ");
        if items.is_empty() { items } else { format!(" {verb} {items}") }
    };
    let missing = list("lacks", expected.difference(found).collect());
    let too_many = list("must not contain", found.difference(expected).collect());
    match (missing.is_empty(), too_many.is_empty()) {
        (true, true) => Ok(()),
        (false, false) => Err(Difference(format!("{name}{missing}, and{too_many}"))),
        _ => Err(Difference(format!("{name}{missing}{too_many}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_missing_and_surplus_users() {
        let lists = |others: &[&str]| {
            let others = others.iter().map(|user| (*user).to_owned()).collect::<BTreeSet<_>>();
            UserLists::from([("@a:x".to_owned(), others)])
        };
        let (expected, users) = (lists(&["@b:x", "@c:x"]), ["@a:x".to_owned()]);
        let caller = Expectation {
            server_names: vec![],
            capabilities: None,
            audiences: expected,
            interests: UserLists::new(),
            destinations: UserLists::new(),
            hides: HiddenFields::new(),
        };
        for (found, message) in [
            (lists(&["@b:x"]), "audience of @a:x lacks @c:x"),
            (lists(&["@b:x", "@c:x", "@d:x"]), "audience of @a:x must not contain @d:x"),
            (lists(&["@d:x", "@b:x"]), "audience of @a:x lacks @c:x, and must not contain @d:x"),
            (UserLists::new(), "audience of @a:x lacks @b:x, @c:x"),
        ] {
            let found = Answers { audiences: found, ..Answers::default() };
            assert_eq!(caller.check_answers(&users, &found).unwrap_err().0, message);
        }
    }
}
