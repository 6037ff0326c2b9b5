//! The fields that answers hide. Checks every promise of the contract about hides.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_proto::v1::{Hide, PresenceField};

use super::difference::Difference;
use super::sets::DefinedSets;

/// For each sender, the names of the fields that each recipient does not see while the sender
/// is online. A missing pair has no hidden fields.
pub(super) type HiddenFields = BTreeMap<String, FieldsByUser>;

/// For each user, the names of fields. A missing user has none.
pub(super) type FieldsByUser = BTreeMap<String, BTreeSet<String>>;

/// The presence of every sender of a scenario.
const PRESENCE: &str = "online";

const FIELDS: [PresenceField; 4] = [
    PresenceField::Presence,
    PresenceField::StatusMsg,
    PresenceField::LastActiveTs,
    PresenceField::CurrentlyActive,
];

/// Returns the fields that the answer about `subject` hides between the subject and each of the
/// users whom the answer contains.
pub(super) fn find_hidden_fields<'a>(
    hides: impl IntoIterator<Item = &'a Hide>,
    sets: &DefinedSets,
    subject: &str,
    users: &BTreeSet<String>,
) -> Result<FieldsByUser, Difference> {
    let mut hidden = FieldsByUser::new();
    for hide in hides {
        let fields = read_fields(hide)?;
        let set = hide.users.clone().unwrap_or_default();
        sets.check_expression(&set)?;
        if hide.unless_presence.iter().any(|presence| presence == PRESENCE) {
            continue;
        }
        for user in users {
            // A hide also applies if a missing fact decides.
            if sets.expression_contains(&set, user, subject) != Some(false) {
                hidden.entry(user.clone()).or_default().extend(fields.clone());
            }
        }
    }
    Ok(hidden)
}

/// Adds the hidden fields of the answer about a recipient.
pub(super) fn add_hidden_senders(to: &mut HiddenFields, recipient: &str, found: FieldsByUser) {
    for (sender, fields) in found {
        to.entry(sender).or_default().insert(recipient.to_owned(), fields);
    }
}

/// Returns the names of the fields of a hide. A hidden presence hides all fields.
fn read_fields(hide: &Hide) -> Result<BTreeSet<String>, Difference> {
    let mut names = BTreeSet::new();
    for field in &hide.fields {
        let known = FIELDS.into_iter().find(|one| i32::from(*one) == *field);
        let field = known
            .ok_or_else(|| Difference(format!("a hide has field {field}, which is unknown")))?;
        if !names.insert(field_name(field)) {
            return Err(Difference(format!("a hide repeats the field {}", field_name(field))));
        }
        if field == PresenceField::Presence {
            return Ok(FIELDS.into_iter().map(field_name).collect());
        }
    }
    if names.is_empty() {
        return Err(Difference("a hide has no fields".into()));
    }
    Ok(names)
}

/// Returns a field's name in policies and scenario files.
fn field_name(field: PresenceField) -> String {
    field.as_str_name().trim_start_matches("PRESENCE_FIELD_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_router_proto::v1::set_expression::Expression;
    use presence_router_proto::v1::{Everyone, SetExpression};

    #[test]
    fn hides_that_break_the_contract_are_found() {
        let everyone = SetExpression { expression: Some(Expression::Everyone(Everyone {})) };
        let hide = |fields: &[i32], unless: &[&str]| Hide {
            users: Some(everyone.clone()),
            fields: fields.to_vec(),
            unless_presence: unless.iter().map(|presence| (*presence).to_owned()).collect(),
        };
        let users = BTreeSet::from(["@joe:x".to_owned()]);
        for (hide, expected) in [
            (hide(&[2, 4], &[]), Ok("currently_active status_msg")),
            (hide(&[2], &["offline"]), Ok("status_msg")),
            (hide(&[2], &["busy", "online"]), Ok("")),
            (hide(&[1], &[]), Ok("currently_active last_active_ts presence status_msg")),
            (hide(&[], &[]), Err("a hide has no fields")),
            (hide(&[99], &[]), Err("a hide has field 99, which is unknown")),
            (hide(&[2, 2], &[]), Err("a hide repeats the field status_msg")),
            (
                Hide { users: None, ..hide(&[2], &[]) },
                Err("an expression is empty, or of an unknown kind"),
            ),
        ] {
            let found = find_hidden_fields([&hide], &DefinedSets::default(), "@ann:x", &users);
            let found = found.map(|found| {
                let fields = found.get("@joe:x").cloned().unwrap_or_default();
                Vec::from_iter(fields).join(" ")
            });
            let found = found.map_err(|Difference(text)| text);
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{hide:?}");
        }
    }
}
