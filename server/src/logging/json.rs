//! Log lines as JSON objects. The library formats them, except that a list stays a list: the
//! library would write the problems of a policy as one string with JSON inside.

use std::fmt;

use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The field that holds a JSON list.
const LIST: &str = "problems";

/// The library's JSON format, with support for lists.
pub(super) struct JsonLines(pub(super) Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLines
where
    Format<Json>: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().fields().field(LIST).is_none() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match with_list(&line) {
            Some(line) => writeln!(writer, "{line}"),
            None => writer.write_str(&line),
        }
    }
}

/// Returns the line with its list as a JSON list, or `None` if the line has no list.
fn with_list(line: &str) -> Option<Value> {
    let mut record: Value = serde_json::from_str(line).ok()?;
    let list = record.get_mut(LIST)?;
    *list = serde_json::from_str(list.as_str()?).ok()?;
    Some(record)
}
