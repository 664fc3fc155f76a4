//! What a metrics plugin pushes, and which of it is believed.

use abi_stable::std_types::{RSlice, RStr};
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{Sample, SampleSink};
use orchestrator_plugin_api::{ClassDescriptor, MetricKind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;

/// Values that a call may return.
pub(crate) const VALUES_PER_CALL: usize = 10_000;
/// Values that an instance may return in a round, over all processes and the machine, and the bytes of their names.
const ROUND: Room = Room { values: 50_000, bytes: 4 << 20 };
/// Longest name of a metric in bytes.
pub(crate) const NAME_BYTES: usize = 200;
/// Names that are the host's own to give.
const RESERVED: [&str; 3] = ["orchestrator.", "limits.", "calibration."];

/// Which of an instance's metrics may be negative: those that its descriptor declares as `signed_gauge`.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    exact: HashMap<String, bool>,
    patterns: Vec<(String, bool)>,
}

impl Declared {
    pub(crate) fn new(class: &ClassDescriptor) -> Self {
        let mut declared = Self::default();
        for metric in &class.metrics {
            let signed = metric.kind == MetricKind::SignedGauge;
            if metric.name.contains('*') {
                declared.patterns.push((metric.name.clone(), signed));
            } else {
                declared.exact.insert(metric.name.clone(), signed);
            }
        }
        declared
    }

    fn may_be_negative(&self, name: &str) -> bool {
        let pattern =
            || self.patterns.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, signed)| *signed);
        self.exact.get(name).copied().or_else(pattern).unwrap_or(false)
    }
}

/// Whether the dotted segments are equal; `*` stands for one segment.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), name.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == "*" || wanted == found => {}
            _ => return false,
        }
    }
}

/// What was dropped of an instance's values, and one example of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) not_finite: Pile,
    pub(crate) negative: Pile,
    pub(crate) bad_name: Pile,
    pub(crate) reserved: Pile,
    pub(crate) surplus: Pile,
}

/// What an instance may still return in the round under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    values: u32,
    /// Of names.
    bytes: u32,
}

impl Default for Room {
    fn default() -> Self {
        ROUND
    }
}

impl Room {
    /// Takes the room of a value with this name; `false` where there is none.
    fn take(&mut self, name: &str) -> bool {
        let bytes = u32::try_from(name.len()).ok().and_then(|length| self.bytes.checked_sub(length));
        match (self.values.checked_sub(1), bytes) {
            (Some(values), Some(bytes)) => {
                *self = Self { values, bytes };
                true
            }
            _ => false,
        }
    }
}

/// The books of a round's values: what was dropped of them, and how many may still come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) dropped: Dropped,
    pub(crate) room: Room,
}

/// How many, and the name of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pile {
    pub(crate) count: u64,
    pub(crate) example: String,
}

impl Pile {
    fn add(&mut self, count: usize, name: &str) {
        if self.count == 0 {
            self.example = name.chars().take(60).filter(|c| !c.is_control()).collect();
        }
        self.count += count as u64;
    }

    /// So many of which one is called so.
    pub(crate) fn of(count: u64, name: &str) -> Self {
        let mut pile = Self::default();
        // Sums of what somebody else counted stay far from their limit.
        pile.add(usize::try_from(count.min(1 << 32)).unwrap_or(usize::MAX), name);
        pile
    }

    pub(crate) fn merge(&mut self, more: Self) {
        if self.count == 0 {
            self.example = more.example;
        }
        self.count = self.count.saturating_add(more.count);
    }
}

impl Dropped {
    /// Each pile with its sentence.
    pub(crate) fn piles(&self) -> [(&Pile, &'static str); 5] {
        [
            (&self.not_finite, "are no finite numbers"),
            (&self.negative, "are negative though not declared as `signed_gauge`"),
            (&self.bad_name, "have a name that is empty, longer than 200 bytes or has odd characters"),
            (&self.reserved, "bear a name that is the host's own"),
            (&self.surplus, "are more than the 10,000 of a call or the 50,000 (4 MiB of names) of a round"),
        ]
    }

    /// The piles in the order of [`Self::piles`].
    pub(crate) fn piles_mut(&mut self) -> [&mut Pile; 5] {
        [&mut self.not_finite, &mut self.negative, &mut self.bad_name, &mut self.reserved, &mut self.surplus]
    }

    pub(crate) fn total(&self) -> u64 {
        self.piles().iter().fold(0, |total, (pile, _)| total.saturating_add(pile.count))
    }
}

/// Takes the samples of one call.
pub(crate) struct Collector<'c> {
    declared: &'c Declared,
    built_in: &'c Metrics,
    dropped: &'c mut Dropped,
    room: &'c mut Room,
    taken: usize,
    metrics: Metrics,
}

impl<'c> Collector<'c> {
    /// `built_in` are the host's own metrics of the round: no plugin overrides one.
    pub(crate) fn new(declared: &'c Declared, built_in: &'c Metrics, ledger: &'c mut Ledger) -> Self {
        let Ledger { dropped, room } = ledger;
        Self { declared, built_in, dropped, room, taken: 0, metrics: Metrics::new() }
    }

    /// Calls with a sink that fills this collector, and returns what it took.
    pub(crate) fn fill<E>(mut self, call: impl FnOnce(SampleSink) -> Result<(), E>) -> Result<Metrics, E> {
        let context = std::ptr::from_mut(&mut self).cast();
        call(SampleSink { context, push })?;
        Ok(self.metrics)
    }

    /// Takes what came by another way than a sink.
    pub(crate) fn judged<'v>(mut self, values: impl IntoIterator<Item = (&'v str, f64)>) -> Metrics {
        for (name, value) in values {
            let _ = self.take(&[Sample { name: name.into(), value }]);
        }
        self.metrics
    }

    fn take(&mut self, samples: &[Sample<'_>]) -> bool {
        let room = VALUES_PER_CALL - self.taken;
        let (taken, surplus) = samples.split_at(samples.len().min(room));
        self.taken += taken.len();
        for sample in taken {
            match std::str::from_utf8(sample.name.as_str().as_bytes()) {
                Ok(name) => self.judge(name, sample.value),
                Err(_) => self.dropped.bad_name.add(1, "no text"),
            }
        }
        if let Some(first) = surplus.first() {
            self.dropped.surplus.add(surplus.len(), &text(first.name));
        }
        self.taken < VALUES_PER_CALL
    }

    fn judge(&mut self, name: &str, value: f64) {
        if !well_named(name) {
            self.dropped.bad_name.add(1, name);
        } else if self.built_in.contains_key(name) || RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
            self.dropped.reserved.add(1, name);
        } else if !value.is_finite() {
            self.dropped.not_finite.add(1, name);
        } else if value < 0.0 && !self.declared.may_be_negative(name) {
            self.dropped.negative.add(1, name);
        } else if !self.room.take(name) {
            self.dropped.surplus.add(1, name);
        } else {
            self.metrics.insert(name.to_owned(), value);
        }
    }
}

/// What a library calls text need not be any.
pub(crate) fn text(claimed: RStr<'_>) -> Cow<'_, str> {
    String::from_utf8_lossy(claimed.as_str().as_bytes())
}

fn well_named(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

extern "C" fn push(context: *mut (), samples: RSlice<'_, Sample<'_>>) -> bool {
    // SAFETY: `fill` lends the collector for the length of the call to which it hands this sink, and does not touch it
    // meanwhile; the contract binds the plugin to push from within the call.
    let collector = unsafe { &mut *context.cast::<Collector<'_>>() };
    collector.take(samples.as_slice())
}

#[cfg(test)]
mod tests {
    use super::{Collector, Declared, Dropped, Ledger, NAME_BYTES, ROUND, VALUES_PER_CALL, matches};
    use orchestrator_core::metrics::Metrics;
    use orchestrator_plugin_api::abi::Sample;
    use orchestrator_plugin_api::{ClassDescriptor, MetricDescriptor, MetricKind, PluginKind};

    fn declared(name: &str, kind: MetricKind) -> Declared {
        let metric = MetricDescriptor { name: name.into(), kind, unit: "1".into(), help: String::new() };
        Declared::new(&ClassDescriptor {
            class: "C".into(),
            kind: PluginKind::Metrics,
            about: String::new(),
            config_schema: None,
            metrics: vec![metric],
        })
    }

    fn collect(declared: &Declared, values: &[(&str, f64)]) -> (Metrics, Dropped) {
        let samples: Vec<Sample<'_>> =
            values.iter().map(|(name, value)| Sample { name: (*name).into(), value: *value }).collect();
        let built_in = Metrics::from([("system.cpu.percent".to_owned(), 99.0)]);
        let mut ledger = Ledger::default();
        let taken = Collector::new(declared, &built_in, &mut ledger).fill(|sink| {
            (sink.push)(sink.context, samples.as_slice().into());
            Ok::<(), ()>(())
        });
        (taken.unwrap(), ledger.dropped)
    }

    #[test]
    fn bad_values_are_dropped_one_by_one() {
        let long = "n".repeat(NAME_BYTES + 1);
        let values = [
            ("good", 1.0),
            ("nan", f64::NAN),
            ("inf", f64::NEG_INFINITY),
            ("minus", -1.0),
            ("", 1.0),
            (long.as_str(), 1.0),
            ("new\nline", 1.0),
            ("system.cpu.percent", 0.0),
            ("limits.anything", 0.0),
            ("zero", -0.0),
        ];
        let (metrics, dropped) = collect(&Declared::default(), &values);
        assert_eq!(metrics.keys().collect::<Vec<_>>(), ["good", "zero"]);
        assert_eq!((dropped.not_finite.count, dropped.negative.count), (2, 1));
        assert_eq!((dropped.bad_name.count, dropped.reserved.count), (3, 2));
        assert_eq!(dropped.not_finite.example, "nan");
        assert_eq!(dropped.total(), 8);
    }

    #[test]
    fn a_name_that_is_no_text_is_dropped() {
        let bytes = vec![b'z', 0xff, 0xfe, 0xc0];
        // SAFETY: not so, which is the point: a library can do this, and the collector must not trust it.
        let name = unsafe { std::str::from_utf8_unchecked(&bytes) };
        let (metrics, dropped) = collect(&Declared::default(), &[(name, 1.0), ("good", 1.0)]);
        assert_eq!((metrics.len(), dropped.bad_name.count), (1, 1));
    }

    #[test]
    fn a_declared_signed_gauge_may_be_negative() {
        let declared = declared("temperature.*.celsius", MetricKind::SignedGauge);
        let (metrics, dropped) =
            collect(&declared, &[("temperature.cpu0.celsius", -3.5), ("temperature.celsius", -1.0)]);
        assert_eq!(metrics["temperature.cpu0.celsius"], -3.5);
        assert_eq!(dropped.negative.count, 1);
    }

    #[test]
    fn a_flood_is_cut() {
        let names: Vec<String> = (0..VALUES_PER_CALL + 5).map(|n| format!("m{n}")).collect();
        let values: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        let (metrics, dropped) = collect(&Declared::default(), &values);
        assert_eq!(metrics.len(), VALUES_PER_CALL);
        assert_eq!(dropped.surplus.count, 5);
    }

    #[test]
    fn a_round_has_room_for_so_many_values_and_names_and_no_more() {
        let long = "n".repeat(NAME_BYTES - 4);
        for (name, most) in [("", ROUND.values), (&long, ROUND.bytes / NAME_BYTES as u32)] {
            let names: Vec<String> = (0..VALUES_PER_CALL).map(|n| format!("{name}{n:04}")).collect();
            let (declared, built_in, mut ledger) = Default::default();
            let mut kept = 0;
            let calls = 6;
            for _ in 0..calls {
                let values = names.iter().map(|name| (name.as_str(), 1.0));
                kept += Collector::new(&declared, &built_in, &mut ledger).judged(values).len();
            }
            assert_eq!(kept, most as usize);
            assert_eq!(ledger.dropped.surplus.count, (calls * VALUES_PER_CALL - kept) as u64);
        }
    }

    #[test]
    fn a_star_stands_for_exactly_one_segment() {
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("a.*.c", "a.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(matches("a", "a"));
    }
}
