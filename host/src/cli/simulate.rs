//! `simulate`: what a run would come to, here or on another machine.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use orchestrator_core::config::{ByteSize, Scalar};
use orchestrator_core::simulate::loads;

/// Predict how long work takes and how much memory it needs, under this program's policy and under every fixed -j
///
/// The work is a recorded trace, what earlier runs of a configuration measured, or one of the built-in workloads. The
/// machine is this one unless --machine describes another. Nothing is started.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  orchestrator simulate\n  orchestrator simulate archive.yaml --machine \
                        cores=64,memory=256G\n  orchestrator simulate --trace trace.csv --task align\n  orchestrator \
                        simulate --workload memgrow --format json")]
pub(crate) struct SimulateArgs {
    /// Configuration whose thresholds hold, and whose earlier runs are the work [default: config.yaml]
    #[arg(value_name = "CONFIG", env = "ORCHESTRATOR_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,

    /// Profile of the configuration that stands above the rest of it
    #[arg(long, value_name = "NAME", env = "ORCHESTRATOR_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<String>,

    /// Value of a key (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// The work: a CSV file with the columns workflow, task, seq, runtime_s, peak_rss_bytes and, where known,
    /// input_bytes, cpu_pct, read_bytes, write_bytes
    #[arg(long, value_name = "FILE", conflicts_with = "workload")]
    pub(crate) trace: Option<PathBuf>,

    /// Only the tasks of this kind of the trace
    #[arg(long, value_name = "NAME", requires = "trace")]
    pub(crate) task: Option<String>,

    /// The work: a built-in workload
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(loads::names()))]
    pub(crate) workload: Option<String>,

    /// The machine: cores, memory, disk (bytes a second); what is left out is as it is here
    #[arg(long, value_name = "cores=N,memory=SIZE,disk=SIZE", value_delimiter = ',', value_parser = machine_part)]
    pub(crate) machine: Vec<MachinePart>,

    /// Seed of the built-in workload and of the order in which inputs run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// One property of a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MachinePart {
    /// Cores.
    Cores(f64),
    /// Memory, bytes.
    Memory(u64),
    /// Bandwidth of the disk, bytes a second.
    Disk(u64),
}

fn machine_part(text: &str) -> Result<MachinePart, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("write it as cores=64,memory=256G,disk=2G".to_owned());
    };
    let size = || {
        let size = ByteSize::parse(&serde_json::Value::from(value)).map_err(|error| error.to_string())?;
        if size.get() == 0 { Err(format!("{name} cannot be 0")) } else { Ok(size.get()) }
    };
    match name.trim() {
        "cores" => match value.trim().parse::<f64>() {
            Ok(cores) if (0.1..=100_000.0).contains(&cores) => Ok(MachinePart::Cores(cores)),
            _ => Err(format!("`{value}` is no number of cores")),
        },
        "memory" => size().map(MachinePart::Memory),
        "disk" => size().map(MachinePart::Disk),
        other => Err(format!("`{other}` is not among cores, memory, disk")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_machine() {
        assert_eq!(machine_part("cores=64"), Ok(MachinePart::Cores(64.0)));
        assert_eq!(machine_part("memory=256G"), Ok(MachinePart::Memory(256 << 30)));
        assert!(machine_part("memory=0").is_err());
        assert!(machine_part("cores=-1").is_err());
        assert!(machine_part("core=4").unwrap_err().contains("cores"));
        assert!(machine_part("64").is_err());
    }
}
