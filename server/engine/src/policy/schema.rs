//! The shape of a policy, as types that generate the JSON Schema for editors. Only the tests
//! build these types: the daemon serves the schema as a file, and `read` reads policies, with
//! messages that no schema could give.
//!
//! So schema and reader could drift apart. `tests/schema.rs` prevents this: it changes valid
//! policies in every place, and both must agree on each result. Editors show the comments
//! here.

#![expect(dead_code, reason = "only the shape of these types is of use")]

mod given_rooms;
mod room;
mod set;
mod share_room;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use self::given_rooms::{GivenRoom, RoomId};
use self::room::RoomRule;
use self::set::Set;
use self::share_room::ShareRoom;

/// Returns the schema of policies, in draft 7, which every editor supports.
pub(super) fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Policy>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.into()
}

/// Removes `null`: a key may be absent, but must not be present without a value.
fn without_null(schema: &mut Schema) {
    let is_null = |value: &Value| value == "null" || value.get("type").is_some_and(|t| t == "null");
    for key in ["type", "anyOf"] {
        let Some(Value::Array(list)) = schema.get_mut(key) else { continue };
        list.retain(|value| !is_null(value));
        if let [only] = list.as_mut_slice() {
            let only = only.take();
            match (key, only) {
                ("anyOf", Value::Object(only)) => {
                    schema.remove(key);
                    // Draft 7 ignores everything beside a reference.
                    let described = schema.get("description").is_some();
                    if described && only.contains_key("$ref") {
                        schema.insert("allOf".to_owned(), Value::from(vec![Value::Object(only)]));
                    } else {
                        for (key, value) in only {
                            schema.ensure_object().entry(key).or_insert(value);
                        }
                    }
                }
                (_, only) => drop(schema.insert(key.to_owned(), only)),
            }
        }
    }
}

/// Decides which users may see whose Matrix presence.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    title = "Policy of presence-router",
    extend("dependencies" = {
        "inbound": ["ours"], "local": ["ours"], "outbound": ["ours"], "servers": ["ours"]
    })
)]
struct Policy {
    /// Rules, in any order: allows add up, and a deny wins over all allows.
    rules: Vec<Rule>,
    /// Named sets of users.
    groups: Option<BTreeMap<GroupName, Group>>,
    /// Rules about rooms that users create, for homeservers that ask.
    rooms: Option<Vec<RoomRule>>,
    /// Tests of the policy. The daemon rejects a policy whose tests fail.
    tests: Option<Vec<Test>>,
    /// Our server names, in full. The switches refer to them.
    ours: Option<OneOrSeveral<ServerName>>,
    /// `false`: no presence from ours to ours.
    local: Option<bool>,
    /// `false`: no presence from all others to ours.
    inbound: Option<bool>,
    /// `false`: no presence from ours to all others.
    outbound: Option<bool>,
    /// Servers with which ours share presence, or do not.
    servers: Option<Servers>,
}

/// Lists of servers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Servers {
    /// No presence between ours and servers other than these. `[]`: none.
    allow: Option<OneOrAny<ServerGlob>>,
    /// No presence between ours and these.
    deny: Option<OneOrMany<ServerGlob>>,
}

/// A rule: its effect, and its pairs.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Rule {
    Allow(Allow),
    Deny(Deny),
    Hide(HideRule),
}

/// Allows recipients to see senders.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Allow {
    /// The name of the rule in messages. No other rule may have it.
    name: Name,
    /// `true`: the rule takes no part in decisions, and is only counted.
    shadow: Option<bool>,
    /// The pairs that may be visible.
    allow: Pairs,
}

/// Outranks every rule that allows.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Deny {
    /// The name of the rule in messages. No other rule may have it.
    name: Name,
    /// `true`: the rule takes no part in decisions, and is only counted.
    shadow: Option<bool>,
    /// The pairs that are not visible.
    deny: Pairs,
}

/// Hides fields of a presence from recipients who may see the presence.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideRule {
    /// The name of the rule in messages. No other rule may have it.
    name: Name,
    /// `true`: the rule takes no part in decisions, and is only counted.
    shadow: Option<bool>,
    /// The pairs, and the hidden fields.
    hide: Hide,
}

/// The pairs of sender and recipient that a rule matches.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Pairs {
    Product(Product),
    Within(Within),
    RoomMates(RoomMates),
}

/// Every sender of the first set with every recipient of the second.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Product {
    /// Senders, whose presence is shown.
    from: Set,
    /// Recipients, who may see the presence.
    to: Set,
}

/// Members of a group with each other.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Within {
    /// A glob over names of groups; `*` crosses `/`.
    within: Name,
    /// The relation that the rule requires between sender and recipient.
    share_room: Option<ShareRoom>,
}

/// Senders and recipients who share a room.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RoomMates {
    /// The relation that the rule requires between sender and recipient.
    share_room: ShareRoom,
    /// Senders, whose presence is shown. Everyone by default.
    from: Option<Set>,
    /// Recipients, who may see the presence. Everyone by default.
    to: Option<Set>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Hide {
    Product(HideProduct),
    Within(HideWithin),
    RoomMates(HideRoomMates),
}

/// Hides fields of every sender of one set from every recipient of the other.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideProduct {
    /// Senders, whose presence is shown.
    from: Set,
    /// Recipients, who do not see the hidden fields.
    to: Set,
    /// The hidden fields.
    fields: OneOrSeveral<Field>,
    /// Presence values for which nothing is hidden.
    unless: Option<Unless>,
}

/// Hides fields of members of a group from other members.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideWithin {
    /// A glob over names of groups; `*` crosses `/`.
    within: Name,
    /// The relation that the rule requires between sender and recipient.
    share_room: Option<ShareRoom>,
    /// The hidden fields.
    fields: OneOrSeveral<Field>,
    /// Presence values for which nothing is hidden.
    unless: Option<Unless>,
}

/// Hides fields of senders from recipients who share a room with them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideRoomMates {
    /// The relation that the rule requires between sender and recipient.
    share_room: ShareRoom,
    /// Senders, whose presence is shown. Everyone by default.
    from: Option<Set>,
    /// Recipients, who do not see the hidden fields. Everyone by default.
    to: Option<Set>,
    /// The hidden fields.
    fields: OneOrSeveral<Field>,
    /// Presence values for which nothing is hidden.
    unless: Option<Unless>,
}

/// A field of a presence. If `presence` is hidden, the sender is shown as offline, without
/// status text and activity.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Field {
    CurrentlyActive,
    LastActiveTs,
    Presence,
    StatusMsg,
}

/// The presence values for which nothing is hidden.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unless {
    /// Presence values such as `online`, `unavailable`, `busy` and `offline`.
    presence: OneOrSeveral<Name>,
}

/// The members of a group.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Group {
    Set(Set),
    Directory(Directory),
}

/// A group that the directory fills at run time; empty until then.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Directory {
    #[schemars(extend("const" = true))]
    directory: bool,
}

/// A claim about the audience or interest of a user, or of every member of a set.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Test {
    Sender(SenderTest),
    Recipient(RecipientTest),
    Room(room::RoomTest),
}

/// A test of a sender's recipients.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [
        { "required": ["reaches"] }, { "required": ["only"] }, { "required": ["not"] }
    ]),
    extend("not" = { "required": ["reaches", "only"] }),
    extend("dependencies" = {
        "hides": { "anyOf": [{ "required": ["reaches"] }, { "required": ["only"] }] }
    })
)]
struct SenderTest {
    /// Members of groups and rooms, in this test only.
    given: Option<Given>,
    /// The sender, or a set that lists senders.
    sender: Subject,
    /// Users who must see the sender.
    reaches: Option<OneOrMany<UserId>>,
    /// The listed users who must see the sender; no other listed user may. `[]`: no listed
    /// user may.
    only: Option<OneOrAny<UserId>>,
    /// Users who must not see the sender.
    not: Option<OneOrMany<UserId>>,
    /// The fields that are hidden from all users who must see the sender, no fewer and no more.
    hides: Option<TestHides>,
}

/// A test of the senders that a recipient sees.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [
        { "required": ["sees"] }, { "required": ["only"] }, { "required": ["not"] }
    ]),
    extend("not" = { "required": ["sees", "only"] }),
    extend("dependencies" = {
        "hides": { "anyOf": [{ "required": ["sees"] }, { "required": ["only"] }] }
    })
)]
struct RecipientTest {
    /// Members of groups and rooms, in this test only.
    given: Option<Given>,
    /// The recipient, or a set that lists recipients.
    recipient: Subject,
    /// Users whom the recipient must see.
    sees: Option<OneOrMany<UserId>>,
    /// The listed users whom the recipient must see; the recipient may see no other listed
    /// user. `[]`: no listed user.
    only: Option<OneOrAny<UserId>>,
    /// Users whom the recipient must not see.
    not: Option<OneOrMany<UserId>>,
    /// The fields that are hidden of all users whom the recipient must see, no fewer and no more.
    hides: Option<TestHides>,
}

/// The subject of a test: a user, or every member of a set that lists its members.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Subject {
    User(UserId),
    Set(Set),
}

/// The fields that are hidden. Several maps add up.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum TestHides {
    One(HiddenFields),
    Several(#[schemars(length(min = 1))] Vec<HiddenFields>),
}

/// Fields that are hidden.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HiddenFields {
    /// The fields. `[]`: no field.
    fields: OneOrNone<Field>,
    /// Presence values for which the fields are shown.
    unless: Option<Unless>,
}

/// Contents of the directory, and rooms, for this test.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Given {
    /// Members of groups of `directory: true`.
    groups: Option<BTreeMap<GroupName, OneOrAny<UserId>>>,
    /// Rooms by their ids. Without them, nobody shares a room.
    rooms: Option<BTreeMap<RoomId, GivenRoom>>,
}

/// Contents of the directory for this test.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct GivenGroups {
    /// Members of groups of `directory: true`.
    groups: BTreeMap<GroupName, OneOrAny<UserId>>,
}

/// One, or a list of at least one.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(#[schemars(length(min = 1))] Vec<T>),
}

/// One, or a list of at least one without repeats.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrSeveral<T> {
    One(T),
    Several(#[schemars(length(min = 1), extend("uniqueItems" = true))] Vec<T>),
}

/// One, or a list without repeats.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrNone<T> {
    One(T),
    Some(#[schemars(extend("uniqueItems" = true))] Vec<T>),
}

/// One, or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrAny<T> {
    One(T),
    Any(Vec<T>),
}

/// Some text on one line.
#[derive(JsonSchema)]
struct Name(#[schemars(regex(pattern = r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]+$"))] String);

/// The name of a group: some text on one line, without `*` and `?`.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
struct GroupName(
    #[schemars(regex(pattern = r"^(?=.*\S)[^*?\u0000-\u001f\u007f-\u009f]+$"))] String,
);

/// A user id, such as `@ann:example.org`.
#[derive(JsonSchema)]
struct UserId(#[schemars(regex(pattern = r"^@[^:]*:[A-Za-z0-9.:\[\]-]+$"))] String);

/// A user id, such as `@ann:example.org`. Patterns are written as
/// `{ match: .. }`.
#[derive(JsonSchema)]
struct PlainUserId(#[schemars(regex(pattern = r"^@[^:*?]*:[A-Za-z0-9.:\[\]-]+$"))] String);

/// A server name, port included.
#[derive(JsonSchema)]
struct ServerName(#[schemars(regex(pattern = r"^[A-Za-z0-9.:\[\]-]+$"))] String);

/// A glob over server names.
#[derive(JsonSchema)]
struct ServerGlob(#[schemars(regex(pattern = r"^[A-Za-z0-9.:\[\]*?-]+$"))] String);

/// A pattern: two globs with a `:` between.
#[derive(JsonSchema)]
struct UserGlob(#[schemars(regex(pattern = r"^[@*?][^:]*:[A-Za-z0-9.:\[\]*?-]+$"))] String);
