//! The codes of problems and warnings: each has a policy that shows it, with its message and
//! its help, and an entry in `docs/problems.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use super::{group, page};
use crate::policy::analyse::members_files::MembersFileChange;
use crate::policy::lint::synapse;
use crate::policy::problem::{Position, Problem, ProblemCode, ProblemLine};
use crate::policy::{Files, Policy};

/// `empty.txt` lists nobody; `bad.txt` has more invalid lines than the reader reports.
struct Lists;

impl Files for Lists {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match name {
            "empty.txt" => Ok(Vec::new()),
            "bad.txt" => Ok("ann\n".repeat(22).into_bytes()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file")),
        }
    }
}

/// Codes that no text can cause: a thread that does not start, and the files of a daemon.
const NOT_OF_A_TEXT: &[ProblemCode] =
    &[ProblemCode::NoThread, ProblemCode::PolicyUnreadable, ProblemCode::FilesIncomplete];

/// Each code, a policy that has it, and its line. The lines show each message and each help
/// once; other tests compare codes and positions.
const SHOWN: &[(ProblemCode, &str, &str)] = &[
    // The text.
    (ProblemCode::NotYaml, "rules: [", "1:8: not YAML: unclosed bracket '['"),
    (
        ProblemCode::SecondDocument,
        "rules: []\n---\nrules: []\n",
        "3:1: a second YAML document begins here; keep one document in a file",
    ),
    (
        ProblemCode::MergeKey,
        "<<: { rules: [] }\n",
        "1:1: merge keys (`<<`) are not supported; declare a group and refer to it",
    ),
    (
        ProblemCode::UnknownAlias,
        "groups: { a: { server: *.b.org } }\nrules: []\n",
        "1:24: `*` begins an alias, and no anchor has its name; put a glob in quotes",
    ),
    (
        ProblemCode::RecursiveAlias,
        "a: &x [*x]\n",
        "1:8: the alias is part of the value that it refers to; write the inner value out",
    ),
    (
        ProblemCode::WrongTag,
        "rules: !!int x\n",
        "1:14: the value contradicts its tag; remove the tag",
    ),
    (
        ProblemCode::EmptyFile,
        "",
        "the policy is empty; write `rules: []` to show nobody to anybody",
    ),
    // Keys and values.
    (
        ProblemCode::UnknownKey,
        "ruels: []\n",
        "1:1: unknown key `ruels`; valid here are `groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`; did you mean `rules`?",
    ),
    (
        ProblemCode::DuplicateKey,
        "rules: []\nrules: []\n",
        "2:1: key `rules` is already given in line 1; remove one of the two, or merge their values",
    ),
    (
        ProblemCode::MissingKey,
        "groups: {}\n",
        "1:1: a policy needs `rules`; write `rules: []` to show nobody to anybody",
    ),
    (
        ProblemCode::ConflictingKeys,
        "groups: { a: [] }\nrules:\n  - { name: x, allow: { within: a, to: [] } }\n",
        "3:36: `within` excludes `from` and `to`; write one rule for each",
    ),
    (ProblemCode::WrongType, "rules: 7\n", "1:8: expected a list of rules, found a number"),
    (
        ProblemCode::EmptyList,
        "rules:\n  - { name: x, hide: { from: [], to: [], fields: [] } }\n",
        "2:50: expected a list of fields, found an empty one",
    ),
    (
        ProblemCode::EmptyText,
        "groups: { '': [] }\nrules: []\n",
        "1:11: the name of a group is empty",
    ),
    (
        ProblemCode::ControlCharacter,
        "groups: { \"a\\e\": [] }\nrules: []\n",
        "1:11: the name of a group, `\"a\\u001b\"`, has a control character; remove the character",
    ),
    (
        ProblemCode::UnknownValue,
        "rules:\n  - { name: x, hide: { from: [], to: [], fields: [status] } }\n",
        "2:51: unknown field `status`; valid here are `currently_active`, `last_active_ts`, `presence`, `status_msg`",
    ),
    (
        ProblemCode::DuplicateValue,
        "ours: [a.org, a.org]\nrules: []\n",
        "1:15: the list names server `a.org` twice; remove one of the two",
    ),
    (
        ProblemCode::NumberOutOfRange,
        "rules: []\nrooms:\n  - { name: x, deny: { message: no, status: 200 } }\n",
        "3:45: expected an HTTP status from 400 to 499, found 200",
    ),
    // Ids, names and globs.
    (
        ProblemCode::NotASet,
        "groups: { a: bob }\nrules: []\n",
        "1:14: `bob` is not a set; write a user id such as `@bob:example.org`, `everyone`, or `{ group: bob }`",
    ),
    (
        ProblemCode::NotAUserId,
        "groups: { a: '@bob' }\nrules: []\n",
        "1:14: `@bob` is not a user id: the `:` and the server name after the localpart are missing; write a whole user id such as `@bob:example.org`",
    ),
    (
        ProblemCode::NotARoomId,
        "rules: []\ntests: [{ given: { rooms: { '#a:b': { members: [] } } }, sender: '@a:b', not: '@b:b' }]\n",
        "2:29: `#a:b` is not a room id: it does not begin with `!`; write the id of the room, such as `!abc:example.org`, instead of an alias",
    ),
    (
        ProblemCode::NotAServerName,
        "ours: a_b\nrules: []\n",
        "1:7: `a_b` is not a server name: `_` is not valid in a host name: letters, digits, `-` and `.` are; write a whole server name such as `example.org`",
    ),
    (
        ProblemCode::NotAPattern,
        "groups: { a: { match: '@*' } }\nrules: []\n",
        "1:23: `@*` is not a pattern: the `:` is missing; write it as `@*-bot:example.org`",
    ),
    (
        ProblemCode::NotAnErrcode,
        "rules: []\nrooms:\n  - { name: x, deny: { message: no, errcode: no } }\n",
        "3:46: `no` is not an errcode; write an errcode such as `M_FORBIDDEN` or `ORG.EXAMPLE_NO_ROOMS`",
    ),
    (
        ProblemCode::UnexpectedGlob,
        "ours: '*.a.org'\nrules: []\n",
        "1:7: `*.a.org` is a glob, not a server name; write whole server names in `ours`",
    ),
    (
        ProblemCode::GlobCannotMatch,
        "groups: { a: { server: '*.a_b' } }\nrules: []\n",
        "1:24: `*.a_b` matches no server: no server name contains `_`",
    ),
    // Groups and members files.
    (
        ProblemCode::DuplicateGroup,
        "groups:\n  a: []\n  a: []\nrules: []\n",
        "3:3: group `a` is already declared in line 2; rename one of the two groups, or merge their members",
    ),
    (
        ProblemCode::UnknownGroup,
        "groups: { a: { group: b } }\nrules: []\n",
        "1:23: group `b` is not declared; did you mean `a`?",
    ),
    (
        ProblemCode::GroupCycle,
        "groups: { a: { group: a } }\nrules: []\n",
        "1:11: group `a` contains itself: `a` -> `a`; remove one of these references",
    ),
    (
        ProblemCode::UnmatchedWithin,
        "rules: [{ name: x, allow: { within: a } }]\n",
        "1:37: no group has a name that matches `a`; declare the group in `groups`",
    ),
    (
        ProblemCode::DirectoryFalse,
        "groups: { a: { directory: false } }\nrules: []\n",
        "1:16: `directory: false` does not define any members; write `[]` for a group without members",
    ),
    (
        ProblemCode::MembersFileUnreadable,
        "groups: { a: { members_file: missing.txt } }\nrules: []\n",
        "1:30: cannot read the members file `missing.txt`: there is no such file; correct the name or the permissions",
    ),
    (
        ProblemCode::MoreInvalidLines,
        "groups: { a: { members_file: bad.txt } }\nrules: []\n",
        "bad.txt:21:1: from here on, 2 more lines are not valid; correct the lines above first",
    ),
    // Rules and switches.
    (
        ProblemCode::DuplicateRule,
        "rules:\n  - { name: x, deny: { from: [], to: [] } }\n  - { name: x, deny: { from: [], to: [] } }\n",
        "3:13: rule `x` is already defined in line 2; rename one of the two rules",
    ),
    (
        ProblemCode::ReservedName,
        "ours: a.org\nlocal: false\nrules:\n  - { name: 'local: false', deny: { from: [], to: [] } }\n",
        "4:5: rule `local: false` has the name of a switch at the top; rename the rule",
    ),
    (
        ProblemCode::DeniedOwnServer,
        "ours: a.org\nservers: { deny: a.org }\nrules: []\n",
        "2:12: `servers.deny` names `a.org`, one of `ours`; remove it: `local` decides about pairs within `ours`",
    ),
    (
        ProblemCode::EmptyCondition,
        "rules: []\nrooms:\n  - { name: x, when: {}, deny: { message: no } }\n",
        "3:22: `when` is empty; remove `when` for a rule about every room",
    ),
    (
        ProblemCode::DuplicateEvent,
        "rules: []\nrooms:\n  - { name: x, add: [{ type: a.b, content: {} }, { type: a.b, content: {} }] }\n",
        "3:50: the rule adds event `a.b` with state key `` twice; remove one of the two",
    ),
    (
        ProblemCode::HomeserverEvent,
        "rules: []\nrooms:\n  - { name: x, add: [{ type: m.room.create, content: {} }] }\n",
        "3:30: only the homeserver makes events of type `m.room.create`; remove the event",
    ),
    // Tests.
    (
        ProblemCode::TestFailed,
        "rules: []\ntests:\n  - { sender: '@a:b.org', reaches: '@b:b.org' }\n",
        "3:36: test fails: `@a:b.org` does not reach `@b:b.org`: no allow rule matches",
    ),
    (
        ProblemCode::OpenTestSubject,
        "rules: []\ntests:\n  - { sender: everyone, not: '@a:b' }\n",
        "3:15: a test checks every member of `sender`, and this set contains unlisted users; name users, or a group that lists its members",
    ),
    (
        ProblemCode::EmptyTestSubject,
        "rules: []\ntests:\n  - { sender: [], not: '@a:b' }\n",
        "3:15: test fails: `sender` contains no users, so that nothing is tested; give members by `given`, or name a user",
    ),
    (
        ProblemCode::GivenListedGroup,
        "groups: { a: [] }\nrules: []\ntests:\n  - { given: { groups: { a: [] } }, sender: '@a:b', not: '@b:b' }\n",
        "4:26: the policy lists the members of group `a` in line 1; remove it from `given`, or declare the group with `directory: true`",
    ),
    // Warnings.
    (
        ProblemCode::RoomGlobWithServer,
        "rules: [{ name: x, allow: { share_room: { rooms: '*:a.org' } } }]\n",
        "1:9: rule `x` compares room ids with `*:a.org`, which matches no room of version 12: ids of these rooms contain no server name; list the rooms, or use a condition such as `space` or `join_rule`",
    ),
    (
        ProblemCode::RuleNeverMatches,
        "rules:\n  - { name: x, deny: { from: [], to: everyone } }\n",
        "2:5: rule `x` can never match: `from` contains nobody; correct the set, or remove the rule",
    ),
    (
        ProblemCode::UnusedGroup,
        "groups: { a: everyone }\nrules: []\n",
        "1:11: no rule, no test and no other group refers to group `a`; refer to the group, or remove it",
    ),
    (
        ProblemCode::EmptyMembersFile,
        "rules: []\nrooms:\n  - { name: x, when: { requester: ['@a:b', { members_file: empty.txt }] }, deny: { message: no } }\n",
        "3:60: the members file `empty.txt` lists no users; export the file again",
    ),
    (
        ProblemCode::UnknownPresence,
        "rules:\n  - { name: x, hide: { within: '*', fields: [presence], unless: { presence: ofline } } }\ngroups: { a: everyone }\n",
        "2:5: rule `x` names the presence value `ofline`, which Matrix does not define; did you mean `offline`?",
    ),
    (
        ProblemCode::PortNotMatched,
        "rules:\n  - { name: x, allow: { from: { any: everyone, except: { server: a.org } }, to: '@a:b' } }\n",
        "2:5: rule `x` leaves out `a.org`, but not with a port: `a.org:8448` is another server name; write `[\"a.org\", \"a.org:*\"]`",
    ),
    (
        ProblemCode::ServerNameCapitals,
        "rules: [{ name: x, allow: { from: '@a:A.org', to: '@b:b' } }]\n",
        "1:35: server name `A.org` has capital letters and does not match `a.org`: server names are compared byte by byte; write `a.org`",
    ),
    (
        ProblemCode::ServerNameNearOurs,
        "ours: example.org\nrules: [{ name: x, allow: { from: '@a:exmaple.org', to: '@b:b' } }]\n",
        "2:35: server name `exmaple.org` is nearly `example.org`, which is one of `ours`; did you mean `example.org`?",
    ),
];

/// Codes of texts that are too long for the table.
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
    let rooms: Vec<_> = (0..101).map(|room| format!("'!{room}'")).collect();
    let rooms = format!(
        "rules: [{{ name: x, deny: {{ share_room: {{ rooms: [{}] }} }} }}]",
        rooms.join(", ")
    );
    let relations = (2..103).map(|bound| {
        format!("  - {{ name: r{bound}, deny: {{ share_room: {{ at_most: {bound} }} }} }}\n")
    });
    let relations = format!("rules:\n{}", relations.collect::<String>());
    vec![
        (
            ProblemCode::TooManyItems,
            rooms.into_bytes(),
            "1:49: a condition has at most 100 items in a list, this has 101; write fewer, with `*` and `?`, or divide the list among several rules",
        ),
        (
            ProblemCode::TooManyRelations,
            relations.into_bytes(),
            "102:5: the rules, shadow rules included, have 101 different values of `share_room`; at most 100 are possible; use the same `share_room` in more of the rules, or remove rules",
        ),
        (
            ProblemCode::NotUtf8,
            b"rules: [ \xff ]\n".to_vec(),
            "1:10: not UTF-8: the byte 0xff at offset 9; save the file as UTF-8",
        ),
        (
            ProblemCode::TooLarge,
            bomb.into_bytes(),
            "5:45: the aliases expand to more than 100000 values here; declare a group and refer to it",
        ),
        (
            ProblemCode::TooDeep,
            deep.into_bytes(),
            "2:358: sets are nested more than 32 deep here; declare a group for the inner part and refer to it",
        ),
        (
            ProblemCode::ValueTooLong,
            long.into_bytes(),
            "3:30: the type of an event has at most 255 bytes, this has 256; shorten the text",
        ),
        (
            ProblemCode::TestTooLarge,
            large_test.into_bytes(),
            "4:15: the test covers 1001 users of `sender`, and so more than 1000000 pairs; test some of the users",
        ),
    ]
}

/// The codes of all problems, or of all warnings, each with its line.
fn found(text: &[u8]) -> Vec<(ProblemCode, String)> {
    let list = match Policy::load("policy.yaml", text, &Lists) {
        Ok(policy) => policy.warnings,
        Err(problems) => problems.list,
    };
    list.iter().map(|problem| (problem.code, line(problem))).collect()
}

/// A problem as a line, without the name of the policy and the code.
fn line(problem: &Problem) -> String {
    let line = ProblemLine { code: "", ..problem.display_line("") }.to_string();
    line.trim_start_matches([':', ' ']).to_owned()
}

#[test]
fn every_code_has_a_policy_that_shows_it() {
    let mut seen: Vec<ProblemCode> = NOT_OF_A_TEXT.to_vec();
    let table = SHOWN.iter().map(|(code, text, want)| (*code, text.as_bytes().to_vec(), *want));
    for (code, text, want) in table.chain(shown_by_long_texts()) {
        let found = found(&text);
        let text = String::from_utf8_lossy(&text);
        assert_eq!(found.last(), Some(&(code, want.to_owned())), "{text}\n{found:?}");
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
    let [warning] = synapse::warnings(&policy.unwrap(), synapse::Mode::Add).try_into().unwrap();
    assert_eq!(warning.code, ProblemCode::NotEnforcedBySynapse);
    assert_eq!(
        line(&warning),
        "1:9: Synapse enforces deny rule `x` in part: on the local `/sync`, recipients who share a room with the sender still see the presence; federation still sends the presence to every server that shares a room with the sender"
    );
    let policy = Policy::load(
        "policy.yaml",
        b"rules: [{ name: x, hide: { share_room: true, fields: status_msg } }]",
        &Lists,
    );
    let [_, status] = synapse::warnings(&policy.unwrap(), synapse::Mode::Add).try_into().unwrap();
    assert_eq!(status.code, ProblemCode::StatusInProfile);
    assert_eq!(
        line(&status),
        "1:9: rule `x` hides `status_msg` of presence, but clients also write a status into the field `m.status` of the user's profile (MSC4426), which `/sync` sends (MSC4429) and no presence router sees; do not rely on the rule to keep a status private"
    );
    let change = |after| {
        let position = Position { line: 2, column: 6 };
        MembersFileChange { file: "staff.txt".to_owned(), position, before: 9, after }
    };
    let (emptied, shrunk) =
        (change(0).emptied_problem().unwrap(), change(1).shrunk_warning().unwrap());
    assert_eq!(emptied.code, ProblemCode::MembersFileEmptied);
    assert_eq!(shrunk.code, ProblemCode::MembersFileShrunk);
    assert_eq!(
        line(&emptied),
        "2:6: the members file `staff.txt` lists no users, but listed 9 users in the active policy; if this is intended, load it with `presence-router reload --force`, or set `allow_empty_members_files: true`"
    );
    assert_eq!(
        line(&shrunk),
        "2:6: the members file `staff.txt` lists 1 user, but listed 9 in the previous policy; check the export"
    );
    seen.extend([warning.code, status.code, emptied.code, shrunk.code]);
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
