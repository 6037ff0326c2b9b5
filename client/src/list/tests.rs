//! Lists against a tree of the standard library.

use std::collections::BTreeSet;

use super::*;

fn contains(list: &List, user: &str) -> bool {
    list.contains(&HashedUser::new(user))
}

fn sorted(list: &List) -> Vec<&str> {
    let mut users: Vec<_> = list.iter().collect();
    users.sort_unstable();
    users
}

/// Numbers in no order, each several times.
fn numbers() -> impl FnMut() -> u32 {
    let mut seed = 1u32;
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16 & 0xfff
    }
}

#[test]
fn edits_agree_with_a_tree_and_leave_clones_as_they_were() {
    let mut next = numbers();
    let mut next = || format!("@u{}:x", next());
    let first: Vec<_> = (0..3000).map(|_| next()).collect();
    let mut tree: BTreeSet<_> = first.iter().cloned().collect();
    let mut list = List::new(first.iter());
    let mut kept = Vec::new();
    for step in 0..6000 {
        let user = next();
        if step % 3 == 0 || step > 4000 {
            assert_eq!(list.remove(&user), tree.remove(&user), "{user}");
        } else {
            assert_eq!(list.insert(&user), tree.insert(user.clone()), "{user}");
        }
        assert_eq!(contains(&list, &user), tree.contains(&user));
        assert_eq!(list.len(), tree.len());
        if step % 1500 == 0 {
            kept.push((list.clone(), tree.clone()));
        }
    }
    kept.push((list.clone(), tree.clone()));
    for (list, tree) in &kept {
        assert!(sorted(list).into_iter().eq(tree.iter().map(String::as_str)));
        assert!(tree.iter().all(|user| contains(list, user)));
    }
    for user in tree {
        assert!(list.remove(&user));
    }
    assert_eq!(list, List::default());
    assert!(list.insert("@a:x") && contains(&list, "@a:x"));
}

#[test]
fn equality_is_about_users_and_not_about_the_history_of_a_list() {
    let users: Vec<_> = (0..2000).map(|number| format!("@u{number}:x")).collect();
    let built = List::new(users.iter());
    let mut grown = List::default();
    for user in users.iter().rev() {
        assert!(grown.insert(user));
    }
    assert!(grown.shared.chunks.len() != built.shared.chunks.len(), "no other history");
    assert_eq!(built, grown);
    assert!(grown.remove("@u7:x") && grown.insert("@other:x"));
    assert_ne!(built, grown);
    assert!(grown.remove("@other:x"));
    assert_ne!(built, grown);
}

#[test]
fn a_list_grows_by_splitting_its_chunks_and_an_edit_copies_one_of_them() {
    let mut list = List::default();
    for number in 0..10_000 {
        list.insert(&format!("@u{number}:x"));
    }
    let chunks = list.shared.chunks.len();
    assert!(chunks.is_power_of_two() && 10_000 <= 2 * CHUNK * chunks, "{chunks}");
    let largest = list.shared.chunks.iter().map(|chunk| chunk.iter().count()).max().unwrap();
    assert!(largest < 3 * CHUNK, "the hash spreads users badly: {largest}");
    let clone = list.clone();
    assert!(list.remove("@u1:x") && list.insert("@u1:x"));
    let pairs = list.shared.chunks.iter().zip(&clone.shared.chunks);
    assert_eq!(pairs.filter(|(ours, theirs)| !Arc::ptr_eq(ours, theirs)).count(), 1);
    assert!(!list.insert("@u2:x") && !list.remove("@absent:x"));
}

#[test]
fn removed_users_leave_no_text_behind() {
    let mut list = List::new(["@a:x"].into_iter());
    for number in 0..100_000 {
        let user = format!("@u{number}:x");
        assert!(list.insert(&user) && list.remove(&user));
    }
    assert!(format!("{list:?}").len() < 1000, "{list:?}");
}
