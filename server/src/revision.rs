//! Revisions: positions in the history of the policy and the directory.

use std::fmt;
use std::str::FromStr;

/// A position in a history. Its text is `epoch:number`, which is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The history. Without a store, every start of the daemon begins a new history.
    pub epoch: Epoch,
    /// The position, from 1.
    pub number: u64,
}

/// The name of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// The error for a text that is not a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a revision that a daemon gave out")]
pub struct NotARevision;

// === impl Epoch ===

impl Epoch {
    /// Creates the name of a new history. No client has met it before.
    ///
    /// # Errors
    ///
    /// The operating system has no random numbers.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// Returns the name as a number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

// === impl Revision ===

impl Revision {
    /// The first revision of a history.
    pub fn first(epoch: Epoch) -> Self {
        Self { epoch, number: 1 }
    }

    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.epoch.0, self.number)
    }
}

impl FromStr for Revision {
    type Err = NotARevision;

    /// Accepts exactly the output of `Display`: one revision has one text.
    fn from_str(text: &str) -> Result<Self, NotARevision> {
        let (epoch, number) = text.split_once(':').ok_or(NotARevision)?;
        let revision = Self {
            epoch: Epoch(u64::from_str_radix(epoch, 16).map_err(|_| NotARevision)?),
            number: number.parse().map_err(|_| NotARevision)?,
        };
        if revision.to_string() == text { Ok(revision) } else { Err(NotARevision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let revision = Revision { epoch: Epoch(0xab), number: 7 };
        assert_eq!(revision.to_string(), "00000000000000ab:7");
        assert_eq!("00000000000000ab:7".parse(), Ok(revision));
        for text in [
            "",
            ":",
            "ab:7",
            "00000000000000AB:7",
            "00000000000000ab:07",
            "00000000000000ab:+7",
            "00000000000000ab:-1",
            "00000000000000ab:7 ",
            "00000000000000ab",
            "zz:1",
            "00000000000000ab:99999999999999999999",
        ] {
            assert_eq!(text.parse::<Revision>(), Err(NotARevision), "{text:?}");
        }
    }
}
