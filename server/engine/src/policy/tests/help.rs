//! The wording of problems where it depends on the text: the reasons in messages, and the
//! names and valid keys in `help`.

use super::{group, problems};

/// The help of the first problem of a policy.
#[track_caller]
fn first_help(text: &str) -> String {
    problems(text).list.swap_remove(0).help
}

/// The message of the first problem of a policy.
#[track_caller]
fn first_message(text: &str) -> String {
    problems(text).list.swap_remove(0).message
}

#[test]
fn suggests_the_name_that_the_author_probably_means() {
    let hide = |fields: &str| {
        format!("rules: [{{ name: x, hide: {{ from: [], to: [], fields: {fields} }} }}]\n")
    };
    let when = |when: &str| {
        format!(
            "groups: {{ staff: [] }}\nrules: []\nrooms: [{{ name: x, when: {{ {when} }}, deny: {{ message: no }} }}]\n"
        )
    };
    let test = |test: &str| {
        format!(
            "groups: {{ board: ['@cleo:one.org'], sales: {{ directory: true }} }}\nrules: []\ntests: [{{ {test}, not: '@b:b' }}]\n"
        )
    };
    let boards = "groups: { board: [] }\nrules: [{ name: x, deny: { within: boards } }]\n";
    for (text, near) in [
        ("ruels: []\n".to_owned(), "rules"),
        ("our: [one.org]\nrules: []\n".to_owned(), "ours"),
        ("ours: a.b\nservers: { alow: [] }\nrules: []\n".to_owned(), "allow"),
        ("rules: [{ name: x, alow: { from: [], to: [] } }]\n".to_owned(), "allow"),
        ("rules: [{ name: x, shadw: true, deny: { from: [], to: [] } }]\n".to_owned(), "shadow"),
        (
            "rules: [{ name: x, hide: { feilds: [presence], from: [], to: [] } }]\n".to_owned(),
            "fields",
        ),
        (hide("[status_mgs]"), "status_msg"),
        ("rules: [{ name: x, deny: { share_rom: true } }]\n".to_owned(), "share_room"),
        ("rules: [{ name: x, deny: { share_room: { at_mots: 2 } } }]\n".to_owned(), "at_most"),
        (
            "rules: [{ name: x, deny: { share_room: { join_rule: publik } } }]\n".to_owned(),
            "public",
        ),
        (group("{ sever: a.example }"), "server"),
        (group("{ member_file: staff.txt }"), "members_file"),
        (group("{ directroy: true }"), "directory"),
        ("groups: { board: [], all: { group: baord } }\nrules: []\n".to_owned(), "board"),
        (boards.to_owned(), "board"),
        (when("invites: { group: staf }"), "staff"),
        (when("preset: public_chta"), "public_chat"),
        (when("visibility: publik"), "public"),
        (
            "rules: []\nrooms: [{ name: x, wen: { admin: true }, deny: { message: no } }]\n"
                .to_owned(),
            "when",
        ),
        (test("sendr: '@a:b'"), "sender"),
        (test("sender: { group: bord }"), "board"),
        (test("recipient: [{ groop: board }]"), "group"),
        (test("given: { groups: { slaes: [] } }, sender: '@a:b'"), "sales"),
        (test("sender: '@a:b', only: '@b:b', hides: { fields: presnce }"), "presence"),
    ] {
        let help = first_help(&text);
        assert!(help.ends_with(&format!("did you mean `{near}`?")), "{text}\n{help}");
    }
    // Nothing is near enough.
    for (text, help) in [
        (
            "groups: { a: '*.one.org' }\nrules: []\n",
            "write a glob of server names as `{ server: .. }`, and a pattern of user ids as `{ match: .. }`",
        ),
        ("groups: { a: { group: zebras } }\nrules: []\n", "declare the group in `groups`"),
        (
            "groups: { a: [] }\nrules: [{ name: x, deny: { within: 'team/*' } }]\n",
            "correct the glob, or declare a group in `groups`",
        ),
    ] {
        assert_eq!(first_help(text), help, "{text}");
    }
}

#[test]
fn lists_the_keys_and_values_that_are_valid() {
    let rule = |rule: &str| format!("rules: [{{ name: x, {rule} }}]\n");
    let test = |test: &str| format!("rules: []\ntests: [{{ {test}, not: '@b:b' }}]\n");
    let room = |rule: &str| format!("rules: []\nrooms: [{{ name: x, {rule} }}]\n");
    for (text, valid) in [
        (
            "zzz: []\n".to_owned(),
            "groups, inbound, local, ours, outbound, rooms, rules, servers, tests",
        ),
        (
            "rules: []\n1: x\n".to_owned(),
            "groups, inbound, local, ours, outbound, rooms, rules, servers, tests",
        ),
        ("ours: a.b\nservers: { zzz: [] }\nrules: []\n".to_owned(), "allow, deny"),
        (rule("zzz: []"), "allow, deny, hide, name, shadow"),
        (rule("deny: { zzz: [] }"), "from, share_room, to, within"),
        (rule("hide: { zzz: [] }"), "fields, from, share_room, to, unless, within"),
        (
            rule("hide: { fields: [zzz], from: [], to: [] }"),
            "currently_active, last_active_ts, presence, status_msg",
        ),
        (
            rule("deny: { share_room: { zzz: [] } }"),
            "at_least, at_most, encrypted, history_visibility, join_rule, not_counting, not_rooms, presence_sharing, rooms, space",
        ),
        (
            rule("deny: { share_room: { join_rule: zzz } }"),
            "invite, knock, knock_restricted, private, public, restricted",
        ),
        (
            rule("deny: { share_room: { history_visibility: zzz } }"),
            "invited, joined, shared, world_readable",
        ),
        (rule("deny: { share_room: { presence_sharing: zzz } }"), "forbid, suggest"),
        (rule("hide: { fields: [presence], unless: { zzz: [] }, from: [], to: [] }"), "presence"),
        (
            group("{ zzz: [] }"),
            "all_of, any, directory, except, group, match, members_file, server",
        ),
        (group("[{ zzz: [] }]"), "all_of, any, except, group, match, members_file, server"),
        (room("zzz: []"), "add, deny, name, when"),
        (
            room("when: { zzz: [] }, deny: { message: no }"),
            "admin, invites, name, preset, requester, visibility",
        ),
        (
            room("when: { preset: zzz }, deny: { message: no }"),
            "private_chat, public_chat, trusted_private_chat",
        ),
        (room("when: { visibility: zzz }, deny: { message: no }"), "private, public"),
        (room("add: [{ zzz: x }]"), "content, state_key, type"),
        (room("deny: { zzz: x }"), "errcode, message, status"),
        (test("zzz: '@a:b'"), "given, hides, not, only, reaches, recipient, room, sees, sender"),
        (test("given: { zzz: [] }, sender: '@a:b'"), "groups, rooms"),
        (
            test("given: { rooms: { '!a': { zzz: [] } } }, sender: '@a:b'"),
            "encrypted, history_visibility, join_rule, members, partial, presence_sharing, spaces",
        ),
        (test("sender: '@a:b', only: '@b:b', hides: { zzz: x }"), "fields, unless"),
        (
            "rules: []\ntests: [{ room: { zzz: x }, denied: false }]\n".to_owned(),
            "admin, invites, name, preset, requester, visibility",
        ),
        (
            "rules: []\ntests: [{ room: { requester: '@a:b' }, zzz: x }]\n".to_owned(),
            "adds, denied, given, not, room",
        ),
    ] {
        let valid: Vec<_> = valid.split(", ").map(|key| format!("`{key}`")).collect();
        assert_eq!(first_help(&text), format!("valid here are {}", valid.join(", ")), "{text}");
    }
    let fields = "`currently_active`, `last_active_ts`, `presence`, `status_msg`";
    assert_eq!(first_help(&rule("hide: { from: [], to: [] }")), format!("name some of {fields}"));
    let hides = test("sender: '@a:b', only: '@b:b', hides: {}");
    let want = format!("name some of {fields}, or write `[]` if nothing is hidden");
    assert_eq!(first_help(&hides), want);
}

#[test]
fn says_why_a_key_of_another_map_is_not_valid() {
    let later = "not supported by this version";
    for (text, key, why) in [
        ("rules: [{ name: x, subscriptions: true }]\n", "subscriptions", later),
        ("rules: [{ name: x, deny: { subscriptions: true } }]\n", "subscriptions", later),
        (
            "rules: [{ name: x, deny: { fields: [presence] } }]\n",
            "fields",
            "`fields` belongs to `hide`",
        ),
        (
            "rules: [{ name: x, share_room: true, deny: { from: [], to: [] } }]\n",
            "share_room",
            "`share_room` belongs in `allow`, `deny` or `hide`",
        ),
        (
            "rules: [{ name: x, deny: { share_room: { within: a } } }]\n",
            "within",
            "`within` belongs beside `share_room`",
        ),
        (
            "groups: { a: [{ directory: true }] }\nrules: []\n",
            "directory",
            "the directory fills a whole group, in `groups`, and not a part of a set",
        ),
        (
            "rules: []\nrooms: [{ name: x, allow: everyone }]\n",
            "allow",
            "a room is created unless a rule denies it",
        ),
        (
            "rules: []\ntests: [{ given: { subscriptions: [] }, sender: '@a:b', not: '@b:b' }]\n",
            "subscriptions",
            later,
        ),
    ] {
        assert_eq!(first_message(text), format!("unknown key `{key}`: {why}"), "{text}");
        assert!(first_help(text).starts_with("valid here are `"), "{text}");
    }
}

#[test]
fn says_why_a_glob_matches_nothing() {
    let long = format!("{{ server: '{}*' }}", "a".repeat(254));
    let scheme = "a server name has no scheme such as `https://`";
    let character = "is not valid in a host name";
    for (set, why) in [
        ("{ server: '' }", "the glob is empty"),
        ("{ server: '*.a_b' }", "no server name contains `_`"),
        ("{ server: [a.example, 'a/b'] }", character),
        ("{ server: 'a.example:' }", "port is not 1 to 5 digits"),
        ("{ server: 'https://*.gov' }", scheme),
        ("{ server: 'https://a.gov' }", scheme),
        (&long, "server names have at most 253 bytes"),
        ("{ match: 'bot:*' }", "user ids begin with `@`"),
        ("{ match: '@bot:' }", "in its part for servers, the glob is empty"),
        ("{ match: '@bot:a b*' }", "in its part for servers, no server name contains ` `"),
        ("{ match: \"@bot\\0*:a.b\" }", "no user id contains a NUL"),
    ] {
        let message = first_message(&group(set));
        assert!(message.contains(why), "{set}\n{message}");
    }
}

#[test]
fn puts_messages_of_the_yaml_library_into_this_style() {
    for (text, want) in [
        ("groups:\n  a: [\"@ann:exam", "not YAML: unclosed quote"),
        ("groups:\n  a: [\"@ann:example.org\",", "not YAML: unclosed bracket '['"),
        (
            "rules:\n\t- name: x\n",
            "not YAML: tabs disallowed within this context (block indentation)",
        ),
        ("a: \u{7}\n", r"not YAML: unexpected character: `\u{7}'"),
        ("rules: !rule []\n", "not YAML: `!rule` is read as a YAML tag"),
        (
            "rules: [{ name: a, allow: { share_room: { space: !project:one.org } } }]\n",
            "not YAML: `!project:one.org` is read as a YAML tag",
        ),
        ("!t:x.org:\n  members: []\n", "not YAML: `!t:x.org:` is read as a YAML tag"),
        ("rooms:\n- !lobby:x\n- b\n", "not YAML: `!lobby:x` is read as a YAML tag"),
        ("groups:\n  a: @ann:example.org\n", "not YAML: unexpected character: `@'"),
    ] {
        assert_eq!(first_message(text), want);
    }
    assert_eq!(first_help("groups:\n  a: @ann:example.org\n"), "put a user id in quotes");
    assert_eq!(first_help("rooms: !lobby:x\n"), "put a room id in quotes");
    assert_eq!(first_help("groups:\n  a: [\"@ann:exam"), "");
}

#[test]
fn suggests_a_group_only_where_its_name_needs_no_quotes() {
    for (set, written) in [("bob", "bob"), ("team/a", "team/a"), ("'a, b'", "..")] {
        let help = first_help(&group(set));
        assert!(help.ends_with(&format!("or `{{ group: {written} }}`")), "{help}");
    }
}
