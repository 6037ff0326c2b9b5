//! Members files that do not list the same users as in an earlier policy.
//!
//! A failed export leaves an empty file behind, and then a group of protected users is empty
//! as well: the rule protects nobody. So a file that listed users and now lists none is a
//! problem, and a file that lost most of its users a warning.

use std::collections::BTreeMap;

use crate::policy::document::{Document, SetExpr};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::{count, quoted};
use crate::routing::model::ruleset::Ids;

/// A members file that does not list the same users in two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersFileChange {
    /// The file's name in both policies.
    pub file: String,
    /// The first position in the later policy that names it.
    pub position: Position,
    /// Lines with users in the earlier policy.
    pub before: usize,
    /// Lines with users in the later policy.
    pub after: usize,
}

/// Compares the members files that both policies name, by name.
pub fn members_file_changes(before: &Document, after: &Document) -> Vec<MembersFileChange> {
    let (before, after) = (members_files(before), members_files(after));
    let changes = after.into_iter().filter_map(|(file, (ids, position))| {
        let (earlier, _) = before.get(file)?;
        (*earlier != ids).then(|| MembersFileChange {
            file: file.to_owned(),
            position,
            before: earlier.iter().count(),
            after: ids.iter().count(),
        })
    });
    changes.collect()
}

fn members_files(document: &Document) -> BTreeMap<&str, (&Ids, Position)> {
    let mut files = BTreeMap::new();
    document.each_part(&mut |part| {
        if let SetExpr::Members { ids, file, position } = part {
            files.entry(file.as_str()).or_insert((ids, *position));
        }
    });
    files
}

// === impl MembersFileChange ===

impl MembersFileChange {
    /// Returns true if the file listed users and now lists none.
    pub fn is_emptied(&self) -> bool {
        self.before > 0 && self.after == 0
    }

    /// Returns the problem of an emptied file.
    pub fn emptied_problem(&self) -> Option<Problem> {
        let Self { file, position, before, .. } = self;
        self.is_emptied().then(|| {
            let message = format!(
                "the members file {} lists no users, but listed {} in the active policy",
                quoted(file),
                count(*before, "user")
            );
            let help = "if this is intended, load it with `presence-router reload --force`, or set \
                        `allow_empty_members_files: true`";
            Problem::new(ProblemCode::MembersFileEmptied, *position, message).with_help(help)
        })
    }

    /// Returns the warning for a file that lost more than half of its users.
    pub fn shrunk_warning(&self) -> Option<Problem> {
        let Self { file, position, before, after } = self;
        (*after < before.div_ceil(2)).then(|| {
            let message = format!(
                "the members file {} lists {}, but listed {before} in the previous policy",
                quoted(file),
                count(*after, "user")
            );
            Problem::new(ProblemCode::MembersFileShrunk, *position, message)
                .with_help("check the export")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::policy::{Files, Policy};

    /// Files that list as many users as the number in their names.
    struct Numbered;

    impl Files for Numbered {
        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            let (_, number) = name.split_once('-').unwrap();
            let number: u32 = number.parse().unwrap();
            let lines = (0..number).map(|i| format!("@u{i}:a.org\n"));
            Ok(lines.collect::<String>().into_bytes())
        }
    }

    fn document(files: &[&str]) -> Document {
        let groups: String =
            files.iter().map(|file| format!("  {file}: {{ members_file: {file} }}\n")).collect();
        let text = format!("groups:\n{groups}rules: []\n");
        Policy::load("policy", text.as_bytes(), &Numbered).unwrap().document
    }

    /// The change of one file from one number of users to another.
    fn change(before: usize, after: usize) -> MembersFileChange {
        MembersFileChange { file: "list".to_owned(), position: Position::default(), before, after }
    }

    #[test]
    fn files_that_both_name_are_compared() {
        let mut before = document(&["a-3", "b-4"]);
        let after = document(&["a-3", "c-0"]);
        assert_eq!(members_file_changes(&before, &after), []);
        // The same name, with fewer users.
        let SetExpr::Members { file, .. } = &mut before.groups[1].members else { panic!() };
        "c-0".clone_into(file);
        let [change] = members_file_changes(&before, &after).try_into().unwrap();
        assert_eq!((change.before, change.after, change.position.line), (4, 0, 3));
        assert!(
            change
                .emptied_problem()
                .unwrap()
                .message
                .contains("listed 4 users in the active policy")
        );
    }

    #[test]
    fn an_emptied_file_is_a_problem_and_half_a_file_a_warning() {
        for (before, after, problem, warning) in [
            (1, 0, true, true),
            (2, 1, false, false),
            (3, 1, false, true),
            (1000, 499, false, true),
            (1000, 500, false, false),
            (0, 5, false, false),
            (5, 5, false, false),
        ] {
            let change = change(before, after);
            assert_eq!(change.emptied_problem().is_some(), problem, "{before} to {after}");
            assert_eq!(change.shrunk_warning().is_some(), warning, "{before} to {after}");
        }
        let warning = change(1000, 1).shrunk_warning().unwrap().message;
        assert!(warning.contains("lists 1 user, but listed 1000"), "{warning}");
    }
}
