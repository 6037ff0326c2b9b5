//! The section `log`.

use serde::Deserialize;

use super::values;
use crate::logging::{DEFAULT_FILTER, LogFormat};

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The format of a line.
    #[serde(deserialize_with = "values::read_log_format")]
    pub format: LogFormat,

    /// A level, or a filter such as `info,h2=debug`. The daemon logs user ids at `debug`
    /// and below only. A filter that does not name `h2` shows only errors of `h2`.
    pub filter: String,
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: DEFAULT_FILTER.to_owned() }
    }
}
