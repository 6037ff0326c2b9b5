//! Parsing of the filter that selects log lines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

const VALID: &str = "valid are a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) and \
                     filters such as `info,h2=debug`";

/// Silences the warnings of the HTTP/2 library, which any client can provoke without limit:
/// one connection caused 38 MB of lines a second. A filter that names `h2` shows them.
const QUIET_HTTP2: &str = ",h2=error";

/// Parses a filter. The library would take a single word that is not a level for the name of
/// a module, and an empty text for errors only, so that a typing error would silence the
/// log. This function rejects both.
pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
    let is_meant = |part: &&str| {
        part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    let mut filter = text.to_owned();
    // The fields of a span may contain commas.
    if !text.contains('[') {
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if let Some(odd) = parts.iter().find(|part| !is_meant(part)) {
            return Err(format!("`{odd}` is not a log filter: {VALID}"));
        }
        filter = parts.join(",");
    }
    if !names_http2(text) {
        filter += QUIET_HTTP2;
    }
    EnvFilter::try_new(filter)
        .map_err(|error| format!("`{text}` is not a log filter: {VALID} ({error})"))
}

/// Returns true if the filter names the HTTP/2 library.
fn names_http2(text: &str) -> bool {
    text.split(',').any(|part| {
        let target = part.split(['=', '[']).next().unwrap_or_default().trim();
        target == "h2" || target.starts_with("h2::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::DEFAULT_FILTER;

    #[test]
    fn the_http2_library_is_quiet_unless_it_is_named() {
        for (text, want) in [
            ("info", "h2=error,info"),
            ("debug", "h2=error,debug"),
            (DEFAULT_FILTER, "h2=error,info"),
            ("info,h2=debug", "h2=debug,info"),
            ("info, h2=warn", "h2=warn,info"),
            ("info,h2::proto=trace", "h2::proto=trace,info"),
            ("info,h22=debug", "h22=debug,h2=error,info"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), want, "{text}");
        }
    }
}
