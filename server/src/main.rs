//! `presence-router`: the daemon and its commands, in one binary.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run_command(cli::Cli::parse())
}
