//! Writes the lines about calls: decides their level and target, and omits lines over the budget.

use std::sync::atomic::Ordering::Relaxed;

use tonic::Code;
use tracing::field::display;
use tracing::{debug, info};

use super::call_record::{CallRecord, Sent};
use super::statistics::Outcome;
use super::{CALLS, PROBES, REFUSED, StreamStats, UnaryStats, is_of_contract};

/// Most characters of a method's name in a line, since a caller may send any name.
const MAX_NAME: usize = 100;

/// The path of a call, in its two parts.
struct Name<'p> {
    service: &'p str,
    method: &'p str,
}

/// Writes the line about a call that is over, and counts the call.
fn write_end(record: &CallRecord) {
    let name = Name::of_call(record);
    let not_sent = Sent { code: Code::Cancelled, why: None };
    let sent = record.sent.get().unwrap_or(&not_sent);
    if !is_of_contract(name.service) {
        write_probe(record, &name, sent);
    } else if record.is_stream.load(Relaxed) {
        record.connection.log.statistics.count_stream_ended();
        write_stream_end(record, &name, sent);
    } else {
        let outcome = Outcome::from(sent.code);
        record.connection.log.statistics.count_call(outcome);
        write_call(record, &name, sent, outcome);
    }
}

// In this file, since a record does not know lines.
impl Drop for CallRecord {
    fn drop(&mut self) {
        write_end(self);
    }
}

/// Writes the line about the beginning of a stream.
pub(super) fn write_stream_begin(record: &CallRecord) {
    let name = Name::of_call(record);
    debug!(target: CALLS, method = name.method, peer = %record.connection.peer, "stream began");
}

fn write_probe(record: &CallRecord, name: &Name<'_>, sent: &Sent) {
    let Name { service, method } = name;
    let (peer, micros) = (&record.connection.peer, elapsed_micros(record));
    let Sent { code, why } = sent;
    debug!(target: PROBES, method, service, %peer, ?code, why, micros, "call");
}

fn write_call(record: &CallRecord, name: &Name<'_>, sent: &Sent, outcome: Outcome) {
    let method = name.method;
    let (peer, micros) = (&record.connection.peer, elapsed_micros(record));
    let Sent { code, why } = sent;
    match (outcome, record.unary_stats.get()) {
        (Outcome::Ok, Some(UnaryStats { asked, answered, revision })) => {
            debug!(target: CALLS, method, %peer, ?code, asked, answered, %revision, micros, "call");
        }
        (Outcome::Ok, None) => debug!(target: CALLS, method, %peer, ?code, micros, "call"),
        _ if record.connection.admits_refusal() => {
            info!(target: REFUSED, method, %peer, ?code, why, micros, "call");
        }
        _ => {}
    }
}

fn write_stream_end(record: &CallRecord, name: &Name<'_>, sent: &Sent) {
    // Clients end streams in all of these ways without an error on either side.
    let is_refusal = !matches!(
        sent.code,
        Code::Ok | Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable
    );
    let default = StreamStats::default();
    let stats = record.stream_stats.get().unwrap_or(&default);
    let StreamStats { batches, states, interests, touches, refused: requests_refused, revision } =
        stats;
    let revision = revision.map(display);
    let method = name.method;
    let (peer, seconds) = (&record.connection.peer, record.since.elapsed().as_secs_f64());
    let Sent { code, why } = sent;
    macro_rules! line {
        ($target:expr) => {
            info!(
                target: $target,
                method,
                %peer,
                ?code,
                batches,
                states,
                interests,
                touches,
                requests_refused,
                revision,
                seconds,
                why,
                "stream ended"
            )
        };
    }
    if is_refusal {
        if record.connection.admits_refusal() {
            line!(REFUSED);
        }
    } else if sent.code == Code::Unavailable || record.connection.admits_line() {
        // Exempt from the budget, since all streams end at the same time, and only once, at
        // shutdown.
        line!(CALLS);
    }
}

fn elapsed_micros(record: &CallRecord) -> u64 {
    u64::try_from(record.since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

// === impl Name ===

impl<'p> Name<'p> {
    fn of_call(record: &'p CallRecord) -> Self {
        let path = record.uri.path();
        let (service, method) = path.rsplit_once('/').unwrap_or(("", path));
        let service = service.rsplit('/').next().unwrap_or_default();
        Self { service: shorten_name(service), method: shorten_name(method) }
    }
}

fn shorten_name(name: &str) -> &str {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => name.split_at(end).0,
        None => name,
    }
}
