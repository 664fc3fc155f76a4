//! The arithmetic of limits; pure.

/// Most of one metric, summed over our processes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) metric: String,
    pub(crate) max: f64,
}

/// At least one limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits(pub(crate) Vec<Limit>);

impl Limits {
    /// The capacity and what limits it, or the metric that nobody measures.
    pub(crate) fn capacity(
        &self,
        running: u32,
        value: impl Fn(&str) -> Option<f64>,
    ) -> Result<(u32, String), String> {
        let mut least = (ramp(running), format!("at most twice the {running} that run"));
        for limit in &self.0 {
            let value = match value(&limit.metric) {
                Some(value) => value,
                // With no process there is no sum over processes.
                None if running == 0 => 0.0,
                None => return Err(limit.metric.clone()),
            };
            let allowed = limit.allows(running, value);
            if allowed <= least.0 {
                least =
                    (allowed, format!("{}: {value} of {} with {running} running", limit.metric, limit.max));
            }
        }
        Ok(least)
    }
}

impl Limit {
    fn allows(&self, running: u32, value: f64) -> u32 {
        if running == 0 {
            return if value >= self.max { 0 } else { u32::MAX };
        }
        let share = value / f64::from(running);
        if share > 0.0 { (self.max / share + 1e-9).floor().min(f64::from(u32::MAX)) as u32 } else { u32::MAX }
    }
}

fn ramp(running: u32) -> u32 {
    running.saturating_mul(2).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Limit, Limits};

    fn limits() -> Limits {
        let limit = |metric: &str, max| Limit { metric: metric.to_owned(), max };
        Limits(vec![limit("net.tcp.established", 1000.0), limit("license.seats", 8.0)])
    }

    fn capacity(running: u32, connections: f64, seats: f64) -> u32 {
        let value = |metric: &str| Some(if metric == "license.seats" { seats } else { connections });
        limits().capacity(running, value).unwrap().0
    }

    #[test]
    fn the_tightest_share_decides() {
        // 400/4 = 100 connections each → 10; 4/4 = 1 seat each → 8; never more than 2 · 4.
        assert_eq!(capacity(4, 400.0, 4.0), 8);
        assert_eq!(capacity(4, 1000.0, 4.0), 4);
        assert_eq!(capacity(10, 2000.0, 1.0), 5);
        assert_eq!(capacity(6, 0.0, 9.0), 5);
    }

    #[test]
    fn before_a_share_shows_the_number_at_most_doubles() {
        assert_eq!(capacity(0, 0.0, 0.0), 1);
        assert_eq!(capacity(1, 0.0, 0.0), 2);
        assert_eq!(capacity(8, 0.0, 0.0), 16);
    }

    #[test]
    fn a_machine_over_its_limit_starts_nothing() {
        assert_eq!(capacity(0, 1000.0, 0.0), 0);
    }

    #[test]
    fn a_metric_that_nobody_measures_is_named() {
        let only_connections = |metric: &str| (metric == "net.tcp.established").then_some(1.0);
        assert_eq!(limits().capacity(2, only_connections), Err("license.seats".to_owned()));
        assert!(limits().capacity(0, only_connections).is_ok());
    }
}
