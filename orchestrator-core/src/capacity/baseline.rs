//! What one instance of the binary needs: the result of calibration.

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// Baseline resource usage of one instance, over the calibration attempts together. Stored per binary checksum and
/// flags and reused while they match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Attempts that were measured.
    pub samples: u32,
    /// Cores that one instance keeps busy, mean over the attempts.
    pub cpu_cores: f64,
    /// Largest resident memory of one instance, bytes.
    pub rss_peak_bytes: f64,
    /// Growth of resident memory after the warm-up, bytes per second, largest of the attempts.
    pub rss_growth_bytes_per_second: f64,
    /// Bytes read from storage per second, mean over the attempts.
    pub read_bytes_per_second: f64,
    /// Bytes written to storage per second, mean over the attempts.
    pub write_bytes_per_second: f64,
    /// Run time of the attempts that ended while measured, seconds, mean; 0 when none did.
    pub wall_seconds: f64,
}

impl Baseline {
    /// The baseline under the names that capacity plugins read (`calibration.*`); empty before any measurement.
    #[must_use]
    pub fn to_metrics(&self) -> Metrics {
        if self.samples == 0 {
            return Metrics::new();
        }
        [
            ("calibration.samples", f64::from(self.samples)),
            ("calibration.cpu_cores", self.cpu_cores),
            ("calibration.rss_peak_bytes", self.rss_peak_bytes),
            ("calibration.rss_growth_bytes_per_second", self.rss_growth_bytes_per_second),
            ("calibration.read_bytes_per_second", self.read_bytes_per_second),
            ("calibration.write_bytes_per_second", self.write_bytes_per_second),
            ("calibration.wall_seconds", self.wall_seconds),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
    }
}
