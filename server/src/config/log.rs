//! The section `log`.

use serde::Deserialize;

use super::values;
use crate::logging::{DEFAULT_FILTER, LogFormat};

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How.
    #[serde(deserialize_with = "values::log_format")]
    pub format: LogFormat,

    /// What: a level, or a filter such as `info,h2=debug`. User ids are written
    /// at debug only. A filter that does not name `h2` shows only its errors.
    pub filter: String,
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: DEFAULT_FILTER.to_owned() }
    }
}
