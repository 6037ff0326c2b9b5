//! Runs tests of who sees whom, and of what is hidden. Each user that a test names has
//! one failure at most, which names the first member of the subject that it is about.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use super::subjects::Subjects;
use crate::policy::Policy;
use crate::policy::analyse::answer::Answer;
use crate::policy::analyse::explain::{Explanation, explain_document};
use crate::policy::document::side_key;
use crate::policy::document::{Document, Named, SetExpr, Test};
use crate::policy::problem::{Position, Problem};
use crate::policy::wording::{count, quoted};
use crate::routing::model::ruleset::{Fields, Hide};
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::ClassId;

/// Pairs that one test may be about.
const MAX_PAIRS: usize = 1_000_000;

/// Runs tests by one snapshot.
pub(super) struct PairTests<'p> {
    policy: &'p Policy,
    snapshot: &'p Snapshot,
    /// True if tests give a user to a group of the directory, which has this index.
    given: &'p dyn Fn(usize, &str) -> bool,
    /// Follows the number of a line.
    origin: &'p str,
    reasons_left: &'p Cell<usize>,
    subjects: Subjects<'p>,
    listed: OnceCell<RoaringBitmap>,
}

/// The failures of a test, for each user that it names.
struct Results<'t, 'u> {
    test: &'t Test,
    /// The users of `reaches` or `sees`, `only` and `not`. True: the pair must be visible.
    pairs: Vec<(&'t Named, bool, Failing<'u, ()>)>,
    /// For `only`: another listed user, by number, and how many more there are.
    only: Failing<'u, (u32, u64)>,
    /// For `hides`, the users of `reaches` or `sees` and `only`, with the fields that are
    /// hidden.
    hides: Vec<(&'t Named, Failing<'u, String>)>,
}

/// The members of a subject for whom something does not hold: the first, with what was
/// found, and how many others.
struct Failing<'u, T> {
    first: Option<(&'u str, T)>,
    others: usize,
}

/// The hidden fields, each with the presence values with which it is shown.
type Hidden<'h> = BTreeMap<&'static str, BTreeSet<&'h str>>;

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

    /// Notes what of a test does not hold.
    pub(super) fn run(&self, test: &Test, problems: &mut Vec<Problem>) {
        let members = self.subjects.members(&test.subject);
        let key = side_key(test.side);
        if members.is_empty() {
            let message = format!("test fails: `{key}` holds nobody, so that nothing is tested");
            problems.push(Problem::new(test.subject_position, message));
            return;
        }
        let mut results = Results::new(test);
        let (users, others) = (members.len(), results.pairs.len().max(1));
        if users.saturating_mul(others) > MAX_PAIRS {
            let message = format!(
                "the test is about {users} users of `{key}`, and so about more than {MAX_PAIRS} pairs; test some of them"
            );
            problems.push(Problem::new(test.subject_position, message));
            return;
        }
        let mut classes: BTreeMap<Option<ClassId>, Vec<&str>> = BTreeMap::new();
        for user in &members {
            classes.entry(self.snapshot.users().class_of(user)).or_default().push(user);
        }
        for (class, users) in classes {
            // Listed users of one class have the same answer, others each their own.
            let alike = if class.is_some() { users.len() } else { 1 };
            for users in users.chunks(alike) {
                self.check_alike(users, &mut results);
            }
        }
        self.report_failures(&results, problems);
    }

    /// Checks everything for users who have one answer.
    fn check_alike<'u>(&self, users: &[&'u str], results: &mut Results<'_, 'u>) {
        let Some(first) = users.first() else { return };
        let test = results.test;
        let answer = Answer::new(self.snapshot, first, test.side);
        // A set may hold a user that the test names, who is then no pair with themselves.
        // A test about one user that names the same one is a mistake.
        let is_one = matches!(test.subject, SetExpr::User(_));
        for (other, wanted, failing) in &mut results.pairs {
            let sees = answer.contains(&other.id);
            for user in users.iter().filter(|user| is_one || **user != other.id) {
                if (sees && **user != other.id) != *wanted {
                    failing.add(user, || ());
                }
            }
        }
        if let Some(hides) = &test.hides {
            let wanted = effective_hides(hides.hides.iter());
            for (other, failing) in &mut results.hides {
                let is = effective_hides(answer.hides_of(&other.id));
                if answer.contains(&other.id) && is != wanted {
                    for user in users.iter().filter(|user| **user != other.id) {
                        failing.add(user, || describe_hidden(&is));
                    }
                }
            }
        }
        if let Some(only) = &test.only {
            let user_table = self.snapshot.users();
            let number = |user: &Named| user_table.number(&user.id);
            let listed = self.listed.get_or_init(|| self.snapshot.listed_users());
            let named: RoaringBitmap = only.users.iter().filter_map(number).collect();
            let more = (answer.numbered() & listed) - named;
            for user in users {
                let own = user_table.number(user);
                let mut others = more.iter().filter(|other| Some(*other) != own);
                if let Some(other) = others.next() {
                    let is_in = own.is_some_and(|own| more.contains(own));
                    results.only.add(user, || (other, more.len() - 1 - u64::from(is_in)));
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
            let verb = verb(test.side, !wanted, failing.others > 0);
            let subject = subject(first, failing.others);
            let message = format!("{subject} {verb} {}", quoted(&other.id));
            let pair = pair(test.side, first, &other.id);
            problems.push(self.problem(other.position, message, pair, Explanation::reason));
        }
        if let (Some(only), Some((first, (other, more)))) = (&test.only, results.only.first) {
            let other = String::from(self.snapshot.users().id(other));
            let verb = verb(test.side, true, results.only.others > 0);
            let subject = subject(first, results.only.others);
            let others = match usize::try_from(more).unwrap_or(usize::MAX) {
                0 => format!("{}, who is", quoted(&other)),
                more => {
                    format!("{} and {}, who are", quoted(&other), count(more, "more listed user"))
                }
            };
            let message = format!("{subject} {verb} {others} not in `only`");
            let pair = pair(test.side, first, &other);
            problems.push(self.problem(only.position, message, pair, Explanation::reason));
        }
        for (other, failing) in &results.hides {
            let (Some(hides), Some((first, found))) = (&test.hides, &failing.first) else {
                continue;
            };
            let [sender, recipient] = pair(test.side, first, &other.id);
            let wanted = describe_hidden(&effective_hides(hides.hides.iter()));
            let also = match failing.others {
                0 => String::new(),
                others => format!(" (and {others} more of `{}`)", side_key(test.side)),
            };
            let (from, to) = (quoted(sender), quoted(recipient));
            let message = format!("hidden of {from} from {to} is {found}, not {wanted}{also}");
            let pair = [sender, recipient];
            problems.push(self.problem(hides.position, message, pair, Explanation::hide_reason));
        }
    }

    fn problem(
        &self,
        position: Position,
        message: String,
        [sender, recipient]: [&str; 2],
        reason: fn(&Explanation, &Document, &str) -> String,
    ) -> Problem {
        let mut message = format!("test fails: {message}");
        if let Some(left) = self.reasons_left.get().checked_sub(1) {
            self.reasons_left.set(left);
            let Policy { document, groups, .. } = self.policy;
            let explained = explain_document(document, groups, &self.given, sender, recipient);
            message.push_str(": ");
            message.push_str(&reason(&explained, document, self.origin));
        }
        Problem::new(position, message)
    }
}

// === impl Results ===

impl<'t> Results<'t, '_> {
    fn new(test: &'t Test) -> Self {
        let only = test.only.iter().flat_map(|only| &only.users);
        let reached = test.yes.iter().chain(only);
        let wanted = reached.clone().map(|other| (other, true, Failing::default()));
        let unwanted = test.not.iter().map(|other| (other, false, Failing::default()));
        Self {
            test,
            pairs: wanted.chain(unwanted).collect(),
            only: Failing::default(),
            hides: reached.map(|other| (other, Failing::default())).collect(),
        }
    }
}

// === impl Failing ===

impl<T> Default for Failing<'_, T> {
    fn default() -> Self {
        Self { first: None, others: 0 }
    }
}

impl<'u, T> Failing<'u, T> {
    fn add(&mut self, user: &'u str, found: impl FnOnce() -> T) {
        let before = self.first.as_ref().map(|(first, _)| *first);
        self.others += usize::from(before.is_some());
        if before.is_none_or(|before| user < before) {
            self.first = Some((user, found()));
        }
    }
}

/// Sender and recipient.
fn pair<'u>(side: Side, user: &'u str, other: &'u str) -> [&'u str; 2] {
    match side {
        Side::Sender => [user, other],
        Side::Recipient => [other, user],
    }
}

/// The verb of a pair's state, for one subject or several.
fn verb(side: Side, does: bool, are_several: bool) -> &'static str {
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

/// Several hides add up: a field is shown only with a presence with which none of them
/// hides it.
fn effective_hides<'h>(hides: impl Iterator<Item = &'h Hide>) -> Hidden<'h> {
    let mut hidden = Hidden::new();
    for Hide { fields, unless } in hides {
        let Fields { presence, status_msg, last_active_ts, currently_active } = *fields;
        let fields = [
            ("currently_active", currently_active),
            ("last_active_ts", last_active_ts),
            ("presence", presence),
            ("status_msg", status_msg),
        ];
        let unless: BTreeSet<&str> = unless.iter().map(|value| &**value).collect();
        for (field, _) in fields.iter().filter(|(_, is_hidden)| *is_hidden) {
            hidden
                .entry(field)
                .and_modify(|shown| shown.retain(|value| unless.contains(value)))
                .or_insert_with(|| unless.clone());
        }
    }
    hidden
}

/// Fields, each with what it is shown with.
fn describe_hidden(hidden: &Hidden<'_>) -> String {
    let fields = hidden.iter().map(|(field, shown)| {
        let values: Vec<String> = shown.iter().map(|value| quoted(value)).collect();
        match values.as_slice() {
            [] => format!("`{field}`"),
            values => format!("`{field}` (unless {})", values.join(", ")),
        }
    });
    match fields.collect::<Vec<_>>().as_slice() {
        [] => "nothing".to_owned(),
        fields => fields.join(", "),
    }
}
