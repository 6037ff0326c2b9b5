//! Definitions, as naive as can be: who is in a set, what an id is.

use arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

/// Deeper than a policy may go, so that the bound is met too.
const MOST_DEPTH: usize = 34;

/// Bytes that make collisions likely, and every one that means something.
const LETTERS: &[u8] = b"ab-.1:*?[]";

const SERVERS: [&str; 4] = ["a.b", "b", "a.b:1", "[::1]:1"];

/// Groups, and a rule from one set to another.
pub struct World {
    pub groups: Vec<Set>,
    pub from: Set,
    pub to: Set,
    others: Vec<String>,
}

/// A set as a policy has it. A group refers to groups before it.
pub enum Set {
    User(String),
    Everyone,
    Server(Vec<String>),
    Match(Vec<String>),
    Group(usize),
    Union(Vec<Set>),
    AllOf(Vec<Set>),
    Except(Box<Set>, Box<Set>),
}

/// Reads a world from bytes.
pub fn world(bytes: &mut Unstructured<'_>) -> Result<World> {
    let mut groups = Vec::new();
    for _ in 0..bytes.int_in_range(0..=3)? {
        let set = set(bytes, groups.len(), 1)?;
        groups.push(set);
    }
    let (from, to) = (set(bytes, groups.len(), 1)?, set(bytes, groups.len(), 1)?);
    let others = (0..bytes.int_in_range(1..=4)?).map(|_| user(bytes)).collect::<Result<_>>()?;
    Ok(World { groups, from, to, others })
}

/// The name of a group.
pub fn group(number: usize) -> String {
    format!("g{number}")
}

fn set(bytes: &mut Unstructured<'_>, groups: usize, depth: usize) -> Result<Set> {
    let form =
        if depth >= MOST_DEPTH { bytes.int_in_range(0..=4)? } else { bytes.int_in_range(0..=7)? };
    let some = |bytes: &mut Unstructured<'_>, least: usize| -> Result<Vec<Set>> {
        let many = bytes.int_in_range(least..=3)?;
        (0..many).map(|_| set(bytes, groups, depth + 1)).collect()
    };
    Ok(match form {
        1 => Set::Everyone,
        2 => Set::Server(list(bytes, |bytes| text(bytes, 4))?),
        3 => {
            Set::Match(list(bytes, |bytes| Ok(format!("{}:{}", text(bytes, 4)?, text(bytes, 4)?)))?)
        }
        4 if groups > 0 => Set::Group(bytes.choose_index(groups)?),
        5 => Set::Union(some(bytes, 0)?),
        6 => Set::AllOf(some(bytes, 1)?),
        7 => {
            let any = set(bytes, groups, depth + 1)?;
            Set::Except(Box::new(any), Box::new(set(bytes, groups, depth + 1)?))
        }
        _ => Set::User(user(bytes)?),
    })
}

fn list(
    bytes: &mut Unstructured<'_>,
    one: fn(&mut Unstructured<'_>) -> Result<String>,
) -> Result<Vec<String>> {
    (0..bytes.int_in_range(1..=2)?).map(|_| one(bytes)).collect()
}

fn user(bytes: &mut Unstructured<'_>) -> Result<String> {
    let name = text(bytes, 2)?.replace([':', '*', '?'], "");
    Ok(format!("@{name}:{}", bytes.choose(&SERVERS)?))
}

fn text(bytes: &mut Unstructured<'_>, most: usize) -> Result<String> {
    let many = bytes.int_in_range(0..=most)?;
    (0..many).map(|_| bytes.choose(LETTERS).map(|letter| char::from(*letter))).collect()
}

impl World {
    /// Whom to ask about: some whom sets name, and others.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        let mut users: Vec<&str> = self.others.iter().map(String::as_str).collect();
        for set in self.groups.iter().chain([&self.from, &self.to]) {
            set.name(&mut users);
        }
        users.into_iter().take(12)
    }
}

impl Set {
    fn name<'s>(&'s self, users: &mut Vec<&'s str>) {
        match self {
            Self::User(id) => users.push(id),
            Self::Union(sets) | Self::AllOf(sets) => sets.iter().for_each(|set| set.name(users)),
            Self::Except(any, except) => {
                any.name(users);
                except.name(users);
            }
            _ => {}
        }
    }

    pub fn json(&self) -> Value {
        let all = |sets: &[Self]| sets.iter().map(Self::json).collect::<Value>();
        match self {
            Self::User(id) => json!(id),
            Self::Everyone => json!("everyone"),
            Self::Server(globs) => json!({ "server": globs }),
            Self::Match(globs) => json!({ "match": globs }),
            Self::Group(number) => json!({ "group": group(*number) }),
            Self::Union(sets) => all(sets),
            Self::AllOf(sets) => json!({ "all_of": all(sets) }),
            Self::Except(any, except) => json!({ "any": any.json(), "except": except.json() }),
        }
    }

    pub fn holds(&self, groups: &[Self], user: &str) -> bool {
        let matches = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
        let (name, server) = user.split_once(':').unwrap();
        match self {
            Self::User(id) => id == user,
            Self::Everyone => true,
            Self::Server(globs) => globs.iter().any(|glob| matches(glob, server)),
            Self::Match(globs) => globs.iter().any(|glob| {
                let (first, second) = glob.split_once(':').unwrap();
                matches(first, name) && matches(second, server)
            }),
            Self::Group(number) => groups[*number].holds(groups, user),
            Self::Union(sets) => sets.iter().any(|set| set.holds(groups, user)),
            Self::AllOf(sets) => sets.iter().all(|set| set.holds(groups, user)),
            Self::Except(any, except) => any.holds(groups, user) && !except.holds(groups, user),
        }
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => {
            glob(rest, text) || (!text.is_empty() && glob(pattern, &text[1..]))
        }
        (_, []) => false,
        ([b'?', rest @ ..], [_, tail @ ..]) => glob(rest, tail),
        ([want, rest @ ..], [have, tail @ ..]) => want == have && glob(rest, tail),
    }
}

/// Matrix specification, appendices, "User Identifiers", with historical ones.
pub fn is_user_id(text: &str) -> bool {
    let Some((name, server)) = text.split_once(':') else { return false };
    text.len() <= 255 && name.starts_with('@') && !name.contains('\0') && is_server_name(server)
}

/// Matrix specification, appendices, "Server Name".
pub fn is_server_name(text: &str) -> bool {
    let is_port =
        |port: &str| (1..=5).contains(&port.len()) && port.chars().all(|c| c.is_ascii_digit());
    let splits = text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let with_port = splits.filter(|(_, port)| is_port(port)).any(|(host, _)| is_host(host));
    text.len() <= 253 && (is_host(text) || with_port)
}

fn is_host(text: &str) -> bool {
    let name = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.');
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.chars().all(name),
    }
}
