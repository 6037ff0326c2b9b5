//! Input for `RouteStates` by hand: JSON lines as grpcurl reads them.

use std::io::{self, Write};

use clap::{Args, value_parser};
use presence_router_ids::{ServerName, ServerNameError};
use serde::Serialize;

use super::output::{Outcome, print_with};

/// People of the example policy, so that a sample shows something.
const KNOWN: [&str; 4] = ["ann", "joe", "sam", "wallboard"];
const PRESENCES: [&str; 3] = ["online", "unavailable", "offline"];

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Batches to print
    #[arg(long, default_value_t = 10)]
    pub(crate) batches: u64,

    /// States in each batch; a daemon takes 10000 by default
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(..=1_000_000))]
    pub(crate) size: u64,

    /// Server name of the caller and of most senders
    #[arg(long, default_value = "example.org", value_parser = server_name)]
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

pub(super) fn sample(SampleArgs { batches, size, server_name }: &SampleArgs) -> Outcome {
    print_with(|out| write_sample(out, *batches, *size, server_name))
}

/// Writes an `open` for the server name, then the batches, numbered from 1. The
/// same arguments always give the same lines. Every second sender is one of the
/// example policy's people, the others are made up.
///
/// # Errors
///
/// The output cannot be written.
fn write_sample(out: &mut dyn Write, batches: u64, size: u64, server_name: &str) -> io::Result<()> {
    write_line(out, &Line::Open { server_names: [server_name] })?;
    for batch in 0..batches {
        let states = (0..size).map(|i| state(batch * size + i, server_name)).collect();
        write_line(out, &Line::Batch { batch_id: batch + 1, states })?;
    }
    out.flush()
}

fn state(n: u64, server_name: &str) -> State {
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

fn server_name(text: &str) -> Result<String, ServerNameError> {
    ServerName::parse(text).map(|name| name.as_str().to_owned())
}
