//! `plugin check`, `plugin run`, `plugin bench`: for those who write plugins.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use orchestrator_core::config::model::Grants;

/// Find out whether a library is fit for others to rely on: file, contract, configuration, calls, cost, leaks, sandbox
///
/// Nothing of it runs in this process: what it does, it does to a process of its own.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing failed (with --strict: nothing is to be improved either); 69 something \
                        did.\n\nExamples:\n  orchestrator plugin check target/release/libmy_plugin.so\n  orchestrator \
                        plugin check libmy_plugin.so --config ports.yaml --budget-us 500\n  orchestrator plugin check \
                        libmy_plugin.so --strict --format json"
)]
pub(crate) struct PluginCheckArgs {
    /// The library
    pub(crate) file: PathBuf,

    /// Check this class only
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,

    /// A YAML or JSON file with its `config:` section, or with one for each class under the class's name
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The longest that 99 of 100 calls may take, in microseconds [default: a hundredth of the usual deadline, 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) budget_us: Option<u64>,

    /// Fail on what is to be improved, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Run a class over processes and show its numbers as they come
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("target").args(["pid", "own"]).required(true).multiple(true)),
    after_help = "Examples:\n  orchestrator plugin run target/debug/libmy_plugin.so --self --count 3\n  \
                        orchestrator plugin run libmy_plugin.so --class MyCollector --pid 4242 --config ports.yaml\n  \
                        orchestrator plugin run libmy_plugin.so --self --isolation sandbox --grant network\n  orchestrator plugin run libmy_plugin.so --self --format json | jq .system"
)]
pub(crate) struct PluginRunArgs {
    /// The library
    pub(crate) file: PathBuf,

    /// The class, where the library exports several
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,

    /// A process to ask about (repeatable)
    #[arg(long, value_name = "N")]
    pid: Vec<u32>,

    /// Ask about this very process
    #[arg(long = "self")]
    own: bool,

    /// A YAML or JSON file with its `config:` section
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Time between two rounds
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::commands::plugin::interval)]
    pub(crate) interval: Duration,

    /// So many rounds [default: until interrupted]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Where it runs
    #[arg(long, value_enum, default_value_t = Where::Process)]
    pub(crate) isolation: Where,

    /// What it may do in a sandbox: network, observer, read=PATH or environment=NAME (repeatable)
    #[arg(long, value_name = "WHAT", value_parser = grant)]
    grant: Vec<Grant>,
}

/// One word of `grants:`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Grant {
    Network,
    Observer,
    Read(PathBuf),
    Environment(String),
}

fn grant(text: &str) -> Result<Grant, String> {
    match text.split_once('=') {
        None if text == "network" => Ok(Grant::Network),
        None if text == "observer" => Ok(Grant::Observer),
        // What is granted is a place, wherever this is typed.
        Some(("read", path)) => std::path::absolute(path).map(Grant::Read).map_err(|error| error.to_string()),
        Some(("environment", name)) if !name.is_empty() => Ok(Grant::Environment(name.to_owned())),
        _ => Err("write network, observer, read=PATH or environment=NAME".to_owned()),
    }
}

impl PluginRunArgs {
    /// The processes in the order in which they are shown.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.own.then(std::process::id).into_iter().chain(self.pid.iter().copied())
    }

    /// All that is granted.
    pub(crate) fn grants(&self) -> Grants {
        let mut grants = Grants::default();
        for grant in self.grant.iter().cloned() {
            match grant {
                Grant::Network => grants.network = true,
                Grant::Observer => grants.observer = true,
                Grant::Read(path) => grants.read.push(path),
                Grant::Environment(name) => grants.environment.push(name),
            }
        }
        grants
    }
}

/// `isolation:` of a plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Where {
    /// In this process: what it does wrong, it does to this command
    InProcess,
    /// In a process of its own
    Process,
    /// In a process of its own that may do next to nothing
    Sandbox,
}

/// Measure what a call costs: in process, in a process of its own and in a sandbox, about 1, 8, 64 and 1000 processes
#[derive(Debug, Args)]
#[command(
    after_help = "Times are those of whole rounds, transport included, divided by the calls made. In-process \
                        rounds run in this very process.\n\nExample:\n  orchestrator plugin bench \
                        target/release/libmy_plugin.so"
)]
pub(crate) struct PluginBenchArgs {
    /// The library
    pub(crate) file: PathBuf,

    /// The class, where the library exports several
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,

    /// A YAML or JSON file with its `config:` section
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
