//! What is expected, in words.

use std::time::Duration;

use orchestrator_core::Bytes;
use orchestrator_core::outlook::{Eta, FirstEta, Forecast, Promise};
use orchestrator_core::predict::AmountPrediction;

use super::words::{duration, number};

fn seconds(value: f64) -> String {
    duration(Duration::from_secs_f64(value.clamp(0.0, 1e9)))
}

fn bytes(value: f64) -> String {
    Bytes(value.max(0.0) as u64).to_string()
}

fn band(amount: AmountPrediction, words: fn(f64) -> String) -> String {
    let (p50, p95) = (words(amount.p50), words(amount.p95));
    if p50 == p95 { p50 } else { format!("{p50} (up to {p95})") }
}

/// `12 s (up to 15 s), CPU 11 s (up to 14 s), memory 410 MiB (up to 520 MiB), 80 MiB read and written, output 1.2 MiB`.
pub(crate) fn promise(promise: &Promise) -> String {
    let mut text = format!(
        "{}, CPU {}, memory {}, {} read and written",
        band(promise.seconds, seconds),
        band(promise.cpu_seconds, seconds),
        band(promise.peak_bytes, bytes),
        bytes(promise.io_bytes.p50)
    );
    if let Some(output) = promise.output_bytes {
        text.push_str(&format!(", output {}", band(output, bytes)));
    }
    text
}

/// `about 2m 10s left (1m 40s to 2m 50s)`.
pub(crate) fn left(eta: &Eta) -> String {
    let [likely, low, high] = [eta.likely, eta.low, eta.high].map(duration);
    format!("about {likely} left ({low} to {high})")
}

/// What a live run expects: of a typical file, of the space that outputs will need, and how right it was.
pub(crate) fn lines(forecast: &Forecast) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(each) = &forecast.each {
        let of = match forecast.input_bytes {
            Some(size) => format!("a file of {}", Bytes(size)),
            None => "a typical file".to_owned(),
        };
        lines.push(format!("{of} takes about {}", promise(each)));
    }
    if let Some(output) = forecast.output_bytes.filter(|bytes| bytes.0 > 0) {
        lines.push(format!("outputs of what is left: about {output}"));
    }
    lines.extend(accuracy(forecast));
    lines
}

/// `run times predicted for 380 files: half of them within 6 %, 96 % took no more than their p95`.
pub(crate) fn accuracy(forecast: &Forecast) -> Option<String> {
    let accuracy = forecast.accuracy;
    (accuracy.tasks >= 5).then(|| {
        format!(
            "run times predicted for {} files: half of them within {:.0} %, {:.0} % took no more than their p95",
            number(accuracy.tasks),
            100.0 * accuracy.median_error,
            100.0 * accuracy.within_p95
        )
    })
}

/// `predicted after 4.0 s: 2m 10s in all (1m 40s to 2m 50s); took 2m 21s, 8 % more`.
pub(crate) fn first(first: &FirstEta, took: Duration) -> String {
    let [likely, low, high] =
        [first.eta.likely, first.eta.low, first.eta.high].map(|left| first.said_after + left);
    let off = 100.0 * (took.as_secs_f64() / likely.as_secs_f64().max(1e-3) - 1.0);
    let off = match off {
        off if off >= 0.5 => format!(", {off:.0} % more"),
        off if off <= -0.5 => format!(", {:.0} % less", -off),
        _ => String::new(),
    };
    let [likely, low, high, took] = [likely, low, high, took].map(duration);
    format!(
        "predicted after {}: {likely} in all ({low} to {high}); took {took}{off}",
        duration(first.said_after)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_first_is_held_against_what_came() {
        let eta = Eta {
            likely: Duration::from_secs(126),
            low: Duration::from_secs(96),
            high: Duration::from_secs(166),
        };
        let said = FirstEta { said_after: Duration::from_secs(4), eta };
        assert_eq!(
            first(&said, Duration::from_secs(141)),
            "predicted after 4.0 s: 2m 10s in all (1m 40s to 2m 50s); took 2m 21s, 8 % more"
        );
        assert!(first(&said, Duration::from_secs(100)).ends_with("took 1m 40s, 23 % less"));
    }

    #[test]
    fn a_promise_says_all_amounts() {
        let amount = |p50, p95| AmountPrediction { p50, p95 };
        let each = Promise {
            seconds: amount(12.0, 15.0),
            cpu_seconds: amount(11.0, 11.2),
            io_bytes: amount(80e6, 90e6),
            peak_bytes: amount(4e8, 5e8),
            output_bytes: Some(amount(1e6, 1e6)),
        };
        assert_eq!(
            promise(&each),
            "12 s (up to 15 s), CPU 11 s, memory 381.5 MiB (up to 476.8 MiB), 76.3 MiB read and written, output 976.6 KiB"
        );
    }
}
