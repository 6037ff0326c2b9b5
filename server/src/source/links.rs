//! Which entries of directories decide where a path leads: the symbolic links on the way.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: u32 = 40;

/// The entries of directories that decide which file a path leads to: every link on
/// the way, and its end; or what is missing first. Absolute, and without links in what
/// leads to each. Announcements of changes name these.
pub fn deciding_entries(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(path) = std::path::absolute(path) else { return found };
    let (mut at, mut links) = (PathBuf::new(), 0);
    let mut rest: VecDeque<OsString> = parts(&path).collect();
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => _ = at.pop(),
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let Ok(about) = next.symlink_metadata() else {
                    found.push(next);
                    break;
                };
                if about.is_symlink() && links < MAX_LINKS {
                    links += 1;
                    if let Ok(target) = next.read_link() {
                        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                            rest.push_front(part);
                        }
                    }
                    found.push(next);
                } else if rest.is_empty() || !about.is_dir() {
                    found.push(next);
                    break;
                } else {
                    at = next;
                }
            }
            // A root, from which all begins anew.
            _ => at = PathBuf::from(part),
        }
    }
    found
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned())
}
