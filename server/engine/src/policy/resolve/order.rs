//! Orders groups so that each comes after the groups that it refers to.
//!
//! Knows numbers only. The search does not recurse, since a chain of references may be as
//! long as the list of groups.

/// Groups in an order in which each refers only to groups before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// All groups. If there are cycles, no such order exists, and the list has some other
    /// order.
    pub(super) groups: Vec<usize>,

    /// Groups that contain themselves: each refers to the next, and the last to the first.
    /// Every cycle passes through a reference that closes one of these lists, so a policy
    /// without an entry here has no cycle.
    pub(super) cycles: Vec<Vec<usize>>,
}

/// The state of a group in the search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the current path, at this index.
    On(usize),
    Done,
}

/// Orders groups by their references.
pub(super) fn order_groups(references: &[Vec<usize>]) -> Order {
    let mut order = Order { groups: Vec::with_capacity(references.len()), cycles: Vec::new() };
    let mut states = vec![State::New; references.len()];
    // The groups from the start of the search to its current place, each with its
    // references that the search has not followed yet.
    let mut path: Vec<(usize, std::slice::Iter<'_, usize>)> = Vec::new();
    let follow = |group: usize| references.get(group).map(|to| (group, to.iter()));

    for start in 0..references.len() {
        if states.get(start) != Some(&State::New) {
            continue;
        }
        path.extend(follow(start));
        set_state(&mut states, start, State::On(0));
        while let Some((group, to)) = path.last_mut() {
            let group = *group;
            let Some(&next) = to.next() else {
                path.pop();
                set_state(&mut states, group, State::Done);
                order.groups.push(group);
                continue;
            };
            match states.get(next) {
                Some(State::New) => {
                    set_state(&mut states, next, State::On(path.len()));
                    path.extend(follow(next));
                }
                Some(State::On(index)) => {
                    let cycle = path.iter().skip(*index).map(|(group, _)| *group);
                    order.cycles.push(cycle.collect());
                }
                Some(State::Done) | None => {}
            }
        }
    }
    order
}

fn set_state(states: &mut [State], group: usize, state: State) {
    if let Some(entry) = states.get_mut(group) {
        *entry = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_every_group_after_those_it_refers_to() {
        let references = [vec![2, 1], vec![2], vec![], vec![0, 2]];
        let order = order_groups(&references);
        assert_eq!(order, Order { groups: vec![2, 1, 0, 3], cycles: vec![] });
    }

    #[test]
    fn names_the_groups_of_each_cycle() {
        let references = [vec![1, 2], vec![0], vec![2, 0], vec![0]];
        let order = order_groups(&references);
        assert_eq!(order.cycles, [vec![0, 1], vec![2], vec![0, 2]]);
        assert_eq!(order.groups.len(), 4);
    }

    #[test]
    fn follows_a_chain_of_any_length() {
        let length = 1_000_000;
        let mut references: Vec<_> = (1..length).map(|next| vec![next]).collect();
        references.push(vec![]);
        assert!(order_groups(&references).groups.into_iter().eq((0..length).rev()));
    }
}
