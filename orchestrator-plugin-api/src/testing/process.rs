//! A process that is not there.

use crate::abi::{FactId, Number, ProcessView, Text, TextId};
use abi_stable::std_types::RSlice;
use std::collections::BTreeMap;

/// The first number of facts that are read when asked for.
const ON_DEMAND: u32 = 100;

/// A process with the facts that a test gives it; every other fact is `None`.
#[derive(Clone, Debug, Default)]
pub struct FakeProcess {
    pid: u32,
    start_ticks: u64,
    descendants: Vec<u32>,
    numbers: Vec<Number>,
    texts: Vec<(TextId, Vec<u8>)>,
    pub(super) on_demand: OnDemand,
}

/// Facts that the fake host answers when asked.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDemand {
    pub(super) numbers: BTreeMap<(u32, u32), f64>,
    pub(super) texts: BTreeMap<(u32, u32), Vec<u8>>,
    pub(super) environment: BTreeMap<(u32, String), Vec<u8>>,
}

impl FakeProcess {
    /// A process of which nothing but the identifier is known.
    pub fn new(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// Start time in clock ticks after boot.
    #[must_use]
    pub fn start_ticks(mut self, ticks: u64) -> Self {
        self.start_ticks = ticks;
        self
    }

    /// Adds a living descendant.
    #[must_use]
    pub fn descendant(mut self, pid: u32) -> Self {
        self.descendants.push(pid);
        self
    }

    /// A numeric fact of the process: of the tree below 100, of the process alone from 100 on.
    #[must_use]
    pub fn number(self, id: FactId, value: f64) -> Self {
        let pid = self.pid;
        self.number_of(pid, id, value)
    }

    /// A numeric fact that is read when asked for, of any process of the tree.
    #[must_use]
    pub fn number_of(mut self, pid: u32, id: FactId, value: f64) -> Self {
        if id.0 < ON_DEMAND {
            self.numbers.push(Number { id, value });
        } else {
            self.on_demand.numbers.insert((pid, id.0), value);
        }
        self
    }

    /// A textual fact of the process.
    #[must_use]
    pub fn text(self, id: TextId, bytes: impl AsRef<[u8]>) -> Self {
        let pid = self.pid;
        self.text_of(pid, id, bytes)
    }

    /// A textual fact that is read when asked for, of any process of the tree.
    #[must_use]
    pub fn text_of(mut self, pid: u32, id: TextId, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        if id.0 < ON_DEMAND {
            self.texts.push((id, bytes));
        } else {
            self.on_demand.texts.insert((pid, id.0), bytes);
        }
        self
    }

    /// The program and its arguments.
    #[must_use]
    pub fn command_line(self, words: &[&str]) -> Self {
        let ended = words.iter().map(|word| format!("{word}\0")).collect::<String>();
        self.text(TextId::COMMAND_LINE, ended)
    }

    /// An environment variable of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.on_demand.environment.insert((self.pid, name.to_owned()), value.as_ref().to_vec());
        self
    }

    /// Lends the binary view, as the host hands it over.
    pub(super) fn viewed<T>(&self, call: impl FnOnce(&ProcessView<'_>) -> T) -> T {
        let texts = self.texts.iter().map(|(id, bytes)| Text { id: *id, bytes: RSlice::from_slice(bytes) });
        let texts: Vec<Text<'_>> = texts.collect();
        call(&ProcessView {
            pid: self.pid,
            start_ticks: self.start_ticks,
            descendants: self.descendants.as_slice().into(),
            numbers: self.numbers.as_slice().into(),
            texts: RSlice::from_slice(&texts),
        })
    }
}
