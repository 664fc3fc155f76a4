//! `plugin …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::authors::{PluginBenchArgs, PluginCheckArgs, PluginRunArgs};
use super::signing::{KeygenArgs, SignArgs, VerifyArgs};

/// `plugin …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    List(ListArgs),
    Reload(ReloadArgs),
    Inspect(InspectArgs),
    New(NewArgs),
    Check(PluginCheckArgs),
    Run(PluginRunArgs),
    Bench(PluginBenchArgs),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
}

/// List the configured plugins and the libraries that are found; beside a live run how each fares and what it costs
#[derive(Debug, Args)]
#[command(
    after_help = "Directories are searched in this order: --plugins-dir, ORCHESTRATOR_PLUGINS_DIR (separated by \
                        colons), plugins.directories of the configuration, the directory of the program, plugins/ in \
                        it. The first library that exports a class serves it.\n\nExamples:\n  orchestrator plugin \
                        list\n  orchestrator plugin list --plugins-dir ./plugins\n  orchestrator plugin list \
                        --config archive.yaml\n  orchestrator plugin list --format json | jq .instances"
)]
pub(crate) struct ListArgs {
    /// Directory to search first (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) plugins_dir: Vec<PathBuf>,

    /// The configuration that names plugins and directories [default: config.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The state directory of the run, where it is not that of the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Have a live run read its configuration and its plugin directories again, and say what became of each plugin
///
/// The same as SIGHUP to the run: changed plugins are built beside the old ones, which go on until the new ones are ready;
/// one that cannot be used changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator plugin reload\n  orchestrator plugin reload --config archive.yaml"
)]
pub(crate) struct ReloadArgs {
    /// The configuration of the run [default: config.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The state directory of the run, where it is not that of the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Begin a plugin: a crate of its own that builds, passes its test and can be used at once
///
/// It names the contract's crate, orchestrator-plugin-api, by version; --api-path names it by folder instead, while that
/// version is not published.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator plugin new disk-watch --kind metrics\n  orchestrator plugin new \
                        license-seats --kind capacity --path ~/src/license-seats"
)]
pub(crate) struct NewArgs {
    /// Name of the crate: lower-case letters, digits and dashes
    pub(crate) name: String,

    /// What the plugin does
    #[arg(long)]
    pub(crate) kind: NewKind,

    /// Folder of the crate orchestrator-plugin-api
    #[arg(long, value_name = "DIR")]
    pub(crate) api_path: Option<PathBuf>,

    /// Folder to make [default: the name, below the current one]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum NewKind {
    /// It measures processes or the machine
    Metrics,
    /// It says how many processes may run
    Capacity,
}

/// Show what a library says about itself, without loading it: classes, metrics, versions
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  orchestrator plugin inspect target/debug/libmy_plugin.so")]
pub(crate) struct InspectArgs {
    /// The library
    pub(crate) file: PathBuf,

    /// Load it too, in a process of its own, and say what came of it
    #[arg(long)]
    pub(crate) load: bool,
}
