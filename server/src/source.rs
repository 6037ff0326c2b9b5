//! The policy's files on the disk: reading them, noticing that they change, and waiting
//! until their content is complete.
//!
//! To read in this order: [`files`] reads them, and [`stamp`] tells one state of a file
//! from another; [`watcher`] hears of changes from the operating system and leaves them in
//! an [`inbox`], and [`settling`] decides when the changed files may be read. [`progress`]
//! is for the log while they are. Nothing here knows which policy is active, or whether
//! the files hold a valid one.

pub mod files;
pub mod inbox;
pub mod progress;
pub mod settling;
pub mod stamp;
pub mod watcher;
