//! The combined effect of several hides, and its text in messages.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::wording::quoted;
use crate::routing::model::ruleset::{Fields, Hide};

/// The hidden fields, each with the presence values for which the field is shown.
pub(super) type Hidden<'h> = BTreeMap<&'static str, BTreeSet<&'h str>>;

/// Combines several hides: a field is shown only for a presence for which no hide applies to
/// the field.
pub(super) fn effective_hides<'h>(hides: impl Iterator<Item = &'h Hide>) -> Hidden<'h> {
    let mut hidden = Hidden::new();
    for Hide { fields, unless } in hides {
        let Fields { presence, status_msg, last_active_ts, currently_active } = *fields;
        let fields = [
            ("currently_active", currently_active),
            ("last_active_ts", last_active_ts),
            ("presence", presence),
            ("status_msg", status_msg),
        ];
        let unless: BTreeSet<&str> = unless.iter().map(|value| &**value).collect();
        for (field, _) in fields.iter().filter(|(_, is_hidden)| *is_hidden) {
            hidden
                .entry(field)
                .and_modify(|shown| shown.retain(|value| unless.contains(value)))
                .or_insert_with(|| unless.clone());
        }
    }
    hidden
}

/// Renders hidden fields, each with the presence values for which the field is shown.
pub(super) fn describe_hidden(hidden: &Hidden<'_>) -> String {
    let fields = hidden.iter().map(|(field, shown)| {
        let values: Vec<String> = shown.iter().map(|value| quoted(value)).collect();
        match values.as_slice() {
            [] => format!("`{field}`"),
            values => format!("`{field}` (unless {})", values.join(", ")),
        }
    });
    match fields.collect::<Vec<_>>().as_slice() {
        [] => "nothing".to_owned(),
        fields => fields.join(", "),
    }
}
