//! The directory entries that decide which file a path leads to, such as symbolic links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The number of links that the kernel follows.
const MAX_LINKS: u32 = 40;

/// Returns the directory entries that decide which file a path leads to: every link on the
/// way and the final entry, or the first missing entry. The paths are absolute, and their
/// parent directories contain no links. The system's announcements of changes use these paths.
pub fn deciding_entries(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(path) = std::path::absolute(path) else { return found };
    let (mut directory, mut links) = (PathBuf::new(), 0);
    let mut rest: VecDeque<OsString> = path_parts(&path).collect();
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => _ = directory.pop(),
            Some(Component::Normal(name)) => {
                let next = directory.join(name);
                let Ok(about) = next.symlink_metadata() else {
                    found.push(next);
                    break;
                };
                if about.is_symlink() && links < MAX_LINKS {
                    links += 1;
                    if let Ok(target) = next.read_link() {
                        for part in path_parts(&target).collect::<Vec<_>>().into_iter().rev() {
                            rest.push_front(part);
                        }
                    }
                    found.push(next);
                } else if rest.is_empty() || !about.is_dir() {
                    found.push(next);
                    break;
                } else {
                    directory = next;
                }
            }
            // A root: the path starts again there.
            _ => directory = PathBuf::from(part),
        }
    }
    found
}

fn path_parts(path: &Path) -> impl Iterator<Item = OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned())
}
