//! Members files, and groups of the directory.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io;

use super::{assert_codes, assert_problems, group, problems};
use crate::policy::document::SetExpr;
use crate::policy::problem::Problem;
use crate::policy::{Files, NoFiles, Policy, named_files};
use crate::routing::model::ruleset::{Ruleset, Set};
use crate::routing::snapshot::keys::{Key, SetId};

/// One file, and the number of its reads.
struct One<'t>(&'t [u8], Cell<u32>);

impl Files for One<'_> {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.1.set(self.1.get() + 1);
        match name {
            "staff.txt" => Ok(self.0.to_vec()),
            _ => Err(io::Error::other("there is no such file")),
        }
    }
}

fn with_file(set: &str, file: &[u8]) -> Result<Ruleset, Vec<Problem>> {
    let one = One(file, Cell::new(0));
    let text = group(set);
    let loaded = Policy::load("policy.yaml", text.as_bytes(), &one);
    assert_eq!(one.1.get(), 1, "read once");
    loaded.map(|policy| policy.ruleset).map_err(|problems| problems.list)
}

#[track_caller]
fn ids(file: &[u8]) -> Vec<String> {
    let ruleset = with_file("{ members_file: staff.txt }", file).unwrap();
    let [Set::Users(ids)] = ruleset.groups.as_slice() else { panic!("{ruleset:?}") };
    ids.iter().map(str::to_owned).collect()
}

#[test]
fn reads_an_id_a_line() {
    let both = ["@ann:example.org", "@joe:example.org"];
    for file in [
        "@ann:example.org\n@joe:example.org\n",
        "@ann:example.org\n@joe:example.org",
        "@ann:example.org\r\n@joe:example.org\r\n",
        "\u{feff}# staff\n\n@ann:example.org\n  # more\n\t@joe:example.org \n\n",
    ] {
        assert_eq!(ids(file.as_bytes()), both, "{file:?}");
    }
    assert_eq!(ids("# nobody\n".as_bytes()), [""; 0]);
}

#[test]
fn a_members_file_may_stand_wherever_a_set_may() {
    let set = "{ all_of: [{ members_file: staff.txt }, [{ members_file: staff.txt }, everyone]] }";
    let ruleset = with_file(set, b"@ann:example.org").unwrap();
    let Set::Intersection(sets) = &ruleset.groups[0] else { panic!("{ruleset:?}") };
    assert!(matches!(&sets[0], Set::Users(ids) if ids.len() == 1));
}

#[test]
fn names_the_file_and_the_line_of_a_bad_member() {
    let file = "@ann:example.org\nbob\n  @a_b\n@x:y # old\n@*:a.b\n\u{e9}\n";
    let found = with_file("{ members_file: staff.txt }", file.as_bytes()).unwrap_err();
    assert_codes(
        &found,
        "staff.txt:2:1 not-a-user-id bob\n\
         staff.txt:3:3 not-a-user-id @a_b\n\
         staff.txt:4:1 not-a-user-id\n\
         staff.txt:5:1 unexpected-glob @*:a.b\n\
         staff.txt:6:1 not-a-user-id \u{e9}",
        file,
    );
    assert_eq!(found[2].help, "give a comment a line of its own");
}

#[test]
fn counts_bad_members_after_twenty() {
    for (lines, last, counted) in [
        (20, "staff.txt:20:1 not-a-user-id x19", ""),
        (21, "staff.txt:21:1 more-invalid-lines", " 1 more line "),
        (300_000, "staff.txt:21:1 more-invalid-lines", " 299980 more lines "),
    ] {
        let mut file = String::new();
        (0..lines).for_each(|i| writeln!(file, "x{i}").unwrap());
        let found = with_file("{ members_file: staff.txt }", file.as_bytes()).unwrap_err();
        assert_eq!(found.len(), lines.min(21));
        assert_codes(found.last_chunk::<1>().unwrap(), last, "the last one");
        assert!(found.last().unwrap().message.contains(counted), "{found:?}");
    }
}

#[test]
fn reads_ten_million_lines() {
    let lines = 10_000_000;
    let ruleset = with_file("{ members_file: staff.txt }", &b"@a:b\n".repeat(lines)).unwrap();
    let [Set::Users(ids)] = ruleset.groups.as_slice() else { panic!("not a list of users") };
    assert_eq!((ids.len(), ids.iter().last()), (lines, Some("@a:b")));
}

#[test]
fn says_where_a_members_file_stops_being_utf8() {
    let found = with_file("{ members_file: staff.txt }", b"@ann:example.org\n@b\xff").unwrap_err();
    assert_codes(&found, "staff.txt:2:3 not-utf8", "");
}

#[test]
fn checks_the_names_of_members_files() {
    for (set, want) in [
        ("{ members_file: other.txt }", "22 members-file-unreadable other.txt"),
        ("{ members_file: \"a\\eb\" }", r#"22 control-character "a\u001bb""#),
        ("{ members_file: '' }", "22 empty-text"),
        ("{ members_file: [a] }", "22 wrong-type"),
        ("{ members_file: 7 }", "22 wrong-type"),
    ] {
        let text = group(set);
        let found = Policy::load("policy.yaml", text.as_bytes(), &One(b"", Cell::new(0)));
        assert_codes(&found.unwrap_err().list, &format!("2:{want}"), set);
    }
    // A slip of a key is read as that key.
    let near = problems(group("{ member_file: staff.txt }"));
    let want = "2:8 unknown-key member_file\n2:21 members-file-unreadable staff.txt";
    assert_codes(&near.list, want, "");
    assert!(near.list[1].message.ends_with(&NoFiles.read("").unwrap_err().to_string()), "{near}");
    assert_eq!(near.list[1].help, "list the users in the policy itself");
}

#[test]
fn a_group_of_the_directory_is_empty_until_then() {
    let policy = Policy::parse("policy.yaml", group("{ directory: true }").as_bytes()).unwrap();
    assert!(policy.document.groups[0].directory);
    assert!(matches!(&policy.document.groups[0].members, SetExpr::Union(none) if none.is_empty()));
    assert_eq!(policy.ruleset.groups, [Set::Directory("a".into())]);
    assert!(policy.snapshot.set(SetId::from_index(0)).is_some_and(|set| set.is_empty()));
}

#[test]
fn checks_groups_of_the_directory() {
    for (set, want) in [
        ("{ directory: false }", "8 directory-false"),
        ("{ directory: 'true' }", "19 wrong-type"),
        ("{ server: a.b, directory: true }", "21 conflicting-keys"),
        ("{ directroy: true }", "8 unknown-key directroy"),
    ] {
        assert_problems(group(set), &format!("2:{want}"));
    }
}

#[test]
fn tells_the_files_of_a_policy_with_problems() {
    let text = "groups:
  a: [{ members_file: one.txt }, bob]
  b: { all_of: [{ sever: x, members_file: two.txt }] }
ruls: [{ members_file: [] }, { members_file: one.txt }]
";
    assert_eq!(
        named_files(text.as_bytes()).into_iter().collect::<Vec<_>>(),
        ["one.txt", "two.txt"]
    );
    assert!(named_files(b"a: [").is_empty());
}
