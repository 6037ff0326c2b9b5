//! Runs tests of visibility and of hidden fields. Each user that a test names has at most one
//! failure, which names the first member of the subject that fails.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashSet};

use roaring::RoaringBitmap;

use super::hidden_fields::{describe_hidden, effective_hides};
use super::results::Results;
use super::subjects::Subjects;
use crate::policy::Policy;
use crate::policy::analyse::answer::Answer;
use crate::policy::analyse::explain::{Explanation, explain_document};
use crate::policy::document::{Document, Named, SetExpr, Test, side_key};
use crate::policy::given_rooms::{GivenRooms, RememberedRooms};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::{count, quoted};
use crate::routing::model::ruleset::Relation;
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::ClassId;

/// Maximum pairs of one test.
const MAX_PAIRS: usize = 1_000_000;

/// Runs tests on one snapshot.
pub(super) struct PairTests<'p> {
    policy: &'p Policy,
    snapshot: &'p Snapshot,
    /// Returns true if tests give a user to the group of the directory with this index.
    given: &'p dyn Fn(usize, &str) -> bool,
    /// The text after the number of a line, such as ` of the policy`.
    origin: &'p str,
    reasons_left: &'p Cell<usize>,
    subjects: Subjects<'p>,
    listed: OnceCell<RoaringBitmap>,
}

// === impl PairTests ===

impl<'p> PairTests<'p> {
    pub(super) fn new(
        policy: &'p Policy,
        snapshot: &'p Snapshot,
        given: &'p dyn Fn(usize, &str) -> bool,
        origin: &'p str,
        reasons_left: &'p Cell<usize>,
    ) -> Self {
        let (subjects, listed) = (Subjects::new(policy, snapshot), OnceCell::new());
        Self { policy, snapshot, given, origin, reasons_left, subjects, listed }
    }

    /// Runs a test, and adds a problem for each failure.
    pub(super) fn run_test(&self, test: &Test, problems: &mut Vec<Problem>) {
        let members = self.subjects.members_of(&test.subject);
        let key = side_key(test.side);
        if members.is_empty() {
            let message =
                format!("test fails: `{key}` contains no users, so that nothing is tested");
            problems.push(
                Problem::new(ProblemCode::EmptyTestSubject, test.subject_position, message)
                    .with_help("give members by `given`, or name a user"),
            );
            return;
        }
        let rooms = RememberedRooms::new(&test.rooms);
        let mut results = Results::new(test, self.unlisted_members(test));
        let others = results.pairs.len() + results.unlisted_members.len();
        let (users, others) = (members.len(), others.max(1));
        if users.saturating_mul(others) > MAX_PAIRS {
            let message = format!(
                "the test covers {users} users of `{key}`, and so more than {MAX_PAIRS} pairs"
            );
            problems.push(
                Problem::new(ProblemCode::TestTooLarge, test.subject_position, message)
                    .with_help("test some of the users"),
            );
            return;
        }
        let mut classes: BTreeMap<Option<ClassId>, Vec<&str>> = BTreeMap::new();
        for user in &members {
            classes.entry(self.snapshot.users().class_of(user)).or_default().push(user);
        }
        for (class, users) in classes {
            // Listed users of one class have the same answer; each other user has its own.
            let alike = if class.is_some() { users.len() } else { 1 };
            for users in users.chunks(alike) {
                self.check_class(users, &rooms, &mut results);
            }
        }
        self.report_failures(&results, problems);
    }

    /// Returns the listed users, by number.
    fn listed_users(&self) -> &RoaringBitmap {
        self.listed.get_or_init(|| self.snapshot.listed_users())
    }

    /// Returns the members of a test's given rooms whom neither the policy nor `only` lists, in
    /// their order. They count as listed in this test. Empty without `only`.
    fn unlisted_members<'t>(&self, test: &'t Test) -> Vec<&'t str> {
        let Some(only) = &test.only else { return Vec::new() };
        let is_listed = |user: &str| {
            let number = self.snapshot.users().number(user);
            number.is_some_and(|number| self.listed_users().contains(number))
        };
        let named: HashSet<&str> = only.users.iter().map(|user| user.id.as_str()).collect();
        let members = test.rooms.members();
        let unlisted = members.filter(|member| !named.contains(member) && !is_listed(member));
        let mut unlisted: Vec<&str> = unlisted.collect();
        unlisted.sort_unstable();
        unlisted
    }

    /// Checks all conditions of a test for users with the same answer.
    fn check_class<'u>(
        &self,
        users: &[&'u str],
        rooms: &RememberedRooms<'_>,
        results: &mut Results<'_, 'u>,
    ) {
        let Some(first) = users.first() else { return };
        let answer = Answer::new(self.snapshot, first, results.test.side);
        // Users of a class share different rooms, except those who are in none.
        let depends_on_rooms =
            |user: &&str| !answer.is_unconditional() && rooms.given_rooms().is_in_any_room(user);
        let (apart, alike): (Vec<&str>, Vec<&str>) =
            users.iter().copied().partition(depends_on_rooms);
        for users in apart.chunks(1).chain([alike.as_slice()]) {
            self.check_alike(users, &answer, rooms, results);
        }
    }

    /// Checks all conditions of a test for users with the same answer and the same rooms.
    fn check_alike<'u>(
        &self,
        users: &[&'u str],
        answer: &Answer<'_>,
        rooms: &RememberedRooms<'_>,
        results: &mut Results<'_, 'u>,
    ) {
        let Some(first) = users.first() else { return };
        let test = results.test;
        let holds_for =
            |other: &str, relation: &Relation| rooms.relation_holds(first, other, relation);
        // A set may contain a user that the test names; this user forms no pair with itself.
        // A test of one user that names the same user is a mistake.
        let is_one = matches!(test.subject, SetExpr::User(_));
        for (other, wanted, failing) in &mut results.pairs {
            let sees = answer.contains(&other.id, |relation| holds_for(&other.id, relation));
            for user in users.iter().filter(|user| is_one || **user != other.id) {
                if (sees && **user != other.id) != *wanted {
                    failing.add_user(user, || ());
                }
            }
        }
        if let Some(hides) = &test.hides {
            let wanted = effective_hides(hides.hides.iter());
            for (other, failing) in &mut results.hides {
                let holds = |relation: &Relation| holds_for(&other.id, relation);
                let is = effective_hides(answer.hides_of(&other.id, holds));
                if answer.contains(&other.id, holds) && is != wanted {
                    for user in users.iter().filter(|user| **user != other.id) {
                        failing.add_user(user, || describe_hidden(&is));
                    }
                }
            }
        }
        if let Some(only) = &test.only {
            let user_table = self.snapshot.users();
            let number = |user: &Named| user_table.number(&user.id);
            let listed = self.listed_users();
            let named: RoaringBitmap = only.users.iter().filter_map(number).collect();
            let mates = rooms.given_rooms().room_mates(first);
            let more = (answer.numbered_counterparts(mates, holds_for) & listed) - named;
            let unlisted =
                results.unlisted_members.iter().copied().filter(|member| {
                    answer.contains(member, |relation| holds_for(member, relation))
                });
            let unlisted: Vec<&str> = unlisted.collect();
            for user in users {
                let own = user_table.number(user);
                let is_in = own.is_some_and(|own| more.contains(own));
                let listed = more.iter().find(|other| Some(*other) != own);
                let mut unlisted = unlisted.iter().copied().filter(|member| member != user);
                let members = unlisted.clone().count();
                let listed = listed.map(|other| String::from(user_table.id(other)));
                if let Some(other) = listed.or_else(|| unlisted.next().map(str::to_owned)) {
                    let users = usize::try_from(more.len() - u64::from(is_in));
                    let more = users.unwrap_or(usize::MAX).saturating_add(members) - 1;
                    results.only.add_user(user, || (other, more));
                }
            }
        }
    }

    fn report_failures(&self, results: &Results<'_, '_>, problems: &mut Vec<Problem>) {
        let test = results.test;
        let subject = |first: &str, others: usize| match others {
            0 => quoted(first),
            others => format!("{} and {others} more of `{}`", quoted(first), side_key(test.side)),
        };
        for (other, wanted, failing) in &results.pairs {
            let Some((first, ())) = failing.first else { continue };
            let verb = visibility_verb(test.side, !wanted, failing.others > 0);
            let subject = subject(first, failing.others);
            let message = format!("{subject} {verb} {}", quoted(&other.id));
            let pair = order_pair(test.side, first, &other.id);
            let rooms = &test.rooms;
            let problem =
                self.failure_problem(other.position, message, pair, rooms, Explanation::reason);
            problems.push(problem);
        }
        if let (Some(only), Some((first, (other, more)))) = (&test.only, &results.only.first) {
            let verb = visibility_verb(test.side, true, results.only.others > 0);
            let subject = subject(first, results.only.others);
            let others = match *more {
                0 => format!("{}, who is", quoted(other)),
                more => {
                    format!("{} and {}, who are", quoted(other), count(more, "more listed user"))
                }
            };
            let message = format!("{subject} {verb} {others} not in `only`");
            let pair = order_pair(test.side, first, other);
            let rooms = &test.rooms;
            let problem =
                self.failure_problem(only.position, message, pair, rooms, Explanation::reason);
            problems.push(problem);
        }
        for (other, failing) in &results.hides {
            let (Some(hides), Some((first, found))) = (&test.hides, &failing.first) else {
                continue;
            };
            let [sender, recipient] = order_pair(test.side, first, &other.id);
            let wanted = describe_hidden(&effective_hides(hides.hides.iter()));
            let also = match failing.others {
                0 => String::new(),
                others => format!(" (and {others} more of `{}` fail)", side_key(test.side)),
            };
            let (from, to) = (quoted(sender), quoted(recipient));
            let message = format!(
                "the policy hides {found} of {from} from {to}, but the test expects {wanted}{also}"
            );
            let pair = [sender, recipient];
            problems.push(self.failure_problem(
                hides.position,
                message,
                pair,
                &test.rooms,
                Explanation::hide_reason,
            ));
        }
    }

    fn failure_problem(
        &self,
        position: Position,
        message: String,
        [sender, recipient]: [&str; 2],
        rooms: &GivenRooms,
        reason: fn(&Explanation, &Document, &str) -> String,
    ) -> Problem {
        let mut message = format!("test fails: {message}");
        if let Some(left) = self.reasons_left.get().checked_sub(1) {
            self.reasons_left.set(left);
            let Policy { document, groups, .. } = self.policy;
            let explained =
                explain_document(document, groups, &self.given, Some(rooms), sender, recipient);
            message.push_str(": ");
            message.push_str(&reason(&explained, document, self.origin));
        }
        Problem::new(ProblemCode::TestFailed, position, message)
    }
}

/// Returns the sender and the recipient of a pair of the subject and another user.
fn order_pair<'u>(side: Side, user: &'u str, other: &'u str) -> [&'u str; 2] {
    match side {
        Side::Sender => [user, other],
        Side::Recipient => [other, user],
    }
}

/// Returns the verb for a pair's visibility, for one subject or several.
fn visibility_verb(side: Side, does: bool, are_several: bool) -> &'static str {
    match (side, does, are_several) {
        (Side::Sender, true, false) => "reaches",
        (Side::Sender, true, true) => "reach",
        (Side::Sender, false, false) => "does not reach",
        (Side::Sender, false, true) => "do not reach",
        (Side::Recipient, true, false) => "sees",
        (Side::Recipient, true, true) => "see",
        (Side::Recipient, false, false) => "does not see",
        (Side::Recipient, false, true) => "do not see",
    }
}
