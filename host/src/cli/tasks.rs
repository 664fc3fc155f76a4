//! `status`, `logs`, `explain`: what a state knows.

use std::path::PathBuf;

use clap::Args;

/// Whose state is meant: that of a configuration, or of a directory.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which run")]
pub(crate) struct StateSelection {
    /// Configuration file [default: config.yaml]
    #[arg(
        value_name = "CONFIG",
        env = "ORCHESTRATOR_CONFIG",
        hide_env_values = true,
        help_heading = "Arguments"
    )]
    pub(crate) config: Option<PathBuf>,

    /// Profile of the file that stands above the rest of it
    #[arg(long, value_name = "NAME", env = "ORCHESTRATOR_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<String>,

    /// Value of a key (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// The output directory of a run that had no configuration file
    #[arg(long, value_name = "DIR", conflicts_with = "state_dir")]
    pub(crate) output: Option<PathBuf>,

    /// The directory of the state itself; no configuration is read then
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Show where a run stands, or how it ended
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  orchestrator status\n  orchestrator status archive.yaml --failed\n  \
                        orchestrator status --output packed\n  orchestrator status --format json | jq .counts")]
pub(crate) struct StatusArgs {
    /// List every file that failed for good, with its reason
    #[arg(long)]
    pub(crate) failed: bool,

    #[command(flatten)]
    pub(crate) state: StateSelection,
}

/// Print what the process of a file wrote to its standard output and error
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator logs bad.dat\n  orchestrator logs sub/bad.dat archive.yaml \
                        --attempt 1 --stderr\n  orchestrator logs 17 --output packed"
)]
pub(crate) struct LogsArgs {
    /// The file: its path below the input directory, its name, or the task's number
    pub(crate) task: String,

    /// Which attempt of the file, from 1 [default: the last one]
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,

    /// Standard error alone
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) stderr: bool,

    /// Standard output alone
    #[arg(long)]
    pub(crate) stdout: bool,

    #[command(flatten)]
    pub(crate) state: StateSelection,
}

/// Say why a file failed, waits or runs: every attempt with its reason
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator explain bad.dat\n  orchestrator explain sub/bad.dat archive.yaml\n  \
                        orchestrator explain 17 --output packed --format json"
)]
pub(crate) struct ExplainArgs {
    /// The file: its path below the input directory, its name, or the task's number
    pub(crate) task: String,

    #[command(flatten)]
    pub(crate) state: StateSelection,
}
