//! Maps with fixed keys. Unknown and repeated keys are problems. A key that is probably a
//! slip of a valid key is read as the valid one, so that its value is checked in the same
//! run.

use super::Reader;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::{quoted, quoted_list};

/// The known keys of a map, each once.
pub(super) struct Fields<'n, 'a> {
    known: Vec<(&'static str, Field<'n, 'a>)>,
    unknown: bool,
}

/// A value under a known key.
#[derive(Clone, Copy)]
pub(super) struct Field<'n, 'a> {
    /// The position of the key.
    pub(super) position: Position,
    pub(super) value: &'n Node<'a>,
}

impl<'n, 'a> Fields<'n, 'a> {
    pub(super) fn get(&self, key: &str) -> Option<Field<'n, 'a>> {
        self.known.iter().find(|(known, _)| *known == key).map(|(_, field)| *field)
    }

    /// True if there are unknown keys. A missing key may be one of them, misspelt, so
    /// callers do not report missing keys then.
    pub(super) fn has_unknown(&self) -> bool {
        self.unknown
    }

    /// True if there is at least one known key.
    pub(super) fn has_known(&self) -> bool {
        !self.known.is_empty()
    }
}

impl Reader<'_> {
    /// Looks up the keys of a map. `elsewhere` lists keys that authors are likely to try
    /// here, each with the reason why it is not valid.
    pub(super) fn read_fields<'n, 'a>(
        &mut self,
        entries: &'n [(Node<'a>, Node<'a>)],
        valid: &'static [&'static str],
        elsewhere: &[(&str, &str)],
    ) -> Fields<'n, 'a> {
        let mut fields = Fields { known: Vec::new(), unknown: false };
        let mut slips = Vec::new();
        for (key, value) in entries {
            let field = Field { position: key.position, value };
            let Value::Text(text) = &key.value else {
                let message = format!("expected a key, found {}", key.type_name());
                let help = format!("valid here are {}", quoted_list(valid.iter().copied()));
                self.add_problem_with_help(ProblemCode::WrongType, key.position, message, help);
                fields.unknown = true;
                continue;
            };
            if let Some(known) = valid.iter().find(|valid| *valid == text) {
                match fields.get(known) {
                    Some(first) => {
                        let message = format!(
                            "key `{known}` is already given in line {}",
                            first.position.line
                        );
                        let help = "remove one of the two, or merge their values";
                        self.add_problem_with_help(
                            ProblemCode::DuplicateKey,
                            key.position,
                            message,
                            help,
                        );
                    }
                    None => fields.known.push((*known, field)),
                }
                continue;
            }
            match self.add_unknown_key(key.position, text, valid, elsewhere) {
                Some(near) => slips.push((near, field)),
                None => fields.unknown = true,
            }
        }
        for (near, field) in slips {
            if fields.get(near).is_none() {
                fields.known.push((near, field));
            }
        }
        fields
    }

    /// Reports a key that is not valid, and returns the valid key that the author probably
    /// means, if any.
    fn add_unknown_key(
        &mut self,
        position: Position,
        text: &str,
        valid: &'static [&'static str],
        elsewhere: &[(&str, &str)],
    ) -> Option<&'static str> {
        let mut message = format!("unknown key {}", quoted(text));
        let why = elsewhere.iter().find(|(key, _)| *key == text).map(|(_, why)| why);
        if let Some(why) = why {
            message.push_str(&format!(": {why}"));
        }
        let near = match why {
            Some(_) => None,
            None => self.nearest.find(text, valid.iter().copied()),
        };
        let help = valid_values(valid, near);
        self.add_problem_with_help(ProblemCode::UnknownKey, position, message, help);
        near
    }
}

/// The help for a text that is none of the valid ones: the valid texts, and the one that
/// the author probably means.
pub(super) fn valid_values(valid: &[&str], near: Option<&str>) -> String {
    let mut help = format!("valid here are {}", quoted_list(valid.iter().copied()));
    if let Some(near) = near {
        help.push_str(&format!("; did you mean `{near}`?"));
    }
    help
}
