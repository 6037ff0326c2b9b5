//! Takes sets out of the sight of Python's garbage collector, which would search all 100,000
//! senders of a set for references again and again: some milliseconds each time, in which the
//! reactor does nothing else.

use pyo3::{prelude::*, types::PySet};

/// Makes the garbage collector ignore a set. The set must never contain anything but strings,
/// which refer to nothing: it cannot be part of a cycle then. It is freed as any object when
/// nothing refers to it. A copy of it is not ignored.
#[expect(unsafe_code, reason = "a function of Python's stable ABI that PyO3 does not wrap")]
pub(crate) fn untrack_set_of_strings(set: &Bound<'_, PySet>) {
    // SAFETY: The GIL is held, the pointer is that of a set, and all sets are objects of the
    // garbage collector. The function may be called for an object that is ignored already, as
    // the deallocation of the set will do.
    unsafe { pyo3::ffi::PyObject_GC_UnTrack(set.as_ptr().cast()) }
}
