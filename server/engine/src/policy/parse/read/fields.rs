//! Maps with fixed keys: unknown and repeated keys are problems, and a key that
//! looks like a slip of a valid one is read as that, so that what is under it
//! is checked in the same go.

use super::Reader;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::{quoted, quoted_list};

/// The keys of a map that are known, each once.
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

    /// True if there are unknown keys. A missing key may be one of them, misspelt, so it
    /// is not reported as well.
    pub(super) fn has_unknown(&self) -> bool {
        self.unknown
    }

    /// True if there is any known key.
    pub(super) fn has_known(&self) -> bool {
        !self.known.is_empty()
    }
}

impl Reader<'_> {
    /// Looks up the keys of a map. `elsewhere` are keys that somebody may well
    /// try here, and why they are not valid.
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
                let message = format!(
                    "expected a key, found {}; valid here are {}",
                    key.kind(),
                    quoted_list(valid.iter().copied())
                );
                self.add_problem(ProblemCode::WrongType, key.position, message);
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
                        self.add_problem(ProblemCode::DuplicateKey, key.position, message);
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

    /// Notes a key that is not valid. The valid one that it looks like a slip of, if any.
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
        message.push_str("; valid here are ");
        message.push_str(&quoted_list(valid.iter().copied()));
        let near = match why {
            Some(_) => None,
            None => self.nearest.find(text, valid.iter().copied()),
        };
        if let Some(near) = near {
            message.push_str(&format!("; did you mean `{near}`?"));
        }
        self.add_problem(ProblemCode::UnknownKey, position, message);
        near
    }
}
