//! The replay: streams, lag, forecasts.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{SHORTEST_STREAM, Score, Totals, TraceOutcome, TraceRow, TraceTask, UNSCORED};
use crate::Bytes;
use crate::predict::{AmountPredictor, Features, MemoryPredictor, MemoryRules};

/// Expected run time, seconds; absent before the first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RunTime {
    /// As likely above as below.
    pub p50: Option<f64>,
    /// Exceeded once in twenty.
    pub p95: Option<f64>,
}

/// What was expected of one row before its result was shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// The workflow.
    pub workflow: String,
    /// The kind of task within it.
    pub task: String,
    /// Its number, as the trace gives it.
    pub seq: u64,
    /// Allocations for the first, second, … attempt, bytes; past its end it doubles.
    pub ladder_bytes: Vec<Bytes>,
    /// Expected run time.
    pub runtime_s: RunTime,
}

/// Replays rows in the order given.
#[derive(Clone, Debug)]
pub struct Replay {
    lag: usize,
    rules: MemoryRules,
    streams: BTreeMap<(String, String), Stream>,
}

#[derive(Clone, Debug)]
struct Stream {
    memory: MemoryPredictor,
    run_time: AmountPredictor,
    /// Results that are not known yet.
    running: VecDeque<(Features, TraceOutcome)>,
    rows: usize,
    score: Score,
}

impl Replay {
    /// A replay in which the result of a row becomes known `lag` rows of its stream later than at once.
    #[must_use]
    pub fn new(lag: usize, rules: MemoryRules) -> Self {
        Self { lag, rules, streams: BTreeMap::new() }
    }

    fn stream(&mut self, task: &TraceTask) -> &mut Stream {
        let rules = self.rules;
        self.streams.entry((task.workflow.clone(), task.task.clone())).or_insert_with(|| Stream {
            memory: MemoryPredictor::new(rules),
            run_time: AmountPredictor::default(),
            running: VecDeque::new(),
            rows: 0,
            score: Score::default(),
        })
    }

    /// What is expected of a task that starts now.
    pub fn forecast(&mut self, task: &TraceTask) -> Forecast {
        let stream = self.stream(task);
        let run_time = stream.run_time.predict(&task.features);
        Forecast {
            workflow: task.workflow.clone(),
            task: task.task.clone(),
            seq: task.seq,
            ladder_bytes: stream.memory.predict(&task.features).ladder,
            runtime_s: RunTime { p50: run_time.map(|time| time.p50), p95: run_time.map(|time| time.p95) },
        }
    }

    /// The result of the task that the forecast was for: scored at once, learned from when the lag has passed.
    pub fn settle(&mut self, task: &TraceTask, forecast: &Forecast, outcome: TraceOutcome) {
        let lag = self.lag;
        let stream = self.stream(task);
        if stream.rows >= UNSCORED {
            stream.score.add(&forecast.ladder_bytes, forecast.runtime_s.p50, &outcome);
        }
        stream.rows += 1;
        stream.running.push_back((task.features, outcome));
        if stream.running.len() > lag
            && let Some((features, outcome)) = stream.running.pop_front()
        {
            stream.memory.observe(&features, outcome.peak, outcome.seconds);
            stream.run_time.observe(&features, outcome.seconds);
        }
    }

    /// Forecast and result of one row.
    pub fn row(&mut self, row: &TraceRow) -> Forecast {
        let forecast = self.forecast(&row.task);
        self.settle(&row.task, &forecast, row.outcome);
        forecast
    }

    /// The figures over all streams that are long enough.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Score::default();
        for stream in self.streams.values().filter(|stream| stream.rows >= SHORTEST_STREAM) {
            sum.merge(&stream.score);
        }
        sum.totals()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::predict::Kind;

    fn row(seq: u64, peak: u64) -> TraceRow {
        let task = TraceTask {
            workflow: "w".into(),
            task: "t".into(),
            seq,
            features: Features::sized(Bytes(1_000_000 * (seq + 1))),
        };
        let outcome = TraceOutcome { peak: Bytes(peak), seconds: 1.0 + seq as f64 };
        TraceRow { task, outcome, cores: None, moved: None }
    }

    /// Whatever happens in row i must change no forecast before row i + lag + 1.
    #[test]
    fn a_result_is_not_known_before_its_lag() {
        for lag in [0, 8] {
            let changed_at = 20;
            let forecasts = |peak: u64| -> Vec<Forecast> {
                let mut replay = Replay::new(lag, MemoryRules::default());
                (0..40)
                    .map(|seq| replay.row(&row(seq, if seq == changed_at { peak } else { 1 << 30 })))
                    .collect()
            };
            let (a, b) = (forecasts(1 << 30), forecasts(1 << 36));
            let first = a.iter().zip(&b).position(|(a, b)| a != b);
            assert_eq!(first, Some(changed_at as usize + lag + 1));
        }
    }

    /// A row of one of two streams: which, size (0 = unknown), request, peak and run time.
    fn any_row() -> impl Strategy<Value = (bool, u64, u64, u64, f64)> {
        (any::<bool>(), 0..5_000_000_000u64, 0..9u64, 1..20_000_000_000u64, 0.001..5_000.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever the trace: other results from some row on, and other rows after it, change no answer that was given
        /// while those results were not known.
        #[test]
        fn the_future_changes_nothing_that_was_said_before(
            past in prop::collection::vec(any_row(), 0..60),
            futures in prop::array::uniform2(prop::collection::vec(any_row(), 1..30)),
            lag in 0usize..12,
        ) {
            let said = |future: &[(bool, u64, u64, u64, f64)]| -> Vec<Forecast> {
                let mut replay = Replay::new(lag, MemoryRules::default());
                let all = past.iter().chain(future).zip(0..);
                all.map(|((stream, size, request, peak, seconds), seq)| {
                    let features = Features {
                        input: (*size > 0).then_some(Bytes(*size)),
                        requested_memory: (*request > 0).then_some(Bytes(request << 30)),
                        kind: Kind::of(if size % 3 == 0 { b"a.gz" } else { b"a.txt" }),
                    };
                    let task = TraceTask { workflow: "w".into(), task: stream.to_string(), seq, features };
                    let outcome = TraceOutcome { peak: Bytes(*peak), seconds: *seconds };
                    replay.row(&TraceRow { task, outcome, cores: None, moved: None })
                })
                .collect()
            };
            let [one, mut other] = futures;
            let (first, second) = (said(&one), said(&other));
            prop_assert_eq!(&first[..past.len()], &second[..past.len()]);
            // The same tasks with other results: nothing differs until the first of these is known.
            other.resize(one.len().max(other.len()), one[0]);
            let twins: Vec<_> = one.iter().zip(&other).map(|(task, result)| {
                (task.0, task.1, task.2, result.3, result.4)
            }).collect();
            let second = said(&twins);
            let mut ahead = [0usize; 2];
            for (at, row) in one.iter().enumerate() {
                let rows = &mut ahead[usize::from(row.0)];
                if *rows <= lag {
                    prop_assert_eq!(&first[past.len() + at], &second[past.len() + at]);
                }
                *rows += 1;
            }
        }
    }

    #[test]
    fn short_streams_and_first_rows_are_not_scored() {
        let mut replay = Replay::new(8, MemoryRules::default());
        (0..29).for_each(|seq| drop(replay.row(&row(seq, 1 << 30))));
        assert_eq!((replay.totals().n, replay.totals().maq), (0, None));
        replay.row(&row(29, 1 << 30));
        assert_eq!((replay.totals().n, replay.totals().failures), (20, 0));
    }

    #[test]
    fn lines_have_the_promised_fields() {
        let forecast = Replay::new(8, MemoryRules::default()).row(&row(3, 1 << 30));
        assert_eq!(
            serde_json::to_string(&forecast).unwrap(),
            r#"{"workflow":"w","task":"t","seq":3,"ladder_bytes":[4000000000],"runtime_s":{"p50":null,"p95":null}}"#
        );
    }
}
