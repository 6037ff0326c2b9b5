//! The recipes of `docs/recipes.md`: each passes its own tests, and fails one of them without
//! any of its switches, rules, relations and conditions. So every part of a recipe has an
//! effect, and its tests show the effect.

use serde_json::{Map, Value, json};

use super::{examples, page};
use crate::policy::problem::ProblemCode;
use crate::policy::{Policy, schema};

/// A recipe that lacks a part.
struct Incomplete {
    part: String,
    recipe: Value,
}

/// Returns a recipe without each of its parts in turn.
fn without_each_part(recipe: &Value) -> Vec<Incomplete> {
    let mut all = Vec::new();
    let mut without = |part: String, remove: &dyn Fn(&mut Value)| {
        let mut recipe = recipe.clone();
        remove(&mut recipe);
        all.push(Incomplete { part, recipe });
    };
    let keys = recipe.as_object().expect("a map").keys();
    for switch in keys.filter(|key| ["inbound", "local", "outbound", "servers"].contains(&&***key))
    {
        without(switch.clone(), &|recipe| drop(map(recipe).remove(switch)));
    }
    for (index, rule) in recipe["rules"].as_array().expect("a list").iter().enumerate() {
        let name = &rule["name"];
        without(name.to_string(), &|recipe| {
            recipe["rules"].as_array_mut().expect("a list").remove(index);
        });
        for effect in ["allow", "deny", "hide"] {
            let Some(relation) = rule[effect].get("share_room") else { continue };
            without(format!("`share_room` of {name}"), &|recipe| {
                let pairs = map(&mut recipe["rules"][index][effect]);
                pairs.remove("share_room");
                for side in ["from", "to"] {
                    pairs.entry(side).or_insert(json!("everyone"));
                }
            });
            for condition in relation.as_object().into_iter().flat_map(Map::keys) {
                without(format!("`{condition}` of {name}"), &|recipe| {
                    let relation = &mut recipe["rules"][index][effect]["share_room"];
                    map(relation).remove(condition);
                    *relation = still_valid(relation);
                });
            }
        }
    }
    all
}

fn map(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("a map")
}

/// Returns the value of `share_room` that says the same as a map which may lack its last
/// condition, or the number that `not_counting` belongs to.
fn still_valid(relation: &Value) -> Value {
    let mut conditions = relation.as_object().expect("a map").clone();
    if !["at_least", "at_most"].iter().any(|bound| conditions.contains_key(*bound)) {
        conditions.remove("not_counting");
    }
    if conditions.is_empty() { json!(true) } else { Value::Object(conditions) }
}

#[test]
fn every_recipe_passes_its_tests_and_needs_each_of_its_parts() {
    let page = page("../docs/recipes.md");
    let recipes = examples(&page);
    assert_eq!(recipes.len(), 11, "those that are there");
    let schema = jsonschema::validator_for(&schema::schema()).expect("it is a schema");
    for text in recipes {
        let policy = Policy::parse("recipe.yaml", text.as_bytes());
        let policy = policy.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        assert!(policy.warnings.is_empty(), "{text}\n{:?}", policy.warnings);
        let recipe: Value = serde_saphyr::from_str(text).expect(text);
        assert!(schema.is_valid(&recipe), "{text}");
        for Incomplete { part, recipe } in without_each_part(&recipe) {
            let Err(found) = Policy::parse("recipe.yaml", recipe.to_string().as_bytes()) else {
                panic!("every test passes without {part}\n{text}")
            };
            let is_failed = found.list.iter().all(|one| one.code == ProblemCode::TestFailed);
            assert!(is_failed, "{part}\n{text}\n{found}");
        }
    }
}
