//! Input for `RouteStates` by hand: JSON lines as grpcurl reads them.

use std::io::{self, Write};

use serde::Serialize;

/// UserTable of the example policy, so that a sample shows something.
const KNOWN: [&str; 4] = ["ann", "joe", "sam", "wallboard"];
const PRESENCES: [&str; 3] = ["online", "unavailable", "offline"];

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

/// Writes an `open` for the server name, then the batches, numbered from 1. The
/// same arguments always give the same lines. Every second sender is one of the
/// example policy's people, the others are made up.
///
/// # Errors
///
/// The output cannot be written.
pub fn write(out: &mut impl Write, batches: u64, size: u64, server_name: &str) -> io::Result<()> {
    line(out, &Line::Open { server_names: [server_name] })?;
    for batch in 0..batches {
        let states = (0..size).map(|i| state(batch * size + i, server_name)).collect();
        line(out, &Line::Batch { batch_id: batch + 1, states })?;
    }
    out.flush()
}

fn state(n: u64, server_name: &str) -> State {
    let pick = |list: &[&'static str], n: u64| {
        let at = n % u64::try_from(list.len()).unwrap_or(1);
        usize::try_from(at).ok().and_then(|at| list.get(at)).copied().unwrap_or_default()
    };
    let localpart =
        if n.is_multiple_of(2) { pick(&KNOWN, n / 2).to_owned() } else { format!("user{n:06}") };
    State { user_id: format!("@{localpart}:{server_name}"), presence: pick(&PRESENCES, n / 3) }
}

fn line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
