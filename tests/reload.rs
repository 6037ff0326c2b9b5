//! Loading a policy again: what counts as a change, and that a broken policy,
//! members file or test leaves the active one where it is.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use presence_router_engine::unstable::policy::wording::count;
use presence_router_engine::{Policy, Position, Problem, ProblemCode};
use presence_router_server::live::{Live, LoadError, LoadOptions, Loaded, Source};
use presence_router_server::revision::Epoch;
use tempfile::TempDir;

const POLICY: &str = "
groups:
  staff: { members_file: lists/staff.txt }
rules:
  - name: staff see each other
    allow: { within: staff }
tests:
  - { sender: '@ann:example.org', reaches: '@joe:example.org' }
";
const STAFF: &str = "@ann:example.org\n@joe:example.org\n";

/// A daemon's policy, and its folder.
struct World {
    live: Live,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lists")).unwrap();
        write(folder.path(), "policy.yaml", POLICY);
        write(folder.path(), "lists/staff.txt", STAFF);
        let source = Source::File(folder.path().join("policy.yaml"));
        Self { live: Live::start(source, Epoch::random().unwrap()).unwrap(), folder }
    }

    /// How many users the active policy names.
    fn named(&self) -> usize {
        self.live.current().snapshot.users().count()
    }

    fn reload(&self, file: &str, text: impl AsRef<[u8]>) -> Result<Loaded, Arc<LoadError>> {
        write(self.folder.path(), file, text);
        self.live.reload(LoadOptions::AT_ONCE)
    }

    /// The refusal of a load, without the name of the folder; nothing else has
    /// changed.
    fn refused(&self) -> String {
        let (revision, named) = (self.live.current().revision, self.named());
        let error = self.live.reload(LoadOptions::AT_ONCE).unwrap_err().to_string();
        assert_eq!((self.live.current().revision, self.named()), (revision, named));
        let error = error.strip_prefix("the policy has problems:\n").unwrap_or(&error);
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn write(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(file), text).unwrap();
}

#[test]
fn a_changed_members_file_is_a_changed_policy() {
    let world = World::new();
    let first = world.live.current().revision;
    assert_eq!(world.named(), 2);
    assert_eq!(world.live.reload(LoadOptions::AT_ONCE).unwrap(), Loaded::Unchanged(first));

    let more = format!("{STAFF}@sue:example.org\n");
    let Loaded::Replaced(second, different) = world.reload("lists/staff.txt", more).unwrap() else {
        panic!("a change was missed");
    };
    assert_eq!((world.named(), world.live.current().revision), (3, second));
    assert_eq!(different.to_string(), "groups changed: 1 (`staff`); 1 test passed");
    assert_eq!(world.live.reload(LoadOptions::AT_ONCE).unwrap(), Loaded::Unchanged(second));

    // The same members by other words are another text all the same.
    let Loaded::Replaced(..) = world.reload("policy.yaml", format!("{POLICY}# more\n")).unwrap()
    else {
        panic!("a change was missed");
    };
}

/// Compares the line of one problem by its begin and its code.
#[track_caller]
fn assert_refused(line: &str, begin: &str, code: &str) {
    assert!(line.starts_with(begin) && line.ends_with(&format!(" [{code}]")), "{line}");
}

#[test]
fn a_broken_members_file_changes_nothing() {
    let world = World::new();
    write(world.folder.path(), "lists/staff.txt", format!("{STAFF}bob\n"));
    assert_refused(&world.refused(), "lists/staff.txt:3:1: ", "not-a-user-id");
    let file = world.folder.path().join("lists/staff.txt");
    std::fs::remove_file(&file).unwrap();
    let missing = world.refused();
    let begins = "policy.yaml:3:26: cannot read the members file `lists/staff.txt`: ";
    assert!(missing.starts_with(begins), "{missing}");
    std::fs::create_dir(&file).unwrap();
    let why = |why: &str| format!("{begins}{why} (tried `lists/staff.txt`)");
    assert_refused(&world.refused(), &why("the path is a directory"), "members-file-unreadable");
    std::fs::remove_dir(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    assert_refused(
        &world.refused(),
        &why("the path is not a regular file"),
        "members-file-unreadable",
    );
}

/// From a disk, and wrong in its last line. Ten million lines in the long form.
#[test]
fn a_long_members_file_is_read_to_its_end() {
    let long = std::env::var_os("PRESENCE_ROUTER_CASES").is_some();
    let lines = if long { 10_000_000 } else { 100_000 };
    let world = World::new();
    let file = world.folder.path().join("lists/staff.txt");
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    for i in 2..lines {
        writeln!(out, "@user-{i}:example.org").unwrap();
    }
    writeln!(out, "@ann:example.org\n  bob").unwrap();
    out.into_inner().unwrap();
    assert_refused(&world.refused(), &format!("lists/staff.txt:{lines}:3: "), "not-a-user-id");
}

#[test]
fn a_policy_whose_tests_fail_changes_nothing() {
    let world = World::new();
    write(world.folder.path(), "lists/staff.txt", "@ann:example.org\n");
    assert_refused(&world.refused(), "policy.yaml:8:44: ", "test-failed");
    // And is taken as soon as it holds again.
    assert!(matches!(world.reload("policy.yaml", "rules: []\n"), Ok(Loaded::Replaced(..))));
}

#[test]
fn a_policy_that_is_no_file_names_no_others() {
    let problems = Policy::parse("sent", POLICY.as_bytes()).unwrap_err();
    assert_eq!(count(problems.list.len(), "problem"), "1 problem");
    let line = problems.to_string();
    let why = ": only a policy file can refer to other files; list the users in the policy itself";
    assert!(line.ends_with(&format!("{why} [members-file-unreadable]")), "{line}");
}

#[test]
fn files_that_change_during_a_load_are_a_problem_of_their_own() {
    let world = World::new();
    let revision = world.live.current().revision;
    write(world.folder.path(), "policy.yaml", "rules: []\n");
    let options = LoadOptions { were_complete: &|_| false, ..LoadOptions::AT_ONCE };
    let error = world.live.reload(options).unwrap_err();
    let [Problem { code, file, position, message, help }] =
        error.problems().into_owned().try_into().unwrap();
    assert_eq!((code, file, position), (ProblemCode::FilesIncomplete, None, Position::default()));
    assert_eq!(message, "another program wrote the policy's files while the daemon read them");
    assert_eq!(help, "load the policy again when its files are complete");
    assert_eq!(world.live.current().revision, revision);
    // The load is not a failed one: the policy itself was not looked at.
    assert!(world.live.subscribe_failed_load().borrow().is_none());
}
