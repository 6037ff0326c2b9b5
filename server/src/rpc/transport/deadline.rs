//! The longest time that the caller of a call waits: the header `grpc-timeout`.
//!
//! The daemon has no such limit itself: a call without the header has no deadline.

use std::time::Duration;

use tokio::time::Instant;
use tonic::codegen::http::HeaderMap;

const HEADER: &str = "grpc-timeout";

/// The number of digits that the gRPC specification allows.
const MAX_DIGITS: usize = 8;

/// The tolerance for calls that are cancelled shortly before their deadline. The clock of the
/// caller starts when it sends the call, so that it expires earlier than the daemon's: by tens of
/// milliseconds on a busy machine, where deadlines pass most. The tolerance is two milliseconds,
/// plus a quarter of the timeout up to a quarter of a second.
const SLACK: Duration = Duration::from_millis(2);
const SLACK_DIVISOR: u32 = 4;
const MAX_SLACK: Duration = Duration::from_millis(250);

/// The time at which a caller gives up, and the length of its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rpc) struct Deadline {
    at: Instant,
    timeout: Duration,
}

// === impl Deadline ===

impl Deadline {
    /// Returns the deadline of a call that begins now. `None` if the caller set none, or an
    /// invalid text, which gRPC servers ignore.
    pub(in crate::rpc) fn from_headers(headers: &HeaderMap, now: Instant) -> Option<Self> {
        let timeout = parse_timeout(headers.get(HEADER)?.as_bytes())?;
        // A time beyond the range of the clock is no deadline.
        now.checked_add(timeout).map(|at| Self { at, timeout })
    }

    /// The time of the deadline.
    pub(in crate::rpc) fn instant(self) -> Instant {
        self.at
    }

    /// The length of the wait, as the caller set it.
    pub(in crate::rpc) fn timeout(self) -> Duration {
        self.timeout
    }

    /// Returns true if a call that the caller ends now counts as ended by its deadline.
    pub(in crate::rpc) fn is_due(self, now: Instant) -> bool {
        let slack = SLACK + (self.timeout / SLACK_DIVISOR).min(MAX_SLACK);
        now + slack >= self.at
    }
}

/// Reads a number of at most eight digits and a unit.
fn parse_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let valid = (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| valid)?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 60 * 60)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_specification_is_read() {
        for (text, want) in [
            ("3H", Duration::from_secs(3 * 60 * 60)),
            ("2M", Duration::from_secs(120)),
            ("42S", Duration::from_secs(42)),
            ("200m", Duration::from_millis(200)),
            ("7u", Duration::from_micros(7)),
            ("82n", Duration::from_nanos(82)),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 60 * 60)),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Some(want), "{text}");
        }
    }

    #[test]
    fn an_invalid_text_is_no_deadline() {
        for text in ["", "S", "5", "5s", "+5S", "-5S", " 5S", "5 S", "1.5S", "123456789S", "abcS"] {
            assert_eq!(parse_timeout(text.as_bytes()), None, "{text:?}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(Deadline::from_headers(&headers, Instant::now()), None);
        headers.insert(HEADER, "soon".parse().unwrap());
        assert_eq!(Deadline::from_headers(&headers, Instant::now()), None);
    }

    #[test]
    fn a_caller_that_ends_a_call_at_its_deadline_need_not_be_exact() {
        let begun = Instant::now();
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "200m".parse().unwrap());
        let deadline = Deadline::from_headers(&headers, begun).unwrap();
        let after = |millis| begun + Duration::from_millis(millis);
        assert!(!deadline.is_due(after(100)));
        assert!(!deadline.is_due(after(147)));
        assert!(deadline.is_due(after(148)));
        assert!(deadline.is_due(after(200)));
        assert!(deadline.is_due(after(5000)));
    }
}
