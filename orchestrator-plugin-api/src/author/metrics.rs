//! Metrics plugins and the values they return.

use super::error::Result;
use super::process::Process;
use crate::abi::Sample;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// A class that measures: per process, for the whole machine, or both.
pub trait MetricsPlugin: Sized + Send + 'static {
    /// The instance's `config:` section. Unknown keys are refused by name; [`NoConfig`](crate::NoConfig)
    /// takes none.
    type Config: DeserializeOwned;

    /// Makes the instance from its configuration; called once, before anything else.
    ///
    /// # Errors
    /// Whatever makes the instance useless; the host names the instance and disables it.
    fn initialize(config: Self::Config) -> Result<Self>;

    /// Measures one process and its descendants; called on every interval for every running process.
    ///
    /// # Errors
    /// A failed measurement; it is counted and reported, and the next interval calls again. A process that
    /// has ended meanwhile is no error: return empty metrics.
    fn collect_metrics(&mut self, process: &Process<'_>) -> Result<Metrics> {
        let _ = process;
        Ok(Metrics::new())
    }

    /// Measures the whole machine; called once on every interval.
    ///
    /// # Errors
    /// A failed measurement; it is counted and reported, and the next interval calls again.
    fn collect_system_metrics(&mut self) -> Result<Metrics> {
        Ok(Metrics::new())
    }

    /// The instance's state, in a format of its own, for a successor of it: a restarted one, or one of a later build
    /// of the library. `None`: there is none worth keeping.
    ///
    /// # Errors
    /// The state cannot be written down; the successor starts anew.
    fn snapshot(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Takes over the state of a predecessor, right after [`initialize`](Self::initialize). The bytes may come from
    /// an earlier or later build of the plugin: write a version into them.
    ///
    /// # Errors
    /// The state is of no use; the instance goes on as initialised, so change nothing before all of it was read.
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// Names and values that a metrics plugin returns.
///
/// Values must be finite, and not negative unless the metric is declared as `signed_gauge`: the host drops
/// and reports others. A name is at most 200 bytes long; a call returns at most 10,000 values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<(Cow<'static, str>, f64)>);

impl Metrics {
    /// No metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// Adds one value where there is one.
    pub fn push_some(&mut self, name: impl Into<Cow<'static, str>>, value: Option<f64>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in the order of their addition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    pub(crate) fn samples(&self) -> Vec<Sample<'_>> {
        self.iter().map(|(name, value)| Sample { name: name.into(), value }).collect()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (N, f64)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<N: Into<Cow<'static, str>>> Extend<(N, f64)> for Metrics {
    fn extend<I: IntoIterator<Item = (N, f64)>>(&mut self, values: I) {
        self.0.extend(values.into_iter().map(|(name, value)| (name.into(), value)));
    }
}

impl<N: Into<Cow<'static, str>>, const LEN: usize> From<[(N, f64); LEN]> for Metrics {
    fn from(values: [(N, f64); LEN]) -> Self {
        values.into_iter().collect()
    }
}

impl<N: Into<Cow<'static, str>>> From<Vec<(N, f64)>> for Metrics {
    fn from(values: Vec<(N, f64)>) -> Self {
        values.into_iter().collect()
    }
}

/// Named values that a capacity plugin reads.
#[derive(Clone, Copy)]
pub struct Readings<'a>(&'a [Sample<'a>]);

impl<'a> Readings<'a> {
    /// Wraps samples; for hosts and for tests of plugins.
    pub fn new(samples: &'a [Sample<'a>]) -> Self {
        Self(samples)
    }

    /// The value of a metric, or `None` where nobody measured it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|sample| sample.name.as_str() == name).map(|sample| sample.value)
    }

    /// All names and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
        self.0.iter().map(|sample| (sample.name.as_str(), sample.value))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, as when no calibration has been made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
