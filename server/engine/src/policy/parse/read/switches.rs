//! The switches at the top: which servers are ours, and what does not pass
//! between them and others. Each stands for a rule that anybody could have
//! written out.

use presence_router_ids::Glob;

use super::Reader;
use super::fields::Fields;
use super::globs::server_glob;
use crate::policy::document::{Pairs, Rule, SetExpr};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Effect;
use presence_router_ids::ServerName;

/// The switches that are on or off.
const SWITCHES: &[&str] = &["inbound", "local", "outbound"];
const SERVERS_KEYS: &[&str] = &["allow", "deny"];

impl Reader<'_> {
    /// Reads `ours` and every switch, and adds the rules that they stand for.
    pub(super) fn read_switches(
        &mut self,
        keys: &Fields<'_, '_>,
        rules: &mut Vec<Rule>,
    ) -> Vec<ServerName> {
        let names = keys.get("ours").map_or_else(Vec::new, |field| self.read_ours(field.value));
        let ours = server(names.iter().map(|name| Glob::new(name.as_str())));
        let others = || except(SetExpr::Everyone, ours.clone());
        for key in SWITCHES {
            let Some(field) = keys.get(key) else { continue };
            self.check_has_ours(keys, key, field.position);
            if self.read_bool(field.value) != Some(false) {
                continue;
            }
            let (from, to) = match *key {
                "inbound" => (others(), ours.clone()),
                "outbound" => (ours.clone(), others()),
                _ => (ours.clone(), ours.clone()),
            };
            self.add_switch(rules, format!("{key}: false"), field.position, from, to);
        }
        let Some(field) = keys.get("servers") else { return names };
        self.check_has_ours(keys, "servers", field.position);
        for (key, position, globs) in self.read_servers(field.value) {
            let of_ours = |glob: &&Glob| names.iter().any(|name| name.as_str() == glob.as_str());
            if let Some(glob) = globs.iter().find(of_ours).filter(|_| key == "deny") {
                let message = format!(
                    "{} is one of `ours`; what passes between users of ours is a matter of `local`",
                    quoted(glob.as_str())
                );
                self.add_problem(ProblemCode::DeniedOwnServer, position, message);
            }
            // Never what passes between users of ours: `local` is about that.
            let away = match key {
                "allow" => {
                    let ours = names.iter().map(|name| Glob::new(name.as_str()));
                    except(SetExpr::Everyone, server(ours.chain(globs)))
                }
                _ => except(server(globs.into_iter()), ours.clone()),
            };
            let name = |direction: &str| format!("servers.{key}, {direction}");
            self.add_switch(rules, name("inbound"), position, away.clone(), ours.clone());
            self.add_switch(rules, name("outbound"), position, ours.clone(), away);
        }
        names
    }

    fn read_ours(&mut self, node: &Node<'_>) -> Vec<ServerName> {
        let mut names: Vec<ServerName> = Vec::new();
        for item in self.read_one_or_list(node, "server names") {
            let Some(text) = self.read_text(item, "a server name") else { continue };
            let name = quoted(text);
            match ServerName::parse(text) {
                // Not a glob: whoever registers a name that fits would be ours.
                Err(_) if text.contains(['*', '?']) => {
                    let message = format!("{name} is a glob; `ours` takes whole server names");
                    self.add_problem(ProblemCode::UnexpectedGlob, item.position, message);
                }
                Err(error) => {
                    self.add_problem(
                        ProblemCode::NotAServerName,
                        item.position,
                        format!("{name} is not a server name: {error}"),
                    );
                }
                Ok(known) if names.contains(&known) => {
                    self.add_problem(
                        ProblemCode::DuplicateValue,
                        item.position,
                        format!("server name {name} is named twice"),
                    );
                }
                Ok(new) => names.push(new),
            }
        }
        names
    }

    fn check_has_ours(&mut self, keys: &Fields<'_, '_>, key: &str, position: Position) {
        if keys.get("ours").is_none() {
            let message = format!(
                "`{key}` needs `ours` beside it, the server names that it is about, such as `ours: example.org`"
            );
            self.add_problem(ProblemCode::MissingKey, position, message);
        }
    }

    fn read_servers(&mut self, node: &Node<'_>) -> Vec<(&'static str, Position, Vec<Glob>)> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map with `allow` or `deny`, found {}", node.kind());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return Vec::new();
        };
        let keys = self.read_fields(entries, SERVERS_KEYS, &[]);
        if !keys.has_known() && !keys.has_unknown() {
            self.add_problem(
                ProblemCode::MissingKey,
                node.position,
                "`servers` needs `allow` or `deny`",
            );
        }
        let mut lists = Vec::new();
        for key in SERVERS_KEYS {
            let Some(field) = keys.get(key) else { continue };
            // An empty list of those allowed is a list like any other.
            let none = *key == "allow"
                && matches!(&field.value.value, Value::List(items) if items.is_empty());
            let globs = if none {
                Some(Vec::new())
            } else {
                self.read_globs(field.value, "a server glob", server_glob)
            };
            lists.extend(globs.map(|globs| (*key, field.position, globs)));
        }
        lists
    }

    fn add_switch(
        &mut self,
        rules: &mut Vec<Rule>,
        name: String,
        position: Position,
        from: SetExpr,
        to: SetExpr,
    ) {
        if let Some(rule) = rules.iter().find(|rule| rule.name == name) {
            let message =
                format!("rule `{name}` has the name of a switch at the top; give it another");
            self.add_problem(ProblemCode::ReservedName, rule.position, message);
        }
        let (effect, pairs) = (Effect::Deny, Pairs::Product { from, to });
        rules.push(Rule { name, position, effect, shadow: false, switch: true, pairs });
    }
}

fn server(globs: impl Iterator<Item = Glob>) -> SetExpr {
    SetExpr::Server(globs.collect())
}

fn except(any: SetExpr, except: SetExpr) -> SetExpr {
    SetExpr::Difference { any: Box::new(any), except: Box::new(except) }
}
