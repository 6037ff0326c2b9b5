//! The help for mistakes about rooms: in relations, in tests and in files of rooms.

use super::problems;
use crate::policy::given_rooms::GivenRooms;

#[test]
fn says_how_to_write_conditions() {
    const COMMENT: &str =
        "`#` begins a comment; put the value in quotes, and write a room id instead of an alias";
    for (relation, help) in [
        ("'!a:x'", "write `{ rooms: .. }` for the id of a room"),
        ("{ at_most: '5' }", "remove the quotes"),
        ("{ at_most: five }", ""),
        ("{ space: ['!a', '!b'] }", "write one rule for each space"),
        ("{ space: '!a*' }", "write one rule for each space"),
        ("{ rooms: null }", COMMENT),
        ("{ not_rooms: ['!a', null] }", COMMENT),
        ("{ space: null }", COMMENT),
        ("{ rooms: '' }", "write a room id such as `!abc:example.org`"),
        ("{ rooms: 'a*' }", "write a room id or a glob such as `!abc*`"),
    ] {
        let text = format!("rules: [{{ name: x, allow: {{ share_room: {relation} }} }}]\n");
        let found = problems(&text).list;
        let [problem] = found.as_slice() else { panic!("{relation}: {found:?}") };
        assert_eq!(problem.help, help, "{relation}");
    }
}

#[test]
fn says_where_given_rooms_belong() {
    let test = "rules: []\ntests: [{ sender: '@a:b', not: '@b:b', rooms: {} }]\n";
    let found = problems(test).list;
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(problem.message, "unknown key `rooms`: given rooms belong in `given`");
    let found = problems("rules: []\ntests: [{ given: {}, sender: '@a:b', not: '@b:b' }]\n").list;
    assert!(found[0].help.contains("a map of room ids and rooms as `rooms`"), "{found:?}");
    let found = problems("rules: [{ name: x, allow: { from: [] } }]\n").list;
    assert_eq!(found[0].message, "`from` needs a `to` beside it, or a `share_room`");
    for key in ["given", "rooms"] {
        let text = format!("{key}:\n  '!a': {{ members: [] }}\n");
        let found = GivenRooms::parse("rooms.yaml", text.as_bytes()).unwrap_err().list;
        let [problem] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            problem.message,
            format!("unknown key `{key}`: the file itself is the map of room ids and rooms")
        );
        assert_eq!(problem.help, format!("remove `{key}:` and indent less"));
    }
}
