//! When will it be over? An estimate with a band, hidden until it means something.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the estimate is made from.
#[derive(Clone, Copy, Debug)]
pub struct EtaInputs {
    /// Since the start of this run.
    pub elapsed: Duration,
    /// Tasks completed or failed in this run.
    pub finished: u64,
    /// Tasks that wait.
    pub waiting: u64,
    /// For each running attempt the time it has run would be too much: their number …
    pub running: u64,
    /// … and the sum of their run times so far, seconds.
    pub running_seconds: f64,
    /// Mean run time of successful attempts, seconds.
    pub mean: f64,
    /// Its standard deviation, seconds.
    pub deviation: f64,
    /// Attempts that run at once.
    pub concurrency: u32,
}

/// Time that is left, with a band that holds about two times in three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eta {
    /// Likely.
    pub likely: Duration,
    /// Optimistic end of the band.
    pub low: Duration,
    /// Pessimistic end of the band.
    pub high: Duration,
}

/// The estimate: remaining work over the present concurrency.
///
/// Remaining work = waiting · mean + Σ max(mean − run so far, 10 % of the mean) over running attempts. The band is one
/// standard error of that sum: individual spread adds in quadrature (deviation · √n), the error of the mean adds
/// linearly (n · deviation / √finished). `None` until 5 % are finished or 15 s have passed, and before two successes.
#[must_use]
pub fn estimate(inputs: EtaInputs) -> Option<Eta> {
    let total = inputs.finished + inputs.waiting + inputs.running;
    let early = inputs.elapsed < Duration::from_secs(15) && inputs.finished * 20 < total;
    if early || inputs.finished < 2 || inputs.mean <= 0.0 {
        return None;
    }
    let running = inputs.running as f64;
    let rest = (running * inputs.mean - inputs.running_seconds).max(0.1 * running * inputs.mean);
    let n = inputs.waiting as f64 + running;
    let work = inputs.waiting as f64 * inputs.mean + rest;
    let error = inputs.deviation * (n.sqrt() + n / (inputs.finished as f64).sqrt());
    let at_once = f64::from(inputs.concurrency.max(1)).min(n.max(1.0));
    let seconds = |work: f64| Duration::from_secs_f64((work / at_once).clamp(0.0, 1e9));
    Some(Eta { likely: seconds(work), low: seconds(work - error), high: seconds(work + error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> EtaInputs {
        EtaInputs {
            elapsed: Duration::from_secs(20),
            finished: 100,
            waiting: 100,
            running: 0,
            running_seconds: 0.0,
            mean: 2.0,
            deviation: 1.0,
            concurrency: 4,
        }
    }

    #[test]
    fn remaining_work_over_concurrency_with_a_band() {
        let eta = estimate(inputs()).unwrap();
        assert_eq!(eta.likely, Duration::from_secs(50));
        assert_eq!((eta.low, eta.high), (Duration::from_secs(45), Duration::from_secs(55)));
    }

    #[test]
    fn hidden_until_it_means_something() {
        assert_eq!(estimate(EtaInputs { elapsed: Duration::from_secs(1), finished: 3, ..inputs() }), None);
        assert!(estimate(EtaInputs { elapsed: Duration::from_secs(1), finished: 30, ..inputs() }).is_some());
    }
}
