//! `run`, `check`, `calibrate`, `init`.

use std::path::PathBuf;

use clap::Args;

use super::Selection;

const RUN_EXAMPLES: &str = "\
Examples:
  orchestrator run                                   config.yaml of this directory
  orchestrator run archive.yaml --profile night -j 8
  orchestrator run --input logs --pattern '*.log' --output packed --suffix .xz -- xz -c
  orchestrator run --input in --output out -- convert {input_file} -resize 50% {output_file}
  orchestrator run --retry-failed archive.yaml       try again what had failed for good
  orchestrator run --format json archive.yaml | jq 'select(.event == \"fact\")'

Without a configuration file, a command that names neither {output_file} nor {output_dir} is taken to write its result
to standard output (--stdout log to keep that as a log instead).

Run the same command again to continue after an interruption: completed files are not run again. The first Ctrl-C lets
running processes end (shutdown.drain_seconds), the second stops them, the third leaves at once; nothing is lost.";

/// Work through the input files; continue where an earlier run stopped
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Try again the files that failed for good in earlier runs
    #[arg(long, conflicts_with = "fresh")]
    pub(crate) retry_failed: bool,

    /// Forget the state of earlier runs and begin anew; existing outputs are replaced as files complete
    #[arg(long)]
    pub(crate) fresh: bool,

    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Find every mistake in the configuration and show the plan; work on no file, change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator check\n  orchestrator check archive.yaml --profile night\n  \
                        orchestrator check --format json archive.yaml"
)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Measure what one process needs, and keep the result for later runs
///
/// One process at a time works on a few input files, spread over their sizes. They are ordinary tasks: their results
/// count. `run` does the same by itself when no measurement of this binary and these flags is there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  orchestrator calibrate\n  orchestrator calibrate --force archive.yaml")]
pub(crate) struct CalibrateArgs {
    /// Measure anew even if there is a measurement of this binary and these flags
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Write a commented configuration to begin with
///
/// The JSON Schema is written beside it, so that editors complete keys and show their meaning.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  orchestrator init\n  orchestrator init jobs/archive.yaml --input /data/logs \
                        --pattern '*.log' --output /data/packed --suffix .xz -- xz -c {input_file}"
)]
pub(crate) struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = super::selection::DEFAULT_FILE)]
    pub(crate) file: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,

    /// Directory of input files
    #[arg(long, value_name = "DIR")]
    pub(crate) input: Option<String>,

    /// Pattern of input file names
    #[arg(long, value_name = "GLOB")]
    pub(crate) pattern: Option<String>,

    /// Directory of results
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<String>,

    /// What is appended to an input's name to name its output
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) suffix: Option<String>,

    /// Program and arguments for each file, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}
