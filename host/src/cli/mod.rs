//! The command line: what can be typed. Nothing here does anything.

mod authors;
mod plugin;
mod replay_trace;
mod run;
mod selection;
mod signing;
mod simulate;
mod tasks;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

pub(crate) use authors::{PluginBenchArgs, PluginCheckArgs, PluginRunArgs, Where};
pub(crate) use plugin::{InspectArgs, ListArgs, NewArgs, NewKind, PluginCommand, ReloadArgs};
pub(crate) use replay_trace::ReplayTraceArgs;
pub(crate) use run::{CalibrateArgs, CheckArgs, InitArgs, RunArgs};
pub(crate) use selection::{Selection, shell_word};
pub(crate) use signing::{KeygenArgs, SignArgs, VerifyArgs};
pub(crate) use simulate::{MachinePart, SimulateArgs};
pub(crate) use tasks::{ExplainArgs, LogsArgs, StateSelection, StatusArgs};

const ABOUT: &str = "Runs one program over many files, as many at once as the machine can bear.";

const EXAMPLES: &str = "\
Examples:
  orchestrator init                            write a commented config.yaml
  orchestrator check                           find its mistakes, show the plan, do no work
  orchestrator run                             work through the files of config.yaml
  orchestrator run archive.yaml --profile night
  orchestrator run --input logs --pattern '*.log' --output packed --suffix .xz -- xz -c
  orchestrator status                          where the run stands
  orchestrator explain bad.dat                 why a file failed, or waits

Exit codes:
  0  all succeeded        4  nothing to do           75  interrupted: run again to continue
  1  internal error      69  plugin unavailable      78  configuration
  2  wrong command line  74  state cannot be used   100  some files failed";

/// `orchestrator`.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, about = ABOUT, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 110, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Least severity of log lines on standard error [default: logging.level of the configuration, info]
    #[arg(long, global = true, value_name = "LEVEL", env = "ORCHESTRATOR_LOG", hide_env_values = true)]
    pub(crate) log_level: Option<Level>,

    /// What standard output carries: text for people, or JSON for programs (run: one event a line)
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human", env = "ORCHESTRATOR_FORMAT")]
    #[arg(hide_env_values = true)]
    pub(crate) format: Format,

    /// No colours (as NO_COLOR=1 does)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// What standard output carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Human,
    /// JSON for programs.
    Json,
}

/// Severity of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing
    Off,
    /// What went wrong
    Error,
    /// What may go wrong
    Warn,
    /// What happens
    Info,
    /// How it happens
    Debug,
    /// Everything
    Trace,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Check(Box<CheckArgs>),
    Init(InitArgs),
    Calibrate(Box<CalibrateArgs>),
    Status(StatusArgs),
    Logs(LogsArgs),
    Explain(ExplainArgs),
    Simulate(SimulateArgs),
    /// Show the configuration that is in force, and where each value comes from
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Print the JSON Schema of configuration files
    #[command(after_help = "Example:\n  orchestrator schema > orchestrator.schema.json")]
    Schema,
    /// List plugins, look into a plugin library
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(PluginCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  orchestrator completions bash > /etc/bash_completion.d/orchestrator\n  \
                            orchestrator completions zsh > ~/.zfunc/_orchestrator"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    Man(ManArgs),
    #[command(hide = true)]
    ReplayTrace(ReplayTraceArgs),
    /// A trial load of a plugin library, in a process of its own.
    #[command(hide = true)]
    PluginProbe {
        /// The library.
        file: PathBuf,
    },
    /// Serves a plugin instance of the process that started this one.
    #[command(hide = true)]
    PluginRunner,
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Show(Box<ShowArgs>),
}

/// Print the configuration with everything filled in
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator config show\n  orchestrator config show --origin --changed\n  \
                        orchestrator config show archive.yaml --profile night --set concurrency.max=4"
)]
pub(crate) struct ShowArgs {
    /// Where each value comes from: file and line, profile, variable, flag or default
    #[arg(long)]
    pub(crate) origin: bool,
    /// Only what is not a default
    #[arg(long)]
    pub(crate) changed: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Print the manual page, of the program or of one command
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  orchestrator man | man -l -\n  orchestrator man run | man -l -\n  \
                        orchestrator man --directory /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The command, such as `run` or `plugin list`; the program itself if absent
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
