//! Sample requests for `RouteStates`, as JSON lines for grpcurl.

use std::io::{self, Write};

use clap::{Args, value_parser};
use presence_router_ids::{ServerName, ServerNameError};
use serde::Serialize;

use super::output::{Outcome, print_with};

/// Users of the example policy, so that the daemon's answers contain recipients.
const KNOWN: [&str; 4] = ["ann", "joe", "sam", "wallboard"];
const PRESENCES: [&str; 3] = ["online", "unavailable", "offline"];

/// The size of the sample.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Number of batches
    #[arg(long, default_value_t = 10)]
    pub(crate) batches: u64,

    /// Presence states in each batch; a daemon accepts up to 10000 by default
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(..=1_000_000))]
    pub(crate) size: u64,

    /// Server name of the caller and of all senders
    #[arg(long, default_value = "example.org", value_parser = parse_server_name)]
    pub(crate) server_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    #[serde(rename_all = "camelCase")]
    Open { server_names: [&'a str; 1] },
    #[serde(rename_all = "camelCase")]
    Batch { batch_id: u64, states: Vec<State> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    user_id: String,
    presence: &'static str,
}

pub(super) fn print_sample(SampleArgs { batches, size, server_name }: &SampleArgs) -> Outcome {
    print_with(|out| write_sample(out, *batches, *size, server_name))
}

/// Writes an `open` with the server name, then the batches, numbered from 1. The same
/// arguments always give the same lines. Every second sender is a user of the example
/// policy; the others are invented.
///
/// # Errors
///
/// Writing to the output failed.
fn write_sample(out: &mut dyn Write, batches: u64, size: u64, server_name: &str) -> io::Result<()> {
    write_line(out, &Line::Open { server_names: [server_name] })?;
    for batch in 0..batches {
        let states = (0..size).map(|i| sample_state(batch * size + i, server_name)).collect();
        write_line(out, &Line::Batch { batch_id: batch + 1, states })?;
    }
    out.flush()
}

fn sample_state(n: u64, server_name: &str) -> State {
    let pick = |list: &[&'static str], n: u64| {
        let index = n % u64::try_from(list.len()).unwrap_or(1);
        usize::try_from(index).ok().and_then(|index| list.get(index)).copied().unwrap_or_default()
    };
    let localpart =
        if n.is_multiple_of(2) { pick(&KNOWN, n / 2).to_owned() } else { format!("user{n:06}") };
    State { user_id: format!("@{localpart}:{server_name}"), presence: pick(&PRESENCES, n / 3) }
}

fn write_line(out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn parse_server_name(text: &str) -> Result<String, ServerNameError> {
    ServerName::parse(text).map(|name| name.as_str().to_owned())
}
