//! The switches at the top: our own servers, and the traffic between them and other
//! servers that the policy denies. Each switch adds a rule that the author could have
//! written out.

use presence_router_ids::Glob;

use super::fields::Fields;
use super::globs::parse_server_glob;
use super::{REMOVE_ONE, Reader};
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
    /// Reads `ours` and every switch, and adds the rules of the switches.
    pub(super) fn read_switches(
        &mut self,
        keys: &Fields<'_, '_>,
        rules: &mut Vec<Rule>,
    ) -> Vec<ServerName> {
        let names = keys.get("ours").map_or_else(Vec::new, |field| self.read_ours(field.value));
        let ours = server_set(names.iter().map(|name| Glob::new(name.as_str())));
        let others = || all_except(SetExpr::Everyone, ours.clone());
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
                let message =
                    format!("`servers.deny` names {}, one of `ours`", quoted(glob.as_str()));
                let help = "remove it: `local` decides about pairs within `ours`";
                self.add_problem_with_help(ProblemCode::DeniedOwnServer, position, message, help);
            }
            // Pairs within `ours` are never part of it: `local` decides about them.
            let away = match key {
                "allow" => {
                    let ours = names.iter().map(|name| Glob::new(name.as_str()));
                    all_except(SetExpr::Everyone, server_set(ours.chain(globs)))
                }
                _ => all_except(server_set(globs.into_iter()), ours.clone()),
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
                // A glob would make every server with a matching name ours, even one
                // that a stranger registers.
                Err(_) if text.contains(['*', '?']) => {
                    let message = format!("{name} is a glob, not a server name");
                    let help = "write whole server names in `ours`";
                    self.add_problem_with_help(
                        ProblemCode::UnexpectedGlob,
                        item.position,
                        message,
                        help,
                    );
                }
                Err(error) => {
                    self.add_problem_with_help(
                        ProblemCode::NotAServerName,
                        item.position,
                        format!("{name} is not a server name: {error}"),
                        "write a whole server name such as `example.org`",
                    );
                }
                Ok(known) if names.contains(&known) => {
                    self.add_problem_with_help(
                        ProblemCode::DuplicateValue,
                        item.position,
                        format!("the list names server {name} twice"),
                        REMOVE_ONE,
                    );
                }
                Ok(new) => names.push(new),
            }
        }
        names
    }

    fn check_has_ours(&mut self, keys: &Fields<'_, '_>, key: &str, position: Position) {
        if keys.get("ours").is_none() {
            let message = format!("`{key}` needs `ours` beside it");
            let help = "list your own server names, such as `ours: example.org`";
            self.add_problem_with_help(ProblemCode::MissingKey, position, message, help);
        }
    }

    fn read_servers(&mut self, node: &Node<'_>) -> Vec<(&'static str, Position, Vec<Glob>)> {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a map with `allow` or `deny`, found {}", node.type_name());
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
            // An empty `allow` is valid: it allows no server.
            let none = *key == "allow"
                && matches!(&field.value.value, Value::List(items) if items.is_empty());
            let globs = if none {
                Some(Vec::new())
            } else {
                self.read_globs(field.value, "a server glob", parse_server_glob)
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
            let message = format!("rule `{name}` has the name of a switch at the top");
            self.add_problem_with_help(
                ProblemCode::ReservedName,
                rule.position,
                message,
                "rename the rule",
            );
        }
        let (effect, pairs) = (Effect::Deny, Pairs::Product { from, to });
        rules.push(Rule {
            name,
            position,
            effect,
            shadow: false,
            switch: true,
            pairs,
            relation: None,
        });
    }
}

fn server_set(globs: impl Iterator<Item = Glob>) -> SetExpr {
    SetExpr::Server(globs.collect())
}

fn all_except(any: SetExpr, except: SetExpr) -> SetExpr {
    SetExpr::Difference { any: Box::new(any), except: Box::new(except) }
}
