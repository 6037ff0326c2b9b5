use super::*;

const FILE: &str = "/etc/router/hidden.txt";
const MILLISECOND: Duration = Duration::from_millis(1);

/// Changed files, and a clock that the test sets.
struct World {
    settling: Settling,
    files: tempfile::TempDir,
    start: Instant,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        let files = tempfile::tempdir().unwrap();
        Self { settling: Settling::default(), files, start, now: start }
    }

    fn announce(&mut self, path: &str, change: Change) {
        let by_path = BTreeMap::from([(path.into(), change)]);
        self.settling.note_changes(Changes { by_path, unknown: false }, self.now);
    }

    fn find_difference(&mut self) {
        let decided_by = vec!["/etc/router/link".into(), FILE.into()];
        self.settling.note_difference(Path::new("hidden.txt"), decided_by, self.now);
    }

    /// Advances the clock to the next step other than a wait. Returns the step and its time in
    /// milliseconds after the start.
    fn go_on(&mut self) -> (Step, u128) {
        loop {
            match self.settling.next_step(self.now) {
                Step::Wait(until) => {
                    assert!(until > self.now, "it would be asked again and again");
                    self.now = until;
                }
                step => return (step, (self.now - self.start).as_millis()),
            }
        }
    }

    fn compare(&mut self, content: &str) {
        // The same content is the same file, with the same times.
        let path = self.files.path().join(content);
        if !path.exists() {
            std::fs::write(&path, content).unwrap();
        }
        self.settling.compare_contents(Fingerprint::read([path]), self.now);
    }
}

fn load(unclosed: &[&str]) -> Step {
    Step::Load(unclosed.iter().map(PathBuf::from).collect())
}

#[test]
fn a_closed_file_is_read_as_soon_as_it_is_quiet() {
    let mut world = World::new();
    assert_eq!(world.go_on().0, Step::Idle);
    world.announce(FILE, Change::Unfinished);
    world.now += 100 * MILLISECOND;
    world.announce(FILE, Change::Complete);
    assert_eq!(world.go_on(), (load(&[]), 350));
    world.settling.clear();
    assert_eq!(world.go_on().0, Step::Idle);
}

#[test]
fn complete_files_are_not_waited_for_without_end() {
    let mut world = World::new();
    for _ in 0..15 {
        world.announce(FILE, Change::Complete);
        world.now += 200 * MILLISECOND;
    }
    assert_eq!(world.go_on().0, load(&[]));
    let mut world = World::new();
    world.announce(FILE, Change::Complete);
    for _ in 0..9 {
        world.now += 200 * MILLISECOND;
        world.announce(FILE, Change::Complete);
    }
    assert_eq!(world.go_on(), (load(&[]), MAX_WAIT.as_millis()));
}

/// The reported case for which this module exists: a file is emptied, half written a second
/// later, and closed after another second.
#[test]
fn a_half_written_file_is_not_read() {
    let mut world = World::new();
    world.announce(FILE, Change::Unfinished);
    for _ in 0..2 {
        assert_eq!(world.go_on().0, Step::Compare, "nothing is read in between");
        world.compare("half");
        world.now = world.now.max(world.start + Duration::from_secs(1));
        world.announce(FILE, Change::Unfinished);
        world.announce(FILE, Change::Touched);
    }
    world.now = world.start + Duration::from_secs(2);
    // The completion of another file does not complete this one.
    world.announce("/etc/router/policy.yaml", Change::Complete);
    assert_eq!(world.go_on().0, Step::Compare);
    world.announce(FILE, Change::Complete);
    assert_eq!(world.go_on(), (load(&[]), 2250), "it has waited long enough");
}

#[test]
fn a_file_that_nobody_closes_is_read_once_it_stays_the_same() {
    let mut world = World::new();
    world.announce(FILE, Change::Unfinished);
    assert_eq!(world.go_on(), (Step::Compare, 250));
    world.compare("one");
    assert_eq!(world.go_on(), (Step::Compare, 10_250));
    world.compare("two");
    assert_eq!(world.go_on(), (Step::Report(vec![FILE.into()]), 15_000));
    assert_eq!(world.go_on(), (Step::Compare, 20_250), "it is reported once");
    world.compare("two");
    assert_eq!(world.go_on(), (load(&[FILE]), 20_250));
}

#[test]
fn a_write_while_it_is_waited_for_begins_the_wait_anew() {
    let mut world = World::new();
    world.announce(FILE, Change::Unfinished);
    assert_eq!(world.go_on().0, Step::Compare);
    world.compare("one");
    world.now += 9 * Duration::from_secs(1);
    world.announce(FILE, Change::Unfinished);
    assert_eq!(world.go_on(), (Step::Compare, 9_500));
    world.compare("one");
    assert_eq!(world.go_on().0, Step::Report(vec![FILE.into()]));
    assert_eq!(world.go_on(), (Step::Compare, 19_500));
    world.compare("one");
    assert_eq!(world.go_on().0, load(&[FILE]));
}

#[test]
fn a_change_without_an_announcement_must_stay_the_same() {
    let mut world = World::new();
    world.find_difference();
    assert_eq!(world.go_on(), (Step::Compare, 250));
    world.compare("one");
    // Polls find the same difference again meanwhile.
    world.now += Duration::from_secs(5);
    world.find_difference();
    assert_eq!(world.go_on(), (Step::Compare, 10_250));
    world.compare("one");
    assert_eq!(world.go_on().0, load(&[]), "no writer is known who did not close it");
}

/// A poll may find a change before or after the system announces it.
#[test]
fn an_announced_change_is_not_a_silent_one() {
    for path in [FILE, "/etc/router/link"] {
        let mut world = World::new();
        world.find_difference();
        world.announce(path, Change::Complete);
        world.find_difference();
        assert_eq!(world.go_on(), (load(&[]), 250), "{path}");
    }
    // None of these announces the change of this file: the change of another file, the change
    // of a directory, which a program may be filling, and an unknown change.
    let mut world = World::new();
    for path in ["/etc/router/other.txt", "/etc/router"] {
        world.announce(path, Change::Complete);
    }
    world.settling.note_changes(Changes { unknown: true, ..Changes::default() }, world.now);
    world.find_difference();
    assert_eq!(world.go_on().0, Step::Compare);
}
