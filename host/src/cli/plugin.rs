//! `plugin …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::signing::{KeygenArgs, SignArgs, VerifyArgs};

/// `plugin …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    List(ListArgs),
    Inspect(InspectArgs),
    New(NewArgs),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
}

/// List the plugin libraries that are found: directories, classes, versions, and what is wrong with which file
#[derive(Debug, Args)]
#[command(
    after_help = "Directories are searched in this order: --plugins-dir, ORCHESTRATOR_PLUGINS_DIR (separated by \
                        colons), plugins.directories of the configuration, the directory of the program, plugins/ in \
                        it. The first library that exports a class serves it.\n\nExamples:\n  orchestrator plugin \
                        list\n  orchestrator plugin list --plugins-dir ./plugins\n  orchestrator plugin list \
                        --config archive.yaml"
)]
pub(crate) struct ListArgs {
    /// Directory to search first (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) plugins_dir: Vec<PathBuf>,

    /// Search the directories that this configuration names, too [default: config.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
