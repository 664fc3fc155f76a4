//! The arithmetic of limits; pure.

/// Most of one metric, summed over our processes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    metric: String,
    max: f64,
    /// What one process had of it when last some ran.
    share: f64,
}

/// At least one limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits(pub(crate) Vec<Limit>);

impl Limits {
    /// The capacity and what limits it, or the metric that nobody measures. Of the `running` processes `measured` are in
    /// the metrics' sums.
    pub(crate) fn capacity(
        &mut self,
        (running, measured): (u32, u32),
        allowed: u32,
        value: impl Fn(&str) -> Option<f64>,
    ) -> Result<(u32, String), String> {
        let now = now(running, allowed);
        let mut least = (now.saturating_mul(2).max(1), format!("at most twice the {now} of now"));
        for limit in &mut self.0 {
            let value = match value(&limit.metric) {
                Some(value) => value,
                // With no process there is no sum over processes.
                None if measured == 0 => 0.0,
                None => return Err(limit.metric.clone()),
            };
            let room = limit.room(measured, value);
            if room <= least.0 {
                least = (room, format!("{}: {value} of {} with {measured} running", limit.metric, limit.max));
            }
        }
        Ok(least)
    }
}

impl Limit {
    pub(crate) fn new(metric: String, max: f64) -> Self {
        Self { metric, max, share: 0.0 }
    }

    fn room(&mut self, measured: u32, value: f64) -> u32 {
        if measured > 0 {
            self.share = value / f64::from(measured);
        } else if value >= self.max {
            return 0;
        }
        if self.share > 0.0 {
            (self.max / self.share + 1e-9).floor().min(f64::from(u32::MAX)) as u32
        } else {
            u32::MAX
        }
    }
}

/// How many run now. Short processes come and go: of those that are allowed, up to twice the running ones and one more
/// count as only just ended.
fn now(running: u32, allowed: u32) -> u32 {
    allowed.min(running.saturating_mul(2).saturating_add(1)).max(running)
}

#[cfg(test)]
mod tests {
    use super::{Limit, Limits};

    fn limits() -> Limits {
        Limits(vec![
            Limit::new("net.tcp.established".into(), 1000.0),
            Limit::new("license.seats".into(), 8.0),
        ])
    }

    fn capacity(limits: &mut Limits, running: u32, connections: f64, seats: f64) -> u32 {
        let value = |metric: &str| Some(if metric == "license.seats" { seats } else { connections });
        limits.capacity((running, running), running, value).unwrap().0
    }

    #[test]
    fn the_tightest_share_decides() {
        // 400/4 = 100 connections each → 10; 4/4 = 1 seat each → 8; never more than 2 · 4.
        assert_eq!(capacity(&mut limits(), 4, 400.0, 4.0), 8);
        assert_eq!(capacity(&mut limits(), 4, 1000.0, 4.0), 4);
        assert_eq!(capacity(&mut limits(), 10, 2000.0, 1.0), 5);
        assert_eq!(capacity(&mut limits(), 6, 0.0, 9.0), 5);
    }

    #[test]
    fn before_a_share_shows_the_number_at_most_doubles() {
        assert_eq!(capacity(&mut limits(), 0, 0.0, 0.0), 1);
        assert_eq!(capacity(&mut limits(), 1, 0.0, 0.0), 2);
        assert_eq!(capacity(&mut limits(), 8, 0.0, 0.0), 16);
    }

    #[test]
    fn a_gap_between_two_short_processes_is_no_decrease() {
        let nothing = |_: &str| Some(0.0);
        assert_eq!(limits().capacity((3, 3), 4, nothing).unwrap().0, 8);
        assert_eq!(limits().capacity((0, 0), 1, nothing).unwrap().0, 2);
        assert_eq!(limits().capacity((1, 1), 100, nothing).unwrap().0, 6);
    }

    #[test]
    fn while_none_runs_the_last_share_counts() {
        let mut limits = limits();
        assert_eq!(capacity(&mut limits, 2, 2000.0, 0.0), 1);
        let allowed = 8;
        assert_eq!(limits.capacity((0, 0), allowed, |_| None).unwrap().0, 1);
    }

    #[test]
    fn a_machine_over_its_limit_starts_nothing() {
        assert_eq!(capacity(&mut limits(), 0, 1000.0, 0.0), 0);
    }

    #[test]
    fn a_process_that_was_not_measured_yet_is_neither_missed_nor_shared_with() {
        assert_eq!(limits().capacity((2, 0), 2, |_| None).unwrap().0, 4);
        // 250 connections of the one measured process, not of two.
        let value = |metric: &str| Some(if metric == "license.seats" { 0.0 } else { 250.0 });
        assert_eq!(limits().capacity((2, 1), 2, value).unwrap().0, 4);
        assert_eq!(limits().capacity((3, 1), 3, value).unwrap().0, 4);
    }

    #[test]
    fn a_metric_that_nobody_measures_is_named() {
        let only_connections = |metric: &str| (metric == "net.tcp.established").then_some(1.0);
        assert_eq!(limits().capacity((2, 2), 2, only_connections), Err("license.seats".to_owned()));
        assert!(limits().capacity((0, 0), 0, only_connections).is_ok());
    }
}
