//! What of an answer can be used: what this version cannot be sure to understand
//! is no verdict.

use presence_router_client::{
    Set, SetError,
    v1::{self, set_expression::Expression},
};

/// An answer that cannot be carried out. It is no verdict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("it hides something without saying from whom, or of whom")]
    Hides,
    #[error("it names a state that was not asked about")]
    Index,
    #[error("it holds a set of a kind that this version does not know")]
    UnknownSet,
}

/// Makes a set ready. One that is not said, which is what a kind of a later
/// contract looks like, must not be taken for nobody: what else the answer says
/// may be said with a view to it.
pub(crate) fn known_set(expression: Option<&v1::SetExpression>) -> Result<Set, Unusable> {
    if is_known(expression) { Ok(Set::new(expression)?) } else { Err(Unusable::UnknownSet) }
}

fn is_known(expression: Option<&v1::SetExpression>) -> bool {
    match expression.and_then(|expression| expression.expression.as_ref()) {
        None => false,
        Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
            list.sets.iter().all(|set| is_known(Some(set)))
        }
        Some(Expression::Difference(both)) => {
            is_known(both.any.as_deref()) && is_known(both.except.as_deref())
        }
        Some(_) => true,
    }
}
