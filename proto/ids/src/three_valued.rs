//! Three-valued logic, in which `None` means unknown.

/// Disjunction: true if any answer is true, false if all are false, otherwise unknown.
///
/// ```
/// use presence_router_ids::any_of;
///
/// assert_eq!(any_of([None, Some(true)]), Some(true));
/// assert_eq!(any_of([None, Some(false)]), None);
/// assert_eq!(any_of([]), Some(false));
/// ```
pub fn any_of(answers: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    decide(answers, true)
}

/// Conjunction: false if any answer is false, true if all are true, otherwise unknown.
pub fn all_of(answers: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    decide(answers, false)
}

/// Returns `decisive` if any answer equals it, its opposite if all answers are the
/// opposite, otherwise unknown.
fn decide(answers: impl IntoIterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let known = answers.into_iter().try_fold(Some(!decisive), |all, one| match one {
        Some(answer) if answer == decisive => Err(()),
        Some(_) => Ok(all),
        None => Ok(None),
    });
    known.unwrap_or(Some(decisive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_decided_by_nothing_but_a_decisive_answer() {
        const ALL: [Option<bool>; 3] = [Some(true), Some(false), None];
        for a in ALL {
            for b in ALL {
                let or = if a == Some(true) || b == Some(true) {
                    Some(true)
                } else {
                    a.zip(b).map(|_| false)
                };
                assert_eq!(any_of([a, b]), or, "{a:?} or {b:?}");
                let not = |answer: Option<bool>| answer.map(|answer| !answer);
                assert_eq!(all_of([a, b]), not(any_of([not(a), not(b)])), "{a:?} and {b:?}");
            }
        }
        assert_eq!(all_of([]), Some(true));
    }
}
