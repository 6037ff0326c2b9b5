//! The policy's files on the disk: noticing that they change, and waiting until what
//! they hold is complete.
//!
//! To read in this order: [`stamp`] tells one state of a file from another, [`watcher`]
//! hears of changes from the operating system and leaves them in an [`inbox`], and
//! [`settling`] decides when the changed files may be read. [`progress`] is for the log
//! while they are. Nothing here knows what the files are good for.

pub mod inbox;
pub mod progress;
pub mod settling;
pub mod stamp;
pub mod watcher;
