//! The settings of `serve`. Precedence: flags, environment, config file, defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use presence_router_server::config::{Config, Listen, socket_path, tcp_address};
use presence_router_server::logging::{self, LogFormat};

use super::environment::{self, read_path, read_text};

/// Flags of `serve`. They take precedence over environment and config file.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// YAML file with settings. Flags and environment variables take precedence over it; an
    /// address or socket in a flag or variable replaces the whole section `listen` [env:
    /// PRESENCE_ROUTER_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// YAML file with the policy [default: the built-in example policy] [env:
    /// PRESENCE_ROUTER_POLICY]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Load the policy again when its file or a members file changes [default: true] [env:
    /// PRESENCE_ROUTER_WATCH_POLICY]
    #[arg(long, value_name = "BOOL")]
    watch_policy: Option<bool>,

    /// TCP address to listen on, which must be a loopback address; port 0 picks a free port
    /// [default if no address and no socket is set: 127.0.0.1:9470] [env:
    /// PRESENCE_ROUTER_LISTEN_TCP]
    #[arg(long, value_name = "ADDRESS", value_parser = tcp_address)]
    listen_tcp: Option<SocketAddr>,

    /// Path of a Unix socket to listen on [default if no address and no socket is set:
    /// /tmp/presence-router.sock] [env: PRESENCE_ROUTER_LISTEN_UNIX]
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(|path| socket_path(&path)))]
    listen_unix: Option<PathBuf>,

    /// Format of the log on standard error [default: plain] [env: PRESENCE_ROUTER_LOG_FORMAT]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Log level, or a filter such as `info,h2=debug`; `info,presence_router::calls=debug`
    /// logs a line for each call [default: info,h2=error] [env: PRESENCE_ROUTER_LOG]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

// === impl Settings ===

impl Settings {
    /// Merges flags, environment, config file and defaults, in this order of precedence. Does
    /// not read the variable of a flag that is set.
    ///
    /// # Errors
    ///
    /// A variable or the config file is unreadable or not valid.
    pub(super) fn resolve_config(self) -> Result<Config, String> {
        let any_path = |path| Ok(path);
        let file = flag_or_variable(self.config, || read_path(environment::CONFIG, any_path))?;
        let mut config = match &file {
            Some(path) => read_config(path)?,
            None => Config::default(),
        };
        let tcp =
            flag_or_variable(self.listen_tcp, || read_text(environment::LISTEN_TCP, tcp_address))?;
        let unix = flag_or_variable(self.listen_unix, || {
            read_path(environment::LISTEN_UNIX, |path| socket_path(&path))
        })?;
        if tcp.is_some() || unix.is_some() {
            config.listen = Listen { tcp, unix };
        }
        let policy = flag_or_variable(self.policy, || read_path(environment::POLICY, any_path))?;
        config.policy = policy.or(config.policy);
        let watch = flag_or_variable(self.watch_policy, || {
            read_text(environment::WATCH_POLICY, parse_bool)
        })?;
        config.watch_policy = watch.unwrap_or(config.watch_policy);
        let format = flag_or_variable(self.log_format, || {
            read_text(environment::LOG_FORMAT, parse_log_format)
        })?;
        config.log.format = format.unwrap_or(config.log.format);
        let filter = flag_or_variable(self.log, || {
            read_text(environment::LOG, |filter| {
                logging::check_filter(filter).map(|()| filter.to_owned())
            })
        })?;
        config.log.filter = filter.unwrap_or(config.log.filter);
        Ok(config)
    }
}

fn read_config(path: &Path) -> Result<Config, String> {
    let config = Config::read(path).map_err(|error| error.to_string())?;
    // `Config` does not know the syntax of filters, so the file has not been checked for it.
    logging::check_filter(&config.log.filter)
        .map_err(|why| format!("{}: `filter` in the section `log`: {why}", path.display()))?;
    Ok(config)
}

/// Returns the value of a flag, or without the flag the value of a variable.
fn flag_or_variable<T>(
    flag: Option<T>,
    variable: impl FnOnce() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    if flag.is_some() { Ok(flag) } else { variable() }
}

fn parse_bool(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "`true` and `false` are valid here")
}

fn parse_log_format(text: &str) -> Result<LogFormat, &'static str> {
    LogFormat::from_str(text, false).map_err(|_| "`plain` and `json` are valid here")
}
