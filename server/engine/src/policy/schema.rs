//! What a policy looks like, as types from which the JSON Schema for editors is
//! made. Built with the tests alone: the daemon serves the schema as a file, and
//! reads policies by `read`, whose messages no schema could give.
//!
//! So the two could drift. `tests/schema.rs` keeps them together: it changes
//! valid policies in every place, and both must agree about each result.
//! Comments here are what an editor shows.

#![expect(dead_code, reason = "only the shape of these types is of use")]

mod room;
mod set;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use self::room::RoomRule;
use self::set::Set;

/// The schema of policies. Draft 7, which every editor knows.
pub(super) fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Policy>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.into()
}

/// A key may be left away, but not be there without a value.
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
                    // Beside a reference, draft 7 looks at nothing else.
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

/// Who may see whose Matrix presence.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    title = "Policy of presence-router",
    extend("dependencies" = {
        "inbound": ["ours"], "local": ["ours"], "outbound": ["ours"], "servers": ["ours"]
    })
)]
struct Policy {
    /// Rules, in any order: allows add up, and a deny wins over all of them.
    rules: Vec<Rule>,
    /// Named sets of users.
    groups: Option<BTreeMap<GroupName, Group>>,
    /// Rules about rooms that users create, for homeservers that ask.
    rooms: Option<Vec<RoomRule>>,
    /// What is to hold. A policy whose tests fail is not loaded.
    tests: Option<Vec<Test>>,
    /// Server names that the switches call ours, in full.
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

/// A rule: what it does, and to which pairs.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Rule {
    Allow(Allow),
    Deny(Deny),
    Hide(HideRule),
}

/// Lets senders be seen by recipients.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Allow {
    /// What messages call the rule. No other rule has it.
    name: Name,
    /// `true`: the rule takes no part, and is tried out only.
    shadow: Option<bool>,
    /// Which pairs may be visible.
    allow: Pairs,
}

/// Outranks every rule that allows.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Deny {
    /// What messages call the rule. No other rule has it.
    name: Name,
    /// `true`: the rule takes no part, and is tried out only.
    shadow: Option<bool>,
    /// Which pairs are not visible.
    deny: Pairs,
}

/// Hides fields of a presence from those who may see it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideRule {
    /// What messages call the rule. No other rule has it.
    name: Name,
    /// `true`: the rule takes no part, and is tried out only.
    shadow: Option<bool>,
    /// Which pairs, and what.
    hide: Hide,
}

/// Which pairs of sender and recipient a rule matches.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Pairs {
    Product(Product),
    Within(Within),
}

/// Every sender of the one set with every recipient of the other.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Product {
    /// Senders, whose presence it is.
    from: Set,
    /// Recipients, who may see it.
    to: Set,
}

/// Members of a group with each other.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Within {
    /// A glob over names of groups; `*` crosses `/`.
    within: Name,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Hide {
    Product(HideProduct),
    Within(HideWithin),
}

/// Hides from every recipient of the one set what senders of the other show.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideProduct {
    /// Senders, whose presence it is.
    from: Set,
    /// Recipients, who see less of it.
    to: Set,
    /// What they do not see.
    fields: OneOrSeveral<Field>,
    /// When they see all of it.
    unless: Option<Unless>,
}

/// Hides from members of a group what other members show.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HideWithin {
    /// A glob over names of groups; `*` crosses `/`.
    within: Name,
    /// What they do not see.
    fields: OneOrSeveral<Field>,
    /// When they see all of it.
    unless: Option<Unless>,
}

/// A field of a presence. `presence`: shown as offline, without status text and
/// activity.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Field {
    CurrentlyActive,
    LastActiveTs,
    Presence,
    StatusMsg,
}

/// When everything is shown all the same.
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

/// Filled at run time, and empty until then.
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

/// Who is to see a sender.
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
    /// Members for groups of `directory: true`, in this test only.
    given: Option<Given>,
    /// The sender, or a set that lists some.
    sender: Subject,
    /// Who must see the sender.
    reaches: Option<OneOrMany<UserId>>,
    /// The listed users who must see the sender; no other may. `[]`: none may.
    only: Option<OneOrAny<UserId>>,
    /// Who must not.
    not: Option<OneOrMany<UserId>>,
    /// The fields that are hidden from all who must see the sender, no less and no more.
    hides: Option<TestHides>,
}

/// Whom a recipient is to see.
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
    /// Members for groups of `directory: true`, in this test only.
    given: Option<Given>,
    /// The recipient, or a set that lists some.
    recipient: Subject,
    /// Whom the recipient must see.
    sees: Option<OneOrMany<UserId>>,
    /// The listed users whom the recipient must see, and no other. `[]`: none.
    only: Option<OneOrAny<UserId>>,
    /// Whom not.
    not: Option<OneOrMany<UserId>>,
    /// The fields that are hidden of all whom the recipient must see, no less and no more.
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
    /// Which. `[]`: none.
    fields: OneOrNone<Field>,
    /// With which presence they are shown.
    unless: Option<Unless>,
}

/// What the directory would hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Given {
    /// Members of groups.
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
