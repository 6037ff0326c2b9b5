//! Texts of Python's objects.

use pyo3::{prelude::*, types::PyString};

/// Returns a text. `None`: the value is not a text, or not valid Unicode.
pub(crate) fn read_str<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    value.cast::<PyString>().ok()?.to_str().ok()
}
