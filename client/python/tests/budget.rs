//! The limit of work in one turn of the reactor.

#[path = "../src/budget.rs"]
mod budget;

use budget::{Budget, ELEMENTS_PER_TURN, work_of_evaluation, work_of_user};
use presence_router_client::{
    Set,
    v1::{SetDifference, SetExpression, SetList, UserList, set_expression::Expression},
};

#[test]
fn a_budget_ends_after_so_many_elements() {
    let mut budget = Budget::new(2);
    assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    assert_eq!(budget.left(), 0);
}

#[test]
fn many_elements_are_spent_together_or_not_at_all() {
    let mut budget = Budget::of_turn();
    assert!(!budget.spend_many(ELEMENTS_PER_TURN + 1));
    assert_eq!(budget.left(), ELEMENTS_PER_TURN);
    assert!(budget.spend_many(ELEMENTS_PER_TURN - 1));
    assert!(!budget.spend_many(2));
    assert_eq!(budget.left(), 1);
    assert!(budget.spend_many(1));
    assert!(budget.spend_many(0));
    assert!(!budget.spend());
}

#[test]
fn work_that_cannot_be_interrupted_takes_what_is_left() {
    let mut budget = Budget::new(5);
    budget.spend_up_to(3);
    assert_eq!(budget.left(), 2);
    budget.spend_up_to(usize::MAX);
    assert_eq!(budget.left(), 0);
    budget.add(4);
    assert_eq!(budget.left(), 4);
}

fn of(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn set(expression: SetExpression) -> Set {
    Set::new(Some(&expression)).unwrap_or_else(|why| panic!("{why}"))
}

fn users(number: usize) -> SetExpression {
    let user_ids = (0..number).map(|user| format!("@u{user}:x")).collect();
    of(Expression::Users(UserList { user_ids }))
}

fn everyone_but(except: SetExpression) -> SetExpression {
    let any = Some(Box::new(of(Expression::Server("*".into()))));
    let except = Some(Box::new(except));
    of(Expression::Difference(Box::new(SetDifference { any, except })))
}

fn servers(number: usize) -> SetExpression {
    let sets = (0..number).map(|server| of(Expression::Server(format!("s{server}")))).collect();
    of(Expression::AnyOf(SetList { sets }))
}

#[test]
fn a_look_at_a_user_costs_more_if_there_are_many_patterns() {
    let list = set(users(1000));
    assert_eq!(work_of_user(&list, [].into_iter()), 1);
    let patterns = set(servers(800));
    assert!((100..=110).contains(&work_of_user(&patterns, [].into_iter())));
    assert!(work_of_user(&list, [&patterns, &patterns].into_iter()) > 200);
}

#[test]
fn an_evaluation_costs_the_listed_users_and_the_coverage_of_each_server() {
    let none = || [].into_iter();
    let list = set(users(1000));
    // Servers have keys because of open sets only.
    assert_eq!(work_of_evaluation(&list, none(), 500), 1000);
    assert_eq!(work_of_evaluation(&list, [&list].into_iter(), 500), 2000);
    let exceptions = set(everyone_but(users(8000)));
    assert_eq!(work_of_evaluation(&exceptions, none(), 0), 0);
    assert!(work_of_evaluation(&exceptions, none(), 200) > 200 * 1000);
    assert!(work_of_evaluation(&set(servers(2000)), none(), 2000) > 2000 * 200);
}
