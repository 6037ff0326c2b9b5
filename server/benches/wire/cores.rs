//! Keeps processes on cores of their own. Elsewhere than on Linux they wander.

/// A core for servers and one for the client: the same if there is one only.
pub(crate) struct Cores {
    pub(crate) servers: usize,
    pub(crate) client: usize,
}

#[cfg(target_os = "linux")]
impl Cores {
    pub(crate) fn choose() -> Self {
        use rustix::thread::{CpuSet, sched_getaffinity};
        let allowed = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let client = cores.next().unwrap();
        Self { servers: cores.next_back().unwrap_or(client), client }
    }

    /// Keeps this thread to a core, and all that it starts from now on.
    pub(crate) fn stay_on(core: usize) {
        let mut only = rustix::thread::CpuSet::new();
        only.set(core);
        rustix::thread::sched_setaffinity(None, &only).unwrap();
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn choose() -> Self {
        Self { servers: 0, client: 0 }
    }

    pub(crate) fn stay_on(_: usize) {}
}
