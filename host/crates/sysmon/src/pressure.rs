//! Pressure stall information: for how much of the time work had to wait for a resource.

use std::fs;

/// Share of the last ten seconds in which tasks waited, 0–100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Some task waited.
    pub some: f64,
    /// All tasks that could have run waited; 0 where the kernel does not tell.
    pub full: f64,
}

/// Pressure on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Waiting for a processor.
    pub cpu: Stall,
    /// Waiting for memory (reclaim, swap-in, refault).
    pub memory: Stall,
    /// Waiting for storage.
    pub io: Stall,
}

/// Reads `/proc/pressure/*` (`avg10`); `None` where the kernel was built or booted without it.
#[must_use]
pub fn pressure() -> Option<Pressure> {
    let stall = |name: &str| parse(&fs::read_to_string(format!("/proc/pressure/{name}")).ok()?);
    Some(Pressure { cpu: stall("cpu")?, memory: stall("memory")?, io: stall("io")? })
}

fn parse(text: &str) -> Option<Stall> {
    let average = |kind: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split_whitespace().find_map(|field| field.strip_prefix("avg10=")?.parse().ok())
    };
    Some(Stall { some: average("some ")?, full: average("full ").unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_read() {
        let text = "some avg10=1.50 avg60=0.20 avg300=0.10 total=5\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(parse(text), Some(Stall { some: 1.5, full: 0.25 }));
        assert_eq!(parse("some avg10=2.00 total=1\n"), Some(Stall { some: 2.0, full: 0.0 }));
        assert_eq!(parse(""), None);
    }
}
