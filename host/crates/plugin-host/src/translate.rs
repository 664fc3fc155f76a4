//! The host's types as the contract's types.

use abi_stable::std_types::RSlice;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{FactId, Number, ProcessView, Sample};
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
}

impl<'f> ProcessFactsView<'f> {
    pub(crate) fn new(facts: &'f ProcessFacts) -> Self {
        let descendants = facts.tree.iter().copied().filter(|pid| *pid != facts.pid).collect();
        Self { facts, descendants, numbers: numbers(facts) }
    }

    pub(crate) fn view(&self) -> ProcessView<'_> {
        ProcessView {
            pid: self.facts.pid,
            start_ticks: self.facts.start_ticks,
            descendants: self.descendants.as_slice().into(),
            numbers: self.numbers.as_slice().into(),
            texts: RSlice::EMPTY,
        }
    }
}

fn numbers(facts: &ProcessFacts) -> Vec<Number> {
    let Some(sample) = &facts.sample else { return Vec::new() };
    let number = |id, value| Number { id, value };
    vec![
        number(FactId::CPU_SECONDS, sample.cpu_time.as_secs_f64()),
        number(FactId::RSS_BYTES, sample.rss.0 as f64),
        number(FactId::VIRTUAL_BYTES, sample.virtual_memory.0 as f64),
        number(FactId::READ_BYTES, sample.read_bytes.0 as f64),
        number(FactId::WRITE_BYTES, sample.write_bytes.0 as f64),
        number(FactId::THREADS, f64::from(sample.threads)),
    ]
}
