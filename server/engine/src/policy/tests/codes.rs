//! The codes of problems and warnings: each has a policy that shows it, and an entry in
//! `docs/problems.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use super::{group, page};
use crate::policy::analyse::members_files::MembersFileChange;
use crate::policy::lint::synapse;
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::{Files, Policy};

/// `empty.txt` lists nobody, `bad.txt` has more invalid lines than are reported.
struct Lists;

impl Files for Lists {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match name {
            "empty.txt" => Ok(Vec::new()),
            "bad.txt" => Ok("ann\n".repeat(22).into_bytes()),
            _ => Err(io::Error::other("there is no such file")),
        }
    }
}

/// Codes that no policy shows by itself: that of a thread that does not start, and those
/// of the files of a daemon.
const NOT_OF_A_TEXT: &[ProblemCode] =
    &[ProblemCode::NoThread, ProblemCode::PolicyUnreadable, ProblemCode::FilesIncomplete];

/// Each code, a policy that has it, and the position.
const SHOWN: &[(ProblemCode, &str, &str)] = &[
    // The text.
    (ProblemCode::NotYaml, "rules: [", "1:8"),
    (ProblemCode::SecondDocument, "rules: []\n---\nrules: []\n", "3:1"),
    (ProblemCode::MergeKey, "<<: { rules: [] }\n", "1:1"),
    (ProblemCode::UnknownAlias, "groups: { a: { server: *.b.org } }\nrules: []\n", "1:24"),
    (ProblemCode::RecursiveAlias, "a: &x [*x]\n", "1:8"),
    (ProblemCode::WrongTag, "rules: !!int x\n", "1:14"),
    (ProblemCode::EmptyFile, "", "0:0"),
    // Keys and values.
    (ProblemCode::UnknownKey, "ruels: []\n", "1:1"),
    (ProblemCode::DuplicateKey, "rules: []\nrules: []\n", "2:1"),
    (ProblemCode::MissingKey, "groups: {}\n", "1:1"),
    (
        ProblemCode::ConflictingKeys,
        "groups: { a: [] }\nrules:\n  - { name: x, allow: { within: a, to: [] } }\n",
        "3:36",
    ),
    (ProblemCode::WrongType, "rules: 7\n", "1:8"),
    (
        ProblemCode::EmptyList,
        "rules:\n  - { name: x, hide: { from: [], to: [], fields: [] } }\n",
        "2:50",
    ),
    (ProblemCode::EmptyText, "groups: { '': [] }\nrules: []\n", "1:11"),
    (ProblemCode::ControlCharacter, "groups: { \"a\\e\": [] }\nrules: []\n", "1:11"),
    (
        ProblemCode::UnknownValue,
        "rules:\n  - { name: x, hide: { from: [], to: [], fields: [status] } }\n",
        "2:51",
    ),
    (ProblemCode::DuplicateValue, "ours: [a.org, a.org]\nrules: []\n", "1:15"),
    (
        ProblemCode::NumberOutOfRange,
        "rules: []\nrooms:\n  - { name: x, deny: { message: no, status: 200 } }\n",
        "3:45",
    ),
    // Ids, names and globs.
    (ProblemCode::NotASet, "groups: { a: bob }\nrules: []\n", "1:14"),
    (ProblemCode::NotAUserId, "groups: { a: '@bob' }\nrules: []\n", "1:14"),
    (ProblemCode::NotAServerName, "ours: a_b\nrules: []\n", "1:7"),
    (ProblemCode::NotAPattern, "groups: { a: { match: '@*' } }\nrules: []\n", "1:23"),
    (
        ProblemCode::NotAnErrcode,
        "rules: []\nrooms:\n  - { name: x, deny: { message: no, errcode: no } }\n",
        "3:46",
    ),
    (ProblemCode::UnexpectedGlob, "ours: '*.a.org'\nrules: []\n", "1:7"),
    (ProblemCode::GlobCannotMatch, "groups: { a: { server: '*.a_b' } }\nrules: []\n", "1:24"),
    // Groups and members files.
    (ProblemCode::DuplicateGroup, "groups:\n  a: []\n  a: []\nrules: []\n", "3:3"),
    (ProblemCode::UnknownGroup, "groups: { a: { group: b } }\nrules: []\n", "1:23"),
    (ProblemCode::GroupCycle, "groups: { a: { group: a } }\nrules: []\n", "1:11"),
    (ProblemCode::UnmatchedWithin, "rules: [{ name: x, allow: { within: a } }]\n", "1:37"),
    (ProblemCode::DirectoryFalse, "groups: { a: { directory: false } }\nrules: []\n", "1:16"),
    (
        ProblemCode::MembersFileUnreadable,
        "groups: { a: { members_file: missing.txt } }\nrules: []\n",
        "1:30",
    ),
    (
        ProblemCode::MoreInvalidLines,
        "groups: { a: { members_file: bad.txt } }\nrules: []\n",
        "21:1",
    ),
    // Rules and switches.
    (
        ProblemCode::DuplicateRule,
        "rules:\n  - { name: x, deny: { from: [], to: [] } }\n  - { name: x, deny: { from: [], to: [] } }\n",
        "3:13",
    ),
    (
        ProblemCode::ReservedName,
        "ours: a.org\nlocal: false\nrules:\n  - { name: 'local: false', deny: { from: [], to: [] } }\n",
        "4:5",
    ),
    (ProblemCode::DeniedOwnServer, "ours: a.org\nservers: { deny: a.org }\nrules: []\n", "2:12"),
    (
        ProblemCode::EmptyCondition,
        "rules: []\nrooms:\n  - { name: x, when: {}, deny: { message: no } }\n",
        "3:22",
    ),
    (
        ProblemCode::DuplicateEvent,
        "rules: []\nrooms:\n  - { name: x, add: [{ type: a.b, content: {} }, { type: a.b, content: {} }] }\n",
        "3:50",
    ),
    (
        ProblemCode::HomeserverEvent,
        "rules: []\nrooms:\n  - { name: x, add: [{ type: m.room.create, content: {} }] }\n",
        "3:30",
    ),
    // Tests.
    (
        ProblemCode::TestFailed,
        "rules: []\ntests:\n  - { sender: '@a:b.org', reaches: '@b:b.org' }\n",
        "3:36",
    ),
    (
        ProblemCode::OpenTestSubject,
        "rules: []\ntests:\n  - { sender: everyone, not: '@a:b' }\n",
        "3:15",
    ),
    (ProblemCode::EmptyTestSubject, "rules: []\ntests:\n  - { sender: [], not: '@a:b' }\n", "3:15"),
    (
        ProblemCode::GivenListedGroup,
        "groups: { a: [] }\nrules: []\ntests:\n  - { given: { groups: { a: [] } }, sender: '@a:b', not: '@b:b' }\n",
        "4:26",
    ),
    // Warnings.
    (
        ProblemCode::RuleNeverMatches,
        "rules:\n  - { name: x, deny: { from: [], to: everyone } }\n",
        "2:5",
    ),
    (ProblemCode::UnusedGroup, "groups: { a: everyone }\nrules: []\n", "1:11"),
    (
        ProblemCode::EmptyMembersFile,
        "rules: []\nrooms:\n  - { name: x, when: { requester: ['@a:b', { members_file: empty.txt }] }, deny: { message: no } }\n",
        "3:60",
    ),
    (
        ProblemCode::UnknownPresence,
        "rules:\n  - { name: x, hide: { within: '*', fields: [presence], unless: { presence: ofline } } }\ngroups: { a: everyone }\n",
        "2:5",
    ),
    (
        ProblemCode::PortNotMatched,
        "rules:\n  - { name: x, allow: { from: { any: everyone, except: { server: a.org } }, to: '@a:b' } }\n",
        "2:5",
    ),
    (
        ProblemCode::ServerNameCapitals,
        "rules: [{ name: x, allow: { from: '@a:A.org', to: '@b:b' } }]\n",
        "1:35",
    ),
    (
        ProblemCode::ServerNameNearOurs,
        "ours: example.org\nrules: [{ name: x, allow: { from: '@a:exmaple.org', to: '@b:b' } }]\n",
        "2:35",
    ),
];

/// Codes of a text that is too long to stand in a table.
fn shown_by_long_texts() -> Vec<(ProblemCode, Vec<u8>, &'static str)> {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{uses}]").unwrap();
    }
    let deep = group(&format!("{}everyone{}", "{ all_of: [".repeat(32), "] }".repeat(32)));
    let long = format!(
        "rules: []\nrooms:\n  - {{ name: x, add: [{{ type: {}, content: {{}} }}] }}\n",
        "a".repeat(256)
    );
    let users = |count| {
        let users: Vec<String> = (0..count).map(|user| format!("'@u{user}:b.org'")).collect();
        users.join(", ")
    };
    let large_test = format!(
        "groups: {{ all: [{}] }}\nrules: []\ntests:\n  - {{ sender: {{ group: all }}, not: [{}] }}\n",
        users(1_001),
        users(1_000)
    );
    vec![
        (ProblemCode::NotUtf8, b"rules: [ \xff ]\n".to_vec(), "1:10"),
        (ProblemCode::TooLarge, bomb.into_bytes(), "5:45"),
        (ProblemCode::TooDeep, deep.into_bytes(), "2:358"),
        (ProblemCode::ValueTooLong, long.into_bytes(), "3:30"),
        (ProblemCode::TestTooLarge, large_test.into_bytes(), "4:15"),
    ]
}

/// The codes and positions of all problems, or of all warnings.
fn found(text: &[u8]) -> Vec<(ProblemCode, String)> {
    let list = match Policy::load("policy.yaml", text, &Lists) {
        Ok(policy) => policy.warnings,
        Err(problems) => problems.list,
    };
    let at = |position: Position| format!("{}:{}", position.line, position.column);
    list.into_iter().map(|problem| (problem.code, at(problem.position))).collect()
}

#[test]
fn every_code_has_a_policy_that_shows_it() {
    let mut seen: Vec<ProblemCode> = NOT_OF_A_TEXT.to_vec();
    let table = SHOWN.iter().map(|(code, text, at)| (*code, text.as_bytes().to_vec(), *at));
    for (code, text, at) in table.chain(shown_by_long_texts()) {
        let found = found(&text);
        let text = String::from_utf8_lossy(&text);
        assert_eq!(found.last(), Some(&(code, at.to_owned())), "{text}\n{found:?}");
        if code != ProblemCode::MoreInvalidLines {
            assert_eq!(found.len(), 1, "{text}\n{found:?}");
        }
        seen.push(code);
    }
    let policy = Policy::load(
        "policy.yaml",
        b"rules: [{ name: x, deny: { from: everyone, to: everyone } }]",
        &Lists,
    );
    let [warning] = synapse::warnings(&policy.unwrap()).try_into().unwrap();
    let at = Position { line: 1, column: 9 };
    assert_eq!((warning.code, warning.position), (ProblemCode::NotEnforcedBySynapse, at));
    let change = |after| {
        let position = Position { line: 2, column: 6 };
        MembersFileChange { file: "staff.txt".to_owned(), position, before: 9, after }
    };
    let (emptied, shrunk) =
        (change(0).emptied_problem().unwrap(), change(1).shrunk_warning().unwrap());
    assert_eq!(emptied.code, ProblemCode::MembersFileEmptied);
    assert_eq!(shrunk.code, ProblemCode::MembersFileShrunk);
    seen.extend([warning.code, emptied.code, shrunk.code]);
    seen.sort_unstable();
    assert_eq!(seen, ProblemCode::ALL);
}

#[test]
fn codes_are_in_kebab_case_and_no_two_are_the_same() {
    let codes: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), ProblemCode::ALL.len());
    for code in codes {
        let words = code.split('-');
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        assert!(words.clone().all(is_word), "{code}");
    }
}

#[test]
fn the_page_has_a_cause_and_a_remedy_for_every_code() {
    let page = page("../docs/problems.md");
    let (_, tables) = page.split_once("\n## The text\n").expect("the tables begin there");
    let mut codes = Vec::new();
    for row in tables.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (code, rest) = row.split_once("` | ").expect(row);
        let cells = rest.trim_end_matches('|').split(" | ").map(str::trim);
        let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), 2, "{row}");
        codes.push(code);
    }
    let mut want: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    want.sort_unstable();
    assert_eq!(codes, want);
}
