//! The settings of `serve`: flags over environment over config file over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use presence_router_server::config::{Config, Listen, socket_path, tcp_address};
use presence_router_server::logging::{self, LogFormat};

use super::environment::{self, read_path, read_text};

/// Settings that stand above those of the config file.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// YAML file with settings. Flags and environment outrank it; `listen` is replaced as a
    /// whole [env: PRESENCE_ROUTER_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// YAML file with the policy [default: the example inside the binary] [env:
    /// PRESENCE_ROUTER_POLICY]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Whether a change of the policy's files comes into force by itself [default: true] [env:
    /// PRESENCE_ROUTER_WATCH_POLICY]
    #[arg(long, value_name = "BOOL")]
    watch_policy: Option<bool>,

    /// TCP address to listen on, a loopback one; port 0 takes a free one [default, if no
    /// socket is given either: 127.0.0.1:9470] [env: PRESENCE_ROUTER_LISTEN_TCP]
    #[arg(long, value_name = "ADDRESS", value_parser = tcp_address)]
    listen_tcp: Option<SocketAddr>,

    /// Path of a Unix socket to listen on [default, if no address is given either:
    /// /tmp/presence-router.sock] [env: PRESENCE_ROUTER_LISTEN_UNIX]
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(|path| socket_path(&path)))]
    listen_unix: Option<PathBuf>,

    /// How log lines look on standard error [default: plain] [env: PRESENCE_ROUTER_LOG_FORMAT]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// What is logged: a level or a filter such as `info,h2=debug`, or
    /// `info,presence_router::calls=debug` for a line for each call [default: info,h2=error]
    /// [env: PRESENCE_ROUTER_LOG]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

// === impl Settings ===

impl Settings {
    /// The settings: flags over environment over config file over defaults. A variable that
    /// a flag outranks is not read.
    ///
    /// # Errors
    ///
    /// A variable or the config file cannot be used.
    pub(super) fn resolve(self) -> Result<Config, String> {
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
    // Filters are known where the log is made, not where settings are read.
    logging::check_filter(&config.log.filter)
        .map_err(|why| format!("{}: `filter` in the section `log`: {why}", path.display()))?;
    Ok(config)
}

/// The value of a flag; where the flag is not set, that of a variable.
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
