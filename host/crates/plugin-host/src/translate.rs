//! The host's types as the contract's types.

use std::os::unix::ffi::OsStrExt;

use abi_stable::std_types::RSlice;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{FactId, Number, ProcessView, Sample, Text, TextId};
use orchestrator_ports::ProcessFacts;

/// A metrics map as the slice that crosses the boundary.
pub(crate) fn samples(metrics: &Metrics) -> Vec<Sample<'_>> {
    metrics.iter().map(|(name, value)| Sample { name: name.as_str().into(), value: *value }).collect()
}

/// Holds what a [`ProcessView`] borrows.
pub(crate) struct ProcessFactsView<'f> {
    facts: &'f ProcessFacts,
    descendants: Vec<u32>,
    numbers: Vec<Number>,
    task: String,
}

impl<'f> ProcessFactsView<'f> {
    pub(crate) fn new(facts: &'f ProcessFacts) -> Self {
        let descendants = facts.tree.iter().copied().filter(|pid| *pid != facts.pid).collect();
        Self { facts, descendants, numbers: numbers(facts), task: facts.task.to_string() }
    }

    /// The task's number and its input's path.
    pub(crate) fn texts(&self) -> [Text<'_>; 2] {
        let path = self.facts.input_file.as_os_str().as_bytes();
        [
            Text { id: TextId::TASK, bytes: RSlice::from_slice(self.task.as_bytes()) },
            Text { id: TextId::INPUT_FILE, bytes: RSlice::from_slice(path) },
        ]
    }

    pub(crate) fn view<'v>(&'v self, texts: &'v [Text<'v>]) -> ProcessView<'v> {
        ProcessView {
            pid: self.facts.pid,
            start_ticks: self.facts.start_ticks,
            descendants: self.descendants.as_slice().into(),
            numbers: self.numbers.as_slice().into(),
            texts: RSlice::from_slice(texts),
        }
    }
}

fn numbers(facts: &ProcessFacts) -> Vec<Number> {
    let number = |id, value| Number { id, value };
    let age = facts.running_for.map(|time| number(FactId::AGE_SECONDS, time.as_secs_f64()));
    let Some(sample) = &facts.sample else { return age.into_iter().collect() };
    let sampled = [
        number(FactId::CPU_SECONDS, sample.cpu_time.as_secs_f64()),
        number(FactId::RSS_BYTES, sample.rss.0 as f64),
        number(FactId::VIRTUAL_BYTES, sample.virtual_memory.0 as f64),
        number(FactId::READ_BYTES, sample.read_bytes.0 as f64),
        number(FactId::WRITE_BYTES, sample.write_bytes.0 as f64),
        number(FactId::THREADS, f64::from(sample.threads)),
    ];
    sampled.into_iter().chain(age).collect()
}
