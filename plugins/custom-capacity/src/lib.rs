//! `CustomCapacityCalculator`: as many processes as user-given limits on any metric allow.
//!
//! Configuration (at least one limit):
//! - `max_connections`: most TCP connections of all our processes together, short for a limit on
//!   `net.tcp.established` (which `ConnectionMetricsCollector` measures);
//! - `limits: {METRIC: MAX}`: most of any metric, summed over our processes.
//!
//! Of every limit, with *v* the metric's sum over the *n* running processes that were measured, a process's share is *v*/*n* and the
//! capacity ⌊*max* / (*v*/*n*)⌋; the smallest counts. While none runs, the last share counts. A share shows only while
//! processes run, and late (connections are made some time after the start), so the answer is besides never more than twice
//! as many as now, and at least 1 where no limit is reached. "Now" are the running processes; since short ones come and go
//! while one looks, up to twice as many and one count as running where so many are allowed at present. A metric of the whole
//! machine counts as if all of it were ours.
//!
//! A metric that nobody measures while processes run is an error: the host then keeps the last good answer as an upper
//! bound.

mod limits;

use limits::{Limit, Limits};
use orchestrator_plugin_api::{Capacity, CapacityPlugin, Error, Readings, Result, export_plugin};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What `max_connections` limits.
const CONNECTIONS: &str = "net.tcp.established";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Most TCP connections of all our processes together.
    max_connections: Option<u64>,
    /// Most of any metric, summed over our processes.
    limits: BTreeMap<String, f64>,
}

struct CustomCapacity(Limits);

impl CapacityPlugin for CustomCapacity {
    type Config = Config;

    fn initialize(config: Config) -> Result<Self> {
        let connections = config.max_connections.map(|max| (CONNECTIONS.to_owned(), max as f64));
        let mut limits = Vec::new();
        for (metric, max) in connections.into_iter().chain(config.limits) {
            if !(max.is_finite() && max > 0.0) {
                let advice = "give a number above 0, or remove the limit";
                return Err(Error::config(format!("the limit on `{metric}` is {max}; {advice}")));
            }
            limits.push(Limit::new(metric, max));
        }
        if limits.is_empty() {
            return Err(Error::config("no limit is given; set `max_connections` or `limits`"));
        }
        Ok(Self(Limits(limits)))
    }

    fn calculate_capacity(&mut self, _: &Readings<'_>, current: &Readings<'_>) -> Result<Capacity> {
        let running = current.get("orchestrator.processes.running").unwrap_or(0.0) as u32;
        let allowed = current.get("orchestrator.concurrency.current").unwrap_or(0.0) as u32;
        // A host that does not say how many were measured measured all.
        let measured = current.get("orchestrator.processes.measured").map_or(running, |number| number as u32);
        let capacity = self.0.capacity((running, measured), allowed, |metric| current.get(metric));
        let (processes, reason) = capacity.map_err(|metric| {
            let advice = "enable the metrics plugin that emits it, or correct the name";
            Error::unavailable(format!("nobody measures `{metric}`; {advice}"))
        })?;
        Ok(Capacity::new(processes).because(reason))
    }
}

export_plugin! {
    capacity: CustomCapacity as "CustomCapacityCalculator",
    about: "As many processes as limits on connections or on any other metric allow.",
    config_schema: r#"{"type":"object","additionalProperties":false,"minProperties":1,"properties":{
"max_connections":{"type":"integer","minimum":1,"description":"Most TCP connections of all processes together"},
"limits":{"type":"object","description":"Most of any metric, summed over all processes",
"additionalProperties":{"type":"number","exclusiveMinimum":0}}}}"#
}

#[cfg(test)]
mod tests {
    use super::CustomCapacity;
    use orchestrator_plugin_api::ErrorCode;
    use orchestrator_plugin_api::testing::FakeHost;

    const RUNNING: [(&str, f64); 2] =
        [("orchestrator.processes.running", 4.0), ("orchestrator.concurrency.current", 4.0)];

    #[test]
    fn the_tightest_of_the_configured_limits_decides() {
        let host = FakeHost::new();
        let config = r#"{"max_connections": 1000, "limits": {"license.seats": 6}}"#;
        let mut plugin: CustomCapacity = host.capacity(config).unwrap();
        let current = [&RUNNING[..], &[("net.tcp.established", 400.0), ("license.seats", 4.0)]].concat();
        let answer = host.calculate(&mut plugin, &[], &current).unwrap();
        assert_eq!(answer.processes(), 6);
        assert!(answer.reason().starts_with("license.seats: 4 of 6"), "{}", answer.reason());
    }

    #[test]
    fn a_metric_that_nobody_measures_is_unavailable() {
        let host = FakeHost::new();
        let mut plugin: CustomCapacity = host.capacity(r#"{"max_connections": 10}"#).unwrap();
        let error = host.calculate(&mut plugin, &[], &RUNNING).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable);
        assert!(error.message().contains("`net.tcp.established`"), "{error}");
    }

    #[test]
    fn a_section_without_a_sensible_limit_is_refused() {
        let host = FakeHost::new();
        for config in
            ["{}", r#"{"limits": {"a": 0}}"#, r#"{"limits": {"a": -1}}"#, r#"{"max_connections": 0}"#]
        {
            let error = host.capacity::<CustomCapacity>(config).err().unwrap();
            assert_eq!(error.code(), ErrorCode::Config, "{config}");
        }
    }
}
