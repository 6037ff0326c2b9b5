//! The limit of work in one turn of the reactor.

#[path = "../src/budget.rs"]
mod budget;

use budget::{Budget, ELEMENTS_PER_TURN};

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
